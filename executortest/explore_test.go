package executortest_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/executortest"
	"github.com/seed-97bda89a/executor/internal/classics"
	"github.com/seed-97bda89a/executor/internal/seeds"
	"github.com/stretchr/testify/require"
)

// Each classic bug is found within 200 seeds, its simplest schedule fails in the same way again, and its right version
// passes; with 2,000 seeds it does in stresstest.
func TestExplore_FindsTheClassics(t *testing.T) {
	t.Parallel()
	for _, bug := range classics.All {
		t.Run(bug.Name, func(t *testing.T) {
			v := seeds.Explore(t, seeds.Config{Ordered: true, Last: 199, Slots: bug.Slots}, bug.Wrong)
			require.Contains(t, []seeds.Kind{seeds.TestFailed, seeds.Panicked, seeds.Deadlock, seeds.Leak}, v.Kind, v.Text)
			require.Equal(t, v.Kind, v.Again(t), "schedule %v", v.Schedule)
			v = seeds.Explore(t, seeds.Config{Ordered: true, Last: 59, Slots: bug.Slots}, bug.Right)
			require.Equal(t, seeds.Passed, v.Kind, "seed %d, %v: %s", v.Seed, v.Schedule, v.Text)
		})
	}
}

// What one task does before and after a point, another one sees in every order.
func TestExplore_Points(t *testing.T) {
	t.Parallel()
	type step = func(ctx context.Context, e *executor.Executor)
	ready := make(chan int)
	close(ready)
	for name, point := range map[string]step{
		"Checkpoint": func(ctx context.Context, _ *executor.Executor) { _ = executor.Checkpoint(ctx) },
		"Yield":      func(ctx context.Context, _ *executor.Executor) { _ = executor.Yield(ctx) },
		"Blocking":   func(ctx context.Context, _ *executor.Executor) { executor.Blocking(ctx, func() {}) },
		"Go":         func(ctx context.Context, e *executor.Executor) { _ = e.Go(ctx, func(context.Context) {}) },
		"TryGo":      func(ctx context.Context, e *executor.Executor) { _ = e.TryGo(ctx, func(context.Context) {}) },
		"Group.Go": func(ctx context.Context, e *executor.Executor) {
			e.NewGroup(ctx).Go(func(context.Context) error { return nil })
		},
		"Group.Wait": func(ctx context.Context, e *executor.Executor) { _ = e.NewGroup(ctx).Wait() },
		"Submit, Wait": func(ctx context.Context, e *executor.Executor) {
			f, _ := executor.Submit(ctx, e, func(context.Context) (int, error) { return 1, nil })
			_, _ = f.Wait(ctx)
		},
		"Fork, Join": func(ctx context.Context, _ *executor.Executor) {
			executor.Fork(ctx, func(context.Context) int { return 1 }).Join(ctx)
		},
		"ForkWith, Join": func(ctx context.Context, _ *executor.Executor) {
			executor.ForkWith(ctx, func(_ context.Context, n int) int { return n }, 1).Join(ctx)
		},
		"Receive": func(ctx context.Context, _ *executor.Executor) { _, _, _ = executor.Receive(ctx, ready) },
		"Send":    func(ctx context.Context, _ *executor.Executor) { _ = executor.Send(ctx, make(chan int, 1), 1) },
		"WaitFor": func(ctx context.Context, _ *executor.Executor) { _ = executor.WaitFor(ctx, &sync.WaitGroup{}) },
		"Lock":    func(ctx context.Context, _ *executor.Executor) { executor.Lock(ctx, &sync.Mutex{}) },
		"For": func(ctx context.Context, e *executor.Executor) {
			_ = executor.For(ctx, e, 4, func(ctx context.Context, i int) error { return nil })
		},
		"Serial.Do": func(ctx context.Context, e *executor.Executor) {
			_ = executor.NewSerial(e).Do(ctx, func(context.Context) error { return nil })
		},
	} {
		t.Run(name, func(t *testing.T) {
			seen := map[int]bool{}
			v := seeds.Explore(t, seeds.Config{Ordered: true, Last: 60}, func(t *testing.T, e *executor.Executor) {
				x := 0
				group := e.NewGroup(t.Context())
				group.Go(func(ctx context.Context) error {
					x = 1
					point(ctx, e)
					x = 2
					return nil
				})
				group.Go(func(ctx context.Context) error {
					seen[x] = true
					return nil
				})
				_ = group.Wait()
			})
			require.Equal(t, seeds.Passed, v.Kind, v.Text)
			require.Len(t, seen, 3)
		})
	}
}

