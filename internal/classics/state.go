package classics

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed-97bda89a/executor"
)

type test = func(t *testing.T, e *executor.Executor)

// step is where others may come in between, as they could anywhere.
func step(ctx context.Context) { _ = executor.Checkpoint(ctx) }

// guarded calls fn, with the lock if the version is the right one.
func guarded(ctx context.Context, mu *sync.Mutex, right bool, fn func()) {
	if right {
		executor.Lock(ctx, mu)
		defer mu.Unlock()
	}
	fn()
}

// each runs fn as n tasks and waits for them.
func each(e *executor.Executor, ctx context.Context, n int, fn func(ctx context.Context, i int)) {
	group := e.NewGroup(ctx)
	for i := range n {
		group.Go(func(ctx context.Context) error {
			fn(ctx, i)
			return nil
		})
	}
	_ = group.Wait()
}

func lostUpdate(right bool) test {
	return func(t *testing.T, e *executor.Executor) {
		var mu sync.Mutex
		n := 0
		each(e, t.Context(), 3, func(ctx context.Context, _ int) {
			guarded(ctx, &mu, right, func() {
				old := n
				step(ctx)
				n = old + 1
			})
		})
		if n != 3 {
			t.Errorf("counted %d of 3", n)
		}
	}
}

func checkThenAct(right bool) test {
	return func(t *testing.T, e *executor.Executor) {
		var mu sync.Mutex
		conns, dialed := map[string]int{}, 0
		each(e, t.Context(), 2, func(ctx context.Context, _ int) {
			guarded(ctx, &mu, right, func() {
				if _, ok := conns["db"]; !ok {
					step(ctx)
					dialed++
					conns["db"] = dialed
				}
			})
		})
		if dialed != 1 {
			t.Errorf("dialed %d times", dialed)
		}
	}
}

func overdraft(right bool) test {
	return func(t *testing.T, e *executor.Executor) {
		var mu sync.Mutex
		balance := 100
		each(e, t.Context(), 2, func(ctx context.Context, _ int) {
			guarded(ctx, &mu, right, func() {
				if balance >= 80 {
					step(ctx)
					balance -= 80
				}
			})
		})
		if balance < 0 {
			t.Errorf("balance %d", balance)
		}
	}
}

func tornRead(right bool) test {
	return func(t *testing.T, e *executor.Executor) {
		var mu sync.Mutex
		a, b := 50, 50
		each(e, t.Context(), 2, func(ctx context.Context, i int) {
			guarded(ctx, &mu, right, func() {
				if i == 0 {
					a -= 10
					step(ctx)
					b += 10
				} else if sum := a + b; sum != 100 {
					t.Errorf("sum %d", sum)
				}
			})
		})
	}
}

func halfBuilt(right bool) test {
	type config struct{ hosts []string }
	return func(t *testing.T, e *executor.Executor) {
		var shared *config
		each(e, t.Context(), 2, func(ctx context.Context, i int) {
			switch {
			case i == 1:
				step(ctx)
				if shared != nil && len(shared.hosts) == 0 {
					t.Error("a config without hosts")
				}
			case right:
				c := &config{}
				step(ctx)
				c.hosts = []string{"a"}
				shared = c
			default:
				shared = &config{}
				step(ctx)
				shared.hosts = []string{"a"}
			}
		})
	}
}

func doubleClose(right bool) test {
	return func(t *testing.T, e *executor.Executor) {
		stop, once, stopped := make(chan struct{}), sync.Once{}, false
		each(e, t.Context(), 2, func(ctx context.Context, _ int) {
			step(ctx)
			if right {
				once.Do(func() { close(stop) })
			} else if !stopped {
				step(ctx)
				close(stop)
				stopped = true
			}
		})
	}
}

func sendOnClosed(right bool) test {
	return func(t *testing.T, e *executor.Executor) {
		out := make(chan int, 8)
		producers := e.NewGroup(t.Context())
		for i := range 2 {
			producers.Go(func(ctx context.Context) error {
				for range 2 {
					if err := executor.Send(ctx, out, i); err != nil {
						return err
					}
				}
				if i == 1 && !right {
					close(out) // the last one to start is not the last one to end
				}
				return nil
			})
		}
		if err := producers.Wait(); err != nil {
			t.Error(err)
		}
		if right {
			close(out)
		}
	}
}

