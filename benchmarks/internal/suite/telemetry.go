package suite

import (
	"context"

	"github.com/seed-97bda89a/executor"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/seed-97bda89a/executor/benchmarks/internal/contend"
	"github.com/seed-97bda89a/executor/benchmarks/internal/meter"
)

// telemetry submits empty tasks from outside with OpenTelemetry's SDK attached.
// Every task has a parent span that is not sampled, as most requests do.
func telemetry() Row {
	const withMeter, withTracer = "executor-meter", "executor-tracer"
	run := func(opts func(*sdkmetric.MeterProvider, *sdktrace.TracerProvider) []executor.Option) func(*meter.Meter) error {
		return func(m *meter.Meter) error {
			mp := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()))
			tp := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.NeverSample())))
			defer func() {
				_ = mp.Shutdown(context.Background()) // nothing is exported
				_ = tp.Shutdown(context.Background())
			}()
			p, err := contend.OpenExecutor(append(opts(mp, tp), executor.WithSlots(m.Slots))...)
			if err != nil {
				return err
			}
			defer p.Close()
			ctx := unsampled()
			m.Start()
			defer m.Stop()
			if err := repeat(ctx, p, m.N, contend.Empty); err != nil {
				return err
			}
			return p.Wait()
		}
	}
	return Row{
		Group: "Telemetry", Scenario: "outside=1", Title: "empty tasks with OpenTelemetry attached, parent span not sampled", Op: "task",
		Size: 1_000_000, QuickSize: 200_000,
		Entries: []Entry{
			{Name: contend.Executor, Run: run(func(*sdkmetric.MeterProvider, *sdktrace.TracerProvider) []executor.Option {
				return nil
			})},
			{Name: withMeter, Run: run(func(mp *sdkmetric.MeterProvider, _ *sdktrace.TracerProvider) []executor.Option {
				return []executor.Option{executor.WithMeterProvider(mp)}
			})},
			{Name: withTracer, Run: run(func(_ *sdkmetric.MeterProvider, tp *sdktrace.TracerProvider) []executor.Option {
				return []executor.Option{executor.WithTracerProvider(tp)}
			})},
			{Name: "channel-counter", Run: channelWithCounter},
		},
		Goals: []Goal{
			atMostTimes(1.05, contend.Executor).of(withMeter),
			atMostMore(40, contend.Executor).of(withTracer),
		},
		Note: "`channel-counter` is what one would write by hand: the channel twin with one SDK counter added to in every task.",
	}
}

// unsampled returns a context with a span that came from elsewhere and is not
// recorded.
func unsampled() context.Context {
	return trace.ContextWithRemoteSpanContext(context.Background(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, Remote: true,
	}))
}

func channelWithCounter(m *meter.Meter) error {
	mp := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()))
	defer func() { _ = mp.Shutdown(context.Background()) }() // nothing is exported
	done, err := mp.Meter("benchmark").Int64Counter("tasks", metric.WithDescription("Tasks done."))
	if err != nil {
		return err
	}
	return withPool(m, contend.Named("channel")[0], contend.Config{Slots: m.Slots}, func(p contend.Pool) error {
		ctx := unsampled()
		t := contend.TaskOf(func(context.Context) { done.Add(ctx, 1) })
		m.Start()
		defer m.Stop()
		if err := repeat(ctx, p, m.N, t); err != nil {
			return err
		}
		return p.Wait()
	})
}
