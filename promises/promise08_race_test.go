package promises

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
)

// raceTheEnd lets submitters of every kind, blockers, yielders and waiters run into the end of e, and
// checks that every accepted task ended in exactly one way and every future told which.
func raceTheEnd(t *testing.T, e *executor.Executor, after int, end func() error, mayCancel bool) {
	type entry struct {
		f   *executor.Future[int]
		ran *atomic.Int32
	}
	var mu sync.Mutex
	var entries []entry
	var accepted, ran atomic.Int64
	body := func(kind int) func(context.Context) {
		return func(ctx context.Context) {
			ran.Add(1)
			switch kind % 7 {
			case 1:
				executor.Blocking(ctx, func() { runtime.Gosched() })
			case 2:
				_ = executor.Yield(ctx)
			case 3:
				_ = deep(ctx, e, 2)
			case 4:
				executor.Blocking(ctx, func() { _ = e.Stats() })
				_ = executor.Checkpoint(ctx)
			case 5:
				g := e.NewGroup(ctx)
				g.SetLimit(1)
				for range 3 {
					g.Go(func(context.Context) error { return nil })
				}
				_ = g.Wait()
			case 6:
				fib(ctx, 4)
			}
		}
	}
	var wg sync.WaitGroup
	var submissions atomic.Int64
	for p := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := p; ; i++ {
				submissions.Add(1)
				var err error
				switch i % 4 {
				case 0:
					err = e.Go(context.Background(), body(i))
				case 1:
					err = e.TryGo(context.Background(), body(i))
				default:
					n := new(atomic.Int32)
					var f *executor.Future[int]
					f, err = executor.Submit(context.Background(), e, func(ctx context.Context) (int, error) {
						n.Add(1)
						body(i)(ctx)
						return i, nil
					})
					if err == nil {
						mu.Lock()
						entries = append(entries, entry{f, n})
						mu.Unlock()
						if i%3 == 0 {
							_, _ = f.Wait(context.Background())
						}
					}
				}
				switch {
				case err == nil:
					accepted.Add(1)
				case errors.Is(err, executor.ErrClosed):
					return
				case !errors.Is(err, executor.ErrQueueFull):
					t.Error(err)
					return
				}
			}
		}()
	}
	eventually(t, "work is under way", func() bool { return submissions.Load() >= int64(after) })
	within(t, "the end", func() {
		if err := end(); err != nil {
			t.Error(err)
		}
	})
	s := balanced(t, e)
	within(t, "all submitters are told", wg.Wait)
	late := e.Stats()
	require.Equal(t, []uint64{s.Submitted, s.Completed, s.Panicked, s.Canceled},
		[]uint64{late.Submitted, late.Completed, late.Panicked, late.Canceled}, "something was counted after the end")
	require.GreaterOrEqual(t, s.Submitted, uint64(accepted.Load()))
	for _, en := range entries {
		select {
		case <-en.f.Done():
		default:
			t.Fatal("a future is open after the end")
		}
		_, err := en.f.Wait(context.Background())
		switch {
		case err == nil:
			require.EqualValues(t, 1, en.ran.Load())
		case mayCancel:
			require.ErrorIs(t, err, executor.ErrClosed)
			require.Zero(t, en.ran.Load(), "a task ran although its future says %v", err)
		default:
			t.Fatalf("an accepted task was not finished: %v", err)
		}
	}
	if !mayCancel {
		require.EqualValues(t, accepted.Load(), ran.Load())
		require.Zero(t, s.Canceled)
	}
}

// Mutant: closed is checked before the in-flight count is raised only: a task slips in after the drain,
// and never runs.
func TestPromise08_ShutdownRacesEverything(t *testing.T) {
	for round := range scaled(100) {
		cfg := [][3]int{{1, 0, 1}, {1, 2, 4}, {2, 8, 1}, {4, 8, 64}}[round%4]
		e := spared(t, cfg[0], cfg[1], executor.WithQueueLimit(cfg[2]))
		raceTheEnd(t, e, 20*(round%20), func() error { return e.Shutdown(context.Background()) }, false)
	}
}