// There is a point before Blocking and one behind it. Mutants: one of them is missing.
func TestExplore_BothEndsOfBlocking(t *testing.T) {
	t.Parallel()
	seen := map[int]bool{}
	v := seeds.Explore(t, seeds.Config{Ordered: true, Last: 100}, func(t *testing.T, e *executor.Executor) {
		x := 0
		group := e.NewGroup(t.Context())
		group.Go(func(ctx context.Context) error {
			x = 1
			executor.Blocking(ctx, func() { x = 2 })
			x = 3
			return nil
		})
		group.Go(func(context.Context) error { seen[x] = true; return nil })
		_ = group.Wait()
	})
	require.Equal(t, seeds.Passed, v.Kind, v.Text)
	require.Len(t, seen, 4)
}

// Tasks that wait for each other without saying so all run at once. Mutant: the executor gets no more slots than at first.
func TestExplore_ASlotForEachTask(t *testing.T) {
	t.Parallel()
	v := seeds.Explore(t, seeds.Config{Ordered: true, Last: 3}, func(t *testing.T, e *executor.Executor) {
		come, all := 0, make(chan struct{})
		group := e.NewGroup(t.Context())
		for range 40 {
			group.Go(func(context.Context) error {
				if come++; come == 40 {
					close(all)
				}
				<-all
				return nil
			})
		}
		_ = group.Wait()
	})
	require.Equal(t, seeds.Passed, v.Kind, v.Text)
}

// More tasks than the executor has slots at first; with children, waits, timers, and time that passes.
func TestExplore_IsDeterministic(t *testing.T) {
	t.Parallel()
	v := seeds.Explore(t, seeds.Config{Ordered: true, Last: 40}, func(t *testing.T, e *executor.Executor) {
		serial, keyed := executor.NewSerial(e), executor.NewKeyed[int](e)
		done, ticks := 0, 0
		every, err := e.Every(t.Context(), time.Second, func(context.Context) { ticks++ })
		require.NoError(t, err)
		group := e.NewGroup(t.Context())
		group.SetLimit(7)
		for i := range 20 {
			group.Go(func(ctx context.Context) error {
				_ = serial.Go(ctx, func(context.Context) { done++ })
				_ = keyed.Go(ctx, i%3, func(context.Context) { done++ })
				executor.Blocking(ctx, func() { time.Sleep(time.Duration(i) * 100 * time.Millisecond) })
				child := executor.Fork(ctx, func(ctx context.Context) int { _ = executor.Yield(ctx); return i })
				sum, err := executor.Reduce(ctx, e, 10, func(_ context.Context, lo, hi, acc int) (int, error) { return acc + hi - lo, nil },
					func(a, b int) int { return a + b })
				if err != nil || sum != 10 {
					t.Error("Reduce: ", sum, err)
				}
				done += min(1, 1+child.Join(ctx))
				return e.Do(ctx, func(context.Context) error { return nil })
			})
		}
		if err := group.Wait(); err != nil {
			t.Error(err)
		}
		every.Stop()
		if err := e.Quiesce(t.Context()); err != nil {
			t.Error(err)
		}
		if done != 60 || ticks < 3 {
			t.Errorf("%d done, %d ticks", done, ticks)
		}
	})
	require.Equal(t, seeds.Passed, v.Kind, "seed %d, %v: %s", v.Seed, v.Schedule, v.Text)
}

func TestExplore_Nondeterminism(t *testing.T) {
	t.Parallel()
	runs := 0
	v := seeds.Explore(t, seeds.Config{Ordered: true, Last: 9}, func(t *testing.T, e *executor.Executor) {
		for runs++; ; {
			_ = e.Go(t.Context(), func(ctx context.Context) {
				if runs%2 == 0 {
					_ = executor.Checkpoint(ctx)
				}
			})
			return
		}
	})
	require.Equal(t, seeds.Undetermined, v.Kind)
	require.Contains(t, v.Text, "nondeterminism outside the executor: two runs of it differ at step ")
	require.Contains(t, v.Text, `1 is at "checkpoint"`)
}