func indexAfterDelete(right bool) test {
	return func(t *testing.T, e *executor.Executor) {
		var mu sync.Mutex
		items := []int{1, 2, 3}
		each(e, t.Context(), 2, func(ctx context.Context, i int) {
			guarded(ctx, &mu, right, func() {
				if last := len(items) - 1; i == 0 {
					step(ctx)
					_ = items[last]
				} else {
					items = items[:last]
				}
			})
		})
	}
}

func overBound(right bool) test {
	return func(t *testing.T, e *executor.Executor) {
		var mu sync.Mutex
		var queue []int
		each(e, t.Context(), 3, func(ctx context.Context, i int) {
			guarded(ctx, &mu, right, func() {
				if len(queue) < 2 {
					step(ctx)
					queue = append(queue, i)
				}
			})
		})
		if len(queue) > 2 {
			t.Errorf("%d in a queue for 2", len(queue))
		}
	}
}

func refCount(right bool) test {
	return func(t *testing.T, e *executor.Executor) {
		var mu sync.Mutex
		refs, open := 1, true
		each(e, t.Context(), 2, func(ctx context.Context, i int) {
			guarded(ctx, &mu, right, func() {
				if i == 0 { // release
					refs--
					if refs == 0 {
						step(ctx)
						open = false
					}
				} else if open { // acquire, from a table that still has it
					refs++
					step(ctx)
					if !open {
						t.Error("closed, and somebody refers to it")
					}
				}
			})
		})
	}
}

// aba is a free list with a compare-and-swap, whose nodes are used again; the right one counts its changes.
func aba(right bool) test {
	type head struct{ node, changes int32 }
	return func(t *testing.T, e *executor.Executor) {
		var list atomic.Pointer[head]
		var next [3]int32 // node 1 is first, then 2; 0 ends the list
		next[1] = 2
		list.Store(&head{node: 1})
		swap := func(old *head, node int32) bool {
			now := list.Load()
			if now.node != old.node || right && now.changes != old.changes {
				return false
			}
			return list.CompareAndSwap(now, &head{node, now.changes + 1})
		}
		pop := func(ctx context.Context) int32 {
			for {
				old := list.Load()
				if old.node == 0 {
					return 0
				}
				after := next[old.node]
				step(ctx)
				if swap(old, after) {
					return old.node
				}
			}
		}
		push := func(ctx context.Context, node int32) {
			for {
				old := list.Load()
				next[node] = old.node
				step(ctx)
				if swap(old, node) {
					return
				}
			}
		}
		var used [3]int
		take := func(ctx context.Context) int32 {
			node := pop(ctx)
			if used[node]++; node != 0 && used[node] > 1 {
				t.Errorf("node %d is taken twice", node)
			}
			return node
		}
		each(e, t.Context(), 2, func(ctx context.Context, i int) {
			first := take(ctx)
			if i == 1 {
				take(ctx)
				if first != 0 {
					used[first]--
					push(ctx, first)
				}
			} else {
				take(ctx)
			}
		})
	}
}

func staleCache(right bool) test {
	return func(t *testing.T, e *executor.Executor) {
		type row struct{ value, version int }
		stored, cached := row{1, 1}, (*row)(nil)
		invalid := 0 // the version below which nothing may be cached
		each(e, t.Context(), 2, func(ctx context.Context, i int) {
			if i == 0 { // a reader fills the cache
				if cached == nil {
					r := stored
					step(ctx) // the way back from the database
					if !right || r.version >= invalid {
						cached = &r
					}
				}
				return
			}
			stored = row{2, 2} // a writer
			invalid, cached = 2, nil
		})
		if cached != nil && cached.value != stored.value {
			t.Errorf("the cache has %d, the database %d", cached.value, stored.value)
		}
	}
}
