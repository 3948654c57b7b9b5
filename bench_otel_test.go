package executor_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

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