// Mutant: Close empties the queues once, and a local push after that is lost.
func TestPromise08_CloseRacesEverything(t *testing.T) {
	for round := range scaled(200) {
		cfg := [][3]int{{1, 0, 1}, {1, 2, 4}, {2, 8, 1}, {4, 8, 64}}[round%4]
		e := spared(t, cfg[0], cfg[1], executor.WithQueueLimit(cfg[2]))
		raceTheEnd(t, e, 20*(round%20), e.Close, true)
	}
}

// Mutant: Close during Shutdown waits for the drain.
func TestPromise08_CloseCutsAShutdownShort(t *testing.T) {
	for range scaled(50) {
		e := spared(t, 2, 4, executor.WithQueueLimit(64))
		started := make(chan struct{})
		require.NoError(t, e.Go(context.Background(), func(ctx context.Context) {
			close(started)
			executor.Blocking(ctx, func() { <-ctx.Done() })
		}))
		await(t, "it runs", started)
		down := make(chan error, 1)
		go func() { down <- e.Shutdown(context.Background()) }()
		eventually(t, "outsiders are refused", func() bool {
			return errors.Is(e.TryGo(context.Background(), func(context.Context) {}), executor.ErrClosed)
		})
		within(t, "Close", func() { _ = e.Close() })
		await(t, "Shutdown returns too", down)
		balanced(t, e)
	}
}

// Mutant: Close leaves blocked submitters, parked waiters or yielded tasks where they are.
func TestPromise08_CloseWakesEverybodyWhoWaits(t *testing.T) {
	for range scaled(50) + 5 {
		e := spared(t, 1, 8, executor.WithQueueLimit(1))
		started := make(chan struct{})
		f, err := executor.Submit(context.Background(), e, func(ctx context.Context) (int, error) {
			close(started)
			executor.Blocking(ctx, func() { <-ctx.Done() })
			return 1, nil
		})
		require.NoError(t, err)
		await(t, "it runs", started)
		yields := make(chan struct{})
		require.NoError(t, e.Go(context.Background(), func(ctx context.Context) {
			close(yields)
			for executor.Yield(ctx) == nil {
				runtime.Gosched()
			}
		}))
		await(t, "it yields", yields)
		errs := make(chan error, 16)
		for i := range cap(errs) {
			go func() {
				switch i % 3 {
				case 0:
					errs <- e.Go(context.Background(), func(ctx context.Context) { _, _ = f.Wait(ctx); <-ctx.Done() })
				case 1:
					_, err := f.Wait(context.Background())
					errs <- err
				case 2:
					g := e.NewGroup(context.Background())
					g.Go(func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) })
					errs <- g.Wait()
				}
			}()
		}
		for range 50 {
			runtime.Gosched()
		}
		within(t, "Close", func() { _ = e.Close() })
		for range cap(errs) {
			if err := await(t, "a waiter is told", errs); err != nil {
				require.ErrorIs(t, err, executor.ErrClosed)
			}
		}
		balanced(t, e)
	}
}

// Mutant: a slot that is taken away keeps what its deque holds. Mutant: a slot that is added is not woken
// for what is queued.
func TestPromise08_ResizeUnderLoadLosesNothing(t *testing.T) {
	for _, spares := range []int{0, 8} {
		t.Run(fmt.Sprint("spares=", spares), func(t *testing.T) {
			e := spared(t, 2, spares, executor.WithQueueLimit(256))
			stop := resizing(t, e, runtime.Gosched, 1, 8, 3, 64, 2)
			exactlyOnce(t, e, 4, scaled(4000))
			g := e.NewGroup(context.Background())
			for i := range scaled(1000) {
				shape := shapes[i%len(shapes)]
				g.Go(func(ctx context.Context) error { return shape.run(ctx, e) })
			}
			within(t, "the shapes end", func() {
				if err := g.Wait(); err != nil {
					t.Error(err)
				}
			})
			stop()
			for _, n := range []int{1, 5, 2} {
				require.NoError(t, e.Resize(n))
				require.Equal(t, n, e.Stats().Slots)
				requireParallelism(t, e, n)
			}
		})
	}
}