// With Slots(n) no more than n tasks run between two points, and one that blocks without saying so is compensated.
func TestExplore_Slots(t *testing.T) {
	t.Parallel()
	most := 0
	v := seeds.Explore(t, seeds.Config{Ordered: true, Last: 50, Slots: 2}, func(t *testing.T, e *executor.Executor) {
		running, unblock := 0, make(chan struct{})
		group := e.NewGroup(t.Context())
		for range 5 {
			group.Go(func(ctx context.Context) error {
				running++
				most = max(most, running)
				_ = executor.Checkpoint(ctx)
				running--
				return nil
			})
		}
		_ = group.Wait()
		for range 3 {
			group.Go(func(context.Context) error { <-unblock; return nil })
		}
		group.Go(func(context.Context) error { close(unblock); return nil })
		_ = group.Wait()
	})
	require.Equal(t, seeds.Passed, v.Kind, v.Text)
	require.Equal(t, 2, most)
}

func TestExplore_Failures(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		fn   seeds.Func
		kind seeds.Kind
		text string
	}{
		{"panic of the test", func(t *testing.T, e *executor.Executor) { panic("oops") }, seeds.Panicked, "task 0 (test) panicked: oops\n  in executortest_test."},
		{"panic of a task", func(t *testing.T, e *executor.Executor) {
			_ = e.Go(executor.WithTaskName(t.Context(), "mail"), func(context.Context) { panic("oops") })
		}, seeds.Panicked, "task 1 (mail) panicked: oops\n  in executortest_test."},
		{"Fatal in a task", func(t *testing.T, e *executor.Executor) {
			_ = e.Go(t.Context(), func(context.Context) { t.Fatal("oops") })
			<-t.Context().Done()
		}, seeds.TestFailed, "the test failed"},
		{"deadlock", func(t *testing.T, e *executor.Executor) {
			_ = e.Go(t.Context(), func(ctx context.Context) { _, _, _ = executor.Receive(ctx, make(chan int)) })
			_ = e.Quiesce(t.Context())
		}, seeds.Deadlock, "deadlock: everybody waits\n  0 (test) waits in Executor.Quiesce, explore_test.go:"},
		{"leaked task", func(t *testing.T, e *executor.Executor) {
			_ = e.Go(t.Context(), func(ctx context.Context) { <-make(chan int) })
		}, seeds.Leak, "the test has ended, and tasks have not\n  1 waits in chan receive, explore_test.go:"},
		{"leaked goroutine", func(t *testing.T, e *executor.Executor) {
			go func() { <-make(chan int) }()
		}, seeds.Leak, "goroutines are left at the end\n  goroutine "},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := seeds.Explore(t, seeds.Config{Ordered: true, Last: 3}, c.fn)
			require.Equal(t, c.kind, v.Kind, v.Text)
			require.Contains(t, v.Text, c.text)
		})
	}
}

func TestExplore_ALockHeldAcrossAPoint(t *testing.T) {
	t.Parallel()
	v := seeds.Explore(t, seeds.Config{Ordered: true, Last: 3}, func(t *testing.T, e *executor.Executor) {
		var mu sync.Mutex
		group := e.NewGroup(executor.WithTaskName(t.Context(), "holder"))
		for range 2 {
			group.Go(func(ctx context.Context) error {
				mu.Lock()
				defer mu.Unlock()
				return executor.Checkpoint(ctx)
			})
		}
		_ = group.Wait()
	})
	require.Equal(t, seeds.Locked, v.Kind, v.Text)
	require.Regexp(t, `^a lock is held across a point: unlock it before, or take it with executor.Lock
  [12] \(holder\) waits in sync.Mutex.Lock, explore_test.go:\d+
One of these holds it:(?s:.*)
  [12] \(holder\), at
    explore_test.go:\d+(?s:.*)`, v.Text)
}

func TestExplore_WhoSpinsLetsOthersGoOn(t *testing.T) {
	t.Parallel()
	for _, c := range []seeds.Config{{Last: 10}, {Last: 10, PCT: 3}} {
		c.Ordered = true
		v := seeds.Explore(t, c, func(t *testing.T, e *executor.Executor) {
			ready := false
			group := e.NewGroup(t.Context())
			group.Go(func(ctx context.Context) error {
				for !ready {
					_ = executor.Checkpoint(ctx)
				}
				return nil
			})
			group.Go(func(ctx context.Context) error { ready = true; return nil })
			_ = group.Wait()
		})
		require.Equal(t, seeds.Passed, v.Kind, v.Text)
	}
}

