package classics

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor"
)

func missedSignal(right bool) test {
	return func(t *testing.T, e *executor.Executor) {
		ready := false
		size := 0
		if right {
			size = 1 // the signal stays until somebody comes
		}
		signal := make(chan struct{}, size)
		each(e, t.Context(), 2, func(ctx context.Context, i int) {
			if i == 0 {
				ready = true
				select {
				case signal <- struct{}{}:
				default: // nobody waits
				}
				return
			}
			if !ready {
				step(ctx)
				_, _, _ = executor.Receive(ctx, signal)
			}
		})
	}
}

func oneSignal(right bool) test {
	return func(t *testing.T, e *executor.Executor) {
		closed := false
		wake := make(chan struct{}, 2)
		waits := 2
		each(e, t.Context(), 3, func(ctx context.Context, i int) {
			if i < 2 {
				for !closed {
					_, _, _ = executor.Receive(ctx, wake)
				}
				return
			}
			step(ctx)
			closed = true
			if !right {
				waits = 1
			}
			for range waits {
				wake <- struct{}{}
			}
		})
	}
}

func lockOrder(right bool) test {
	return func(t *testing.T, e *executor.Executor) {
		var a, b sync.Mutex
		each(e, t.Context(), 2, func(ctx context.Context, i int) {
			first, second := &a, &b
			if i == 1 && !right {
				first, second = &b, &a
			}
			executor.Lock(ctx, first)
			defer first.Unlock()
			executor.Lock(ctx, second)
			defer second.Unlock()
		})
	}
}

func philosophers(right bool) test {
	return func(t *testing.T, e *executor.Executor) {
		var forks [3]sync.Mutex
		each(e, t.Context(), 3, func(ctx context.Context, i int) {
			left, other := i, (i+1)%3
			if right && left > other {
				left, other = other, left
			}
			executor.Lock(ctx, &forks[left])
			defer forks[left].Unlock()
			executor.Lock(ctx, &forks[other])
			defer forks[other].Unlock()
		})
	}
}

func fullChannel(right bool) test {
	return func(t *testing.T, e *executor.Executor) {
		size := 2
		if right {
			size = 3
		}
		errs := make(chan error, size)
		failed := 0
		each(e, t.Context(), 3, func(ctx context.Context, i int) {
			failed++
			step(ctx)
			if failed == 3 { // only if all three are under way at once there are three errors
				_ = executor.Send(ctx, errs, errors.New("overloaded"))
			}
			failed--
		})
		close(errs)
	}
}

func waitsLocked(right bool) test {
	return func(t *testing.T, e *executor.Executor) {
		var mu sync.Mutex
		each(e, t.Context(), 2, func(ctx context.Context, i int) {
			if i == 1 {
				executor.Lock(ctx, &mu)
				mu.Unlock()
				return
			}
			f, err := executor.Submit(ctx, e, func(ctx context.Context) (int, error) {
				executor.Lock(ctx, &mu)
				defer mu.Unlock()
				return 1, nil
			})
			if err != nil {
				t.Error(err)
				return
			}
			if !right {
				executor.Lock(ctx, &mu)
				defer mu.Unlock()
			}
			_, _ = f.Wait(ctx)
		})
	}
}

var errFirst = errors.New("the first has failed")

func earlyReturn(right bool) test {
	return func(t *testing.T, e *executor.Executor) {
		size := 0
		if right {
			size = 2
		}
		results := make(chan error, size)
		for i := range 2 {
			_ = e.Go(t.Context(), func(ctx context.Context) {
				step(ctx)
				if i == 0 {
					results <- errFirst
				} else {
					results <- nil
				}
			})
		}
		for range 2 {
			if err := <-results; err != nil {
				return // and who receives the other one?
			}
		}
	}
}

func timeoutLeak(right bool) test {
	return func(t *testing.T, e *executor.Executor) {
		size := 0
		if right {
			size = 1
		}
		result := make(chan int, size)
		_ = e.Go(t.Context(), func(ctx context.Context) {
			executor.Blocking(ctx, func() { time.Sleep(time.Second) })
			result <- 1
		})
		select {
		case <-result:
		case <-time.After(time.Second / 2):
		}
	}
}

func orderAssumed(right bool) test {
	return func(t *testing.T, e *executor.Executor) {
		var log []int
		serial := executor.NewSerial(e)
		for i := range 3 {
			append1 := func(context.Context) { log = append(log, i) }
			if right {
				_ = serial.Go(t.Context(), append1)
			} else {
				_ = e.Go(t.Context(), append1)
			}
		}
		_ = e.Quiesce(t.Context())
		if !slices.IsSorted(log) {
			t.Errorf("the log is %v", log)
		}
	}
}

func resultAfterCancel(right bool) test {
	type page struct{ title string }
	return func(t *testing.T, e *executor.Executor) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		f, err := executor.Submit(ctx, e, func(ctx context.Context) (*page, error) {
			return &page{"home"}, executor.Checkpoint(ctx)
		})
		if err != nil {
			t.Fatal(err)
		}
		stop, err := executor.Submit(t.Context(), e, func(context.Context) (int, error) { cancel(); return 0, nil })
		if err != nil {
			t.Fatal(err)
		}
		p, err := f.Wait(t.Context())
		if right && err != nil {
			return
		}
		if p.title != "home" { // panics if the task was canceled before it began
			t.Error(p.title)
		}
		_, _ = stop.Wait(t.Context())
	}
}

func neverStarts(right bool) test {
	return func(t *testing.T, e *executor.Executor) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var wg sync.WaitGroup
		group := e.NewGroup(ctx)
		for i := range 2 {
			wg.Add(1)
			run := func(ctx context.Context) error {
				if i == 0 {
					return errFirst // cancels the group's context
				}
				return nil
			}
			if right {
				group.Go(run)
				wg.Done()
			} else {
				group.Go(func(ctx context.Context) error {
					defer wg.Done() // not if the task is dropped
					return run(ctx)
				})
			}
		}
		_ = executor.WaitFor(context.Background(), &wg)
		_ = group.Wait()
	}
}

func addInside(right bool) test {
	return func(t *testing.T, e *executor.Executor) {
		var wg sync.WaitGroup
		sum := 0
		for range 2 {
			if right {
				wg.Add(1)
			}
			_ = e.Go(t.Context(), func(context.Context) {
				if !right {
					wg.Add(1)
				}
				defer wg.Done()
				sum++
			})
		}
		_ = executor.WaitFor(context.Background(), &wg)
		if sum != 2 {
			t.Errorf("waited for %d of 2", sum)
		}
	}
}

func closedInUse(right bool) test {
	return func(t *testing.T, e *executor.Executor) {
		open, users := true, 0
		use, err := executor.Submit(t.Context(), e, func(ctx context.Context) (int, error) {
			users++
			step(ctx)
			if !open {
				t.Error("closed while it is used")
			}
			users--
			return 0, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if right {
			_, _ = use.Wait(t.Context())
		} else if _, err := executor.Submit(t.Context(), e, func(context.Context) (int, error) { return 0, nil }); err != nil {
			t.Fatal(err)
		}
		open = false
	}
}

func doneTwice(right bool) test {
	return func(t *testing.T, e *executor.Executor) {
		var mu sync.Mutex
		state, sent := "new", 0
		each(e, t.Context(), 2, func(ctx context.Context, _ int) {
			guarded(ctx, &mu, right, func() {
				if state == "done" {
					return
				}
				step(ctx) // sends the mail
				sent++
				state = "done"
			})
		})
		if sent != 1 {
			t.Errorf("sent %d mails", sent)
		}
	}
}