// Mutant: Resize wakes nobody: tasks that are already queued wait for the next submission, or for the
// keeper's next tick, which the bubble's clock shows.
func TestPromise08_ResizeUpStartsWhatIsQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := bare(t, 1)
		start := time.Now()
		meet := make(chan struct{})
		var here atomic.Int64
		for range 6 {
			require.NoError(t, e.Go(context.Background(), func(context.Context) {
				if here.Add(1) == 6 {
					close(meet)
				}
				<-meet
			}))
		}
		synctest.Wait()
		require.NoError(t, e.Resize(6))
		await(t, "all six meet", meet)
		require.Zero(t, time.Since(start))
		quiet(t, e)
	})
}

// Mutant: Resize down leaves the children of the running task in a deque that nobody looks at.
func TestPromise08_ResizeDownFromInsideATask(t *testing.T) {
	e := bare(t, 4)
	var ran atomic.Int64
	for range 50 {
		var wg sync.WaitGroup
		for range 4 {
			wg.Add(1)
			require.NoError(t, e.Go(context.Background(), func(ctx context.Context) {
				defer wg.Done()
				for range 20 {
					if err := e.Go(ctx, func(context.Context) { ran.Add(1) }); err != nil {
						t.Error(err)
					}
				}
				if err := e.Resize(1); err != nil {
					t.Error(err)
				}
			}))
		}
		within(t, "the tasks end", wg.Wait)
		quiet(t, e)
		require.NoError(t, e.Resize(4))
	}
	require.EqualValues(t, 50*80, ran.Load())
	requireParallelism(t, e, 4)
}

// Mutant: Resize is refused as soon as Shutdown is called, when more slots would help the drain.
func TestPromise08_ResizeWorksWhileDraining(t *testing.T) {
	e := bare(t, 1)
	meet, about := make(chan struct{}, 1), make(chan struct{})
	require.NoError(t, e.Go(context.Background(), func(context.Context) { close(about); meet <- struct{}{}; meet <- struct{}{} }))
	require.NoError(t, e.Go(context.Background(), func(context.Context) { <-meet }))
	await(t, "the first runs", about)
	down := make(chan error, 1)
	go func() { down <- e.Shutdown(context.Background()) }()
	eventually(t, "outsiders are refused", func() bool {
		return errors.Is(e.TryGo(context.Background(), func(context.Context) {}), executor.ErrClosed)
	})
	err := e.Resize(2) // The two need each other.
	if err != nil {
		<-meet
	}
	require.NoError(t, err)
	require.NoError(t, await(t, "Shutdown returns", down))
	require.ErrorIs(t, e.Resize(3), executor.ErrClosed)
}

func TestPromise08_ResizeValidates(t *testing.T) {
	e := bare(t, 2)
	for _, n := range []int{-1, 4097} {
		err := e.Resize(n)
		require.Error(t, err)
		require.Contains(t, err.Error(), fmt.Sprintf("executor: Resize(%d): must be at ", n))
		require.Equal(t, 2, e.Stats().Slots)
	}
	require.NoError(t, e.Resize(4096))
	require.NoError(t, e.Resize(0))
	s := e.Stats()
	require.GreaterOrEqual(t, s.Slots, 1)
	require.LessOrEqual(t, s.Slots, runtime.GOMAXPROCS(0))
	alive(t, e)
	require.NoError(t, e.Close())
	require.ErrorIs(t, e.Resize(1), executor.ErrClosed)
}