// Two tasks of three steps each have 6!/(3!*3!) orders. Mutant: the last choice is never changed.
func TestExplore_Exhaustive(t *testing.T) {
	t.Parallel()
	orders := map[string]bool{}
	program := func(t *testing.T, e *executor.Executor) {
		order := ""
		group := e.NewGroup(t.Context())
		for i := range 2 {
			group.Go(func(ctx context.Context) error {
				for range 2 {
					order += fmt.Sprint(i)
					_ = executor.Checkpoint(ctx)
				}
				order += fmt.Sprint(i)
				return nil
			})
		}
		_ = group.Wait()
		orders[order] = true
	}
	v := seeds.Explore(t, seeds.Config{Ordered: true, Exhaustive: 100_000}, program)
	require.Equal(t, seeds.Passed, v.Kind, v.Text)
	require.True(t, v.All)
	require.Len(t, orders, 20)
	t.Log(v.Runs/2, "schedules")

	v = seeds.Explore(t, seeds.Config{Ordered: true, Exhaustive: 10}, program)
	require.False(t, v.All)
	require.Equal(t, 20, v.Runs)
	v = seeds.Explore(t, seeds.Config{Ordered: true, Exhaustive: 10_000}, classics.All[0].Wrong)
	require.Equal(t, seeds.TestFailed, v.Kind)
	require.Equal(t, seeds.TestFailed, v.Again(t))
}

func TestExplore_PCT(t *testing.T) {
	t.Parallel()
	for _, bug := range classics.All[:12] {
		v := seeds.Explore(t, seeds.Config{Ordered: true, Last: 499, PCT: 3}, bug.Wrong)
		require.NotEqual(t, seeds.Passed, v.Kind, bug.Name)
		require.Equal(t, v.Kind, v.Again(t), "%s: schedule %v", bug.Name, v.Schedule)
		seed := v.Seed
		v = seeds.Explore(t, seeds.Config{Ordered: true, First: seed, Last: seed, PCT: 3}, bug.Wrong) // alone it is the same
		require.NotEqual(t, seeds.Passed, v.Kind, bug.Name)
	}
}

func TestRand(t *testing.T) {
	t.Parallel()
	drawn := map[uint64]map[string]bool{}
	seed := uint64(0)
	for ; seed < 5; seed++ {
		drawn[seed] = map[string]bool{}
		v := seeds.Explore(t, seeds.Config{Ordered: true, First: seed, Last: seed}, func(t *testing.T, e *executor.Executor) {
			var got [3]int
			group := e.NewGroup(t.Context())
			for i := range got {
				group.Go(func(ctx context.Context) error {
					got[i] = executortest.Rand(ctx).IntN(1000) + 1000*executortest.Rand(ctx).IntN(1000)
					return nil
				})
			}
			_ = group.Wait()
			drawn[seed][fmt.Sprint(got)] = true
			require.False(t, got[0] == got[1] && got[1] == got[2], "each task has numbers of its own")
		})
		require.Equal(t, seeds.Passed, v.Kind, v.Text)
		require.Len(t, drawn[seed], 1, "two runs of a seed draw the same")
	}
	require.NotEqual(t, drawn[0], drawn[1])
	a, b := executortest.Rand(t.Context()), executortest.Rand(t.Context())
	require.NotEqual(t, a.Uint64(), b.Uint64(), "outside they are any")
}

func TestExplore_Skip(t *testing.T) {
	t.Parallel()
	v := seeds.Explore(t, seeds.Config{Ordered: true, Last: 3}, func(t *testing.T, e *executor.Executor) { t.Skip("not today") })
	require.True(t, v.Skipped)
	require.Equal(t, 1, v.Runs)
}

func TestSchedule(t *testing.T) {
	for _, text := range []string{"0/", "17/0@4>2", "3/0@4>2,2@1>1.2"} {
		s, err := seeds.Parse(text)
		require.NoError(t, err)
		require.Equal(t, text, s.String())
	}
	for _, text := range []string{"", "x/", "1", "1/0", "1/0@4", "1/0@x>1", "1/@4>1", "1/0@4>", "1/0@-1>2"} {
		_, err := seeds.Parse(text)
		require.ErrorContains(t, err, "is not of the form 17/0@4>2,2@1>1", text)
	}
}
