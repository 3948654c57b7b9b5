package executor_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
)

// Each benchmark has a naive twin in this file: fixed workers on a buffered channel, or plain
// goroutines. benchmarks/ compares with other libraries.

func newBench(b *testing.B, opts ...executor.Option) *executor.Executor {
	e, err := executor.New(opts...)
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, e.Close()) })
	b.ReportAllocs()
	return e
}

// channelPool is the twin: as many workers as slots would be, on one buffered channel.
func channelPool(b *testing.B, workers int) (submit func(func()), wait func()) {
	tasks := make(chan func(), 2048)
	var group, pending sync.WaitGroup
	for range workers {
		group.Go(func() {
			for f := range tasks {
				f()
				pending.Done()
			}
		})
	}
	b.Cleanup(func() { close(tasks); group.Wait() })
	b.ReportAllocs()
	return func(f func()) { pending.Add(1); tasks <- f }, pending.Wait
}

func BenchmarkGo(b *testing.B) {
	ctx := context.Background()
	b.Run("outside/executor", func(b *testing.B) {
		e := newBench(b)
		fn := func(context.Context) {}
		for b.Loop() {
			_ = e.Go(ctx, fn)
		}
		_ = e.Quiesce(ctx)
	})
	b.Run("outside/channel", func(b *testing.B) {
		submit, wait := channelPool(b, 2)
		fn := func() {}
		for b.Loop() {
			submit(fn)
		}
		wait()
	})
	b.Run("outside/goroutine", func(b *testing.B) {
		b.ReportAllocs()
		var wg sync.WaitGroup
		fn := func() { wg.Done() }
		for b.Loop() {
			wg.Add(1)
			go fn()
		}
		wg.Wait()
	})
	b.Run("inside/executor", func(b *testing.B) {
		e := newBench(b)
		fn := func(context.Context) {}
		f, _ := executor.Submit(ctx, e, func(ctx context.Context) (int, error) {
			for b.Loop() {
				_ = e.Go(ctx, fn)
			}
			return 0, nil
		})
		_, _ = f.Wait(ctx)
		_ = e.Quiesce(ctx)
	})
}

func fibFork(ctx context.Context, n int) int {
	if n < 2 {
		return n
	}
	left := executor.Fork(ctx, func(ctx context.Context) int { return fibFork(ctx, n-1) })
	right := fibFork(ctx, n-2)
	return left.Join(ctx) + right
}

func fibGoroutine(n int) int {
	if n < 2 {
		return n
	}
	var left int
	var wg sync.WaitGroup
	wg.Go(func() { left = fibGoroutine(n - 1) })
	right := fibGoroutine(n - 2)
	wg.Wait()
	return left + right
}

// BenchmarkFork reports time per fork: fib(22) forks 28656 times.
func BenchmarkFork(b *testing.B) {
	const n, forks = 22, 28656
	perFork := func(b *testing.B) {
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/forks, "ns/fork")
	}
	b.Run("executor", func(b *testing.B) {
		e := newBench(b)
		for b.Loop() {
			f, err := executor.Submit(context.Background(), e, func(ctx context.Context) (int, error) { return fibFork(ctx, n), nil })
			require.NoError(b, err)
			v, _ := f.Wait(context.Background())
			require.Equal(b, 17711, v)
		}
		perFork(b)
	})
	b.Run("goroutine", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			require.Equal(b, 17711, fibGoroutine(n))
		}
		perFork(b)
	})
}

func BenchmarkPingPong(b *testing.B) {
	ctx := context.Background()
	b.Run("executor", func(b *testing.B) {
		e := newBench(b)
		for b.Loop() {
			f, _ := executor.Submit(ctx, e, func(context.Context) (int, error) { return 1, nil })
			_, _ = f.Wait(ctx)
		}
	})
	b.Run("channel", func(b *testing.B) {
		submit, _ := channelPool(b, 2)
		for b.Loop() {
			done := make(chan int)
			submit(func() { done <- 1 })
			<-done
		}
	})
}

func BenchmarkBlocking(b *testing.B) {
	ctx := context.Background()
	inTask := func(b *testing.B, e *executor.Executor, body func(ctx context.Context)) {
		f, _ := executor.Submit(ctx, e, func(ctx context.Context) (int, error) {
			for b.Loop() {
				body(ctx)
			}
			return 0, nil
		})
		_, _ = f.Wait(ctx)
	}
	b.Run("nothing-queued", func(b *testing.B) {
		inTask(b, newBench(b), func(ctx context.Context) { executor.Blocking(ctx, func() {}) })
	})
	b.Run("queued-unknown", func(b *testing.B) {
		e := newBench(b, executor.WithSlots(1))
		stop := make(chan struct{})
		defer close(stop)
		var again func(ctx context.Context)
		again = func(ctx context.Context) {
			select {
			case <-stop:
			default:
				_ = e.Go(ctx, again)
			}
		}
		_ = e.Go(ctx, again)
		inTask(b, e, func(ctx context.Context) { executor.Blocking(ctx, func() {}) })
	})
	b.Run("thousand-sleepers", func(b *testing.B) {
		e := newBench(b, executor.WithSlots(2), executor.WithMaxSpares(1000))
		for b.Loop() {
			var wg sync.WaitGroup
			for range 1000 {
				wg.Add(1)
				_ = e.Go(ctx, func(ctx context.Context) {
					defer wg.Done()
					executor.Blocking(ctx, func() { time.Sleep(100 * time.Millisecond) })
				})
			}
			wg.Wait()
		}
	})
}

func BenchmarkCheckpoint(b *testing.B) {
	e := newBench(b)
	f, _ := executor.Submit(context.Background(), e, func(ctx context.Context) (int, error) {
		for b.Loop() {
			_ = executor.Checkpoint(ctx)
		}
		return 0, nil
	})
	_, _ = f.Wait(context.Background())
}

func BenchmarkFor(b *testing.B) {
	const n = 10_000_000
	data := make([]int32, n)
	e := newBench(b)
	b.Run("executor", func(b *testing.B) {
		for b.Loop() {
			_ = executor.For(context.Background(), e, n, func(_ context.Context, i int) error { data[i]++; return nil })
		}
	})
	b.Run("chunks", func(b *testing.B) {
		fn := func(_ context.Context, i int) error { data[i]++; return nil }
		for b.Loop() {
			var wg sync.WaitGroup
			for w := range 2 {
				wg.Go(func() {
					for i := w * n / 2; i < (w+1)*n/2; i++ {
						if fn(context.Background(), i) != nil {
							return
						}
					}
				})
			}
			wg.Wait()
		}
	})
}
