package executor_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
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

// BenchmarkObserved tells what observing costs: an executor without providers beside one with a meter of the
// SDK, one with a tracer and parents that are not sampled, and one whose every task has a span, which goes
// nowhere. They take turns, a few thousand tasks each, and the median of each counts, so that a busy machine
// disturbs all of them alike. ns/op means nothing here.
func BenchmarkObserved(b *testing.B) {
	const tasks = 4000
	outside := func(e *executor.Executor, parents []context.Context) {
		for i := range tasks {
			_ = e.Go(parents[i%len(parents)], nothing)
		}
		_ = e.Quiesce(context.Background())
	}
	for _, c := range []struct {
		name    string
		parents int // how many different ones
		run     func(e *executor.Executor, parents []context.Context)
	}{
		{"go-outside", 1, outside},
		{"go-outside/fresh-parents", tasks, outside},
		{"go-inside", 1, func(e *executor.Executor, parents []context.Context) {
			_ = e.Go(parents[0], func(ctx context.Context) {
				for range tasks {
					_ = e.Go(ctx, nothing)
				}
			})
			_ = e.Quiesce(context.Background())
		}},
		{"submit", 1, func(e *executor.Executor, parents []context.Context) {
			for range tasks / 2 {
				_, _ = executor.Submit(parents[0], e, nothingToo)
			}
			_ = e.Quiesce(context.Background())
		}},
		{"fork", 1, func(e *executor.Executor, parents []context.Context) {
			f, _ := executor.Submit(parents[0], e, func(ctx context.Context) (int, error) { return fibFork(ctx, 18), nil })
			_, _ = f.Wait(context.Background())
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			observe(b, c.parents, c.run)
		})
	}
}

func nothing(context.Context)                 {}
func nothingToo(context.Context) (int, error) { return 0, nil }

func observe(b *testing.B, parents int, run func(*executor.Executor, []context.Context)) {
	plain := make([]context.Context, parents)
	unsampled, sampled := slices.Clone(plain), slices.Clone(plain)
	dropped := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample()))
	kept := sdktrace.NewTracerProvider()
	for i := range plain {
		plain[i] = context.WithValue(context.Background(), ctxKey{}, i)
		_, span := dropped.Tracer("").Start(context.Background(), "")
		unsampled[i] = trace.ContextWithSpan(context.Background(), span)
		_, span = kept.Tracer("").Start(context.Background(), "")
		sampled[i] = trace.ContextWithSpan(context.Background(), span)
	}
	reader := metric.NewManualReader()
	meters := metric.NewMeterProvider(metric.WithReader(reader))
	variants := []struct {
		name    string
		e       *executor.Executor
		parents []context.Context
		times   []time.Duration
	}{
		{name: "bare", e: newBench(b), parents: plain},
		{name: "meter", e: newBench(b, executor.WithMeterProvider(meters)), parents: plain},
		{name: "unsampled", e: newBench(b, executor.WithTracerProvider(dropped)), parents: unsampled},
		{name: "spans", e: newBench(b, executor.WithTracerProvider(kept)), parents: sampled},
	}
	tasks := func() uint64 { return variants[0].e.Stats().Submitted }
	before := tasks()
	run(variants[0].e, plain)
	each := float64(tasks() - before)
	for turn := 0; b.Loop(); turn++ {
		for i := range variants {
			v := &variants[(turn+i)%len(variants)] // who comes after the one with spans pays for its garbage
			start := time.Now()
			run(v.e, v.parents)
			v.times = append(v.times, time.Since(start))
		}
	}
	median := func(i int) float64 {
		slices.Sort(variants[i].times)
		return float64(variants[i].times[len(variants[i].times)/2]) / each
	}
	bare := median(0)
	b.ReportMetric(bare, "bare-ns/task")
	b.ReportMetric(100*(median(1)/bare-1), "meter-%")
	for i := 1; i < len(variants); i++ {
		b.ReportMetric(median(i)-bare, "+"+variants[i].name+"-ns/task")
	}
	require.NoError(b, meters.Shutdown(context.Background()))
	require.NoError(b, dropped.Shutdown(context.Background()))
	require.NoError(b, kept.Shutdown(context.Background()))
}
