package jobs_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/executortest"
	"github.com/seed-97bda89a/executor/jobs"
	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// Mutants: without WithNewRoot, WithLinks.
//
// The trace goes with the job: a producer's span below the sender's, and for each attempt a root with a link to it.
func TestTelemetry(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	reader := sdkmetric.NewManualReader()
	mp := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	q := jobs.Memory(time.Hour)
	kind := jobs.Define("mail", func(ctx context.Context, _ int) error {
		if info, _ := jobs.InfoOf(ctx); info.Attempt == 1 {
			return errors.New("once")
		}
		return nil
	}, soon)
	w, err := jobs.NewWorker(executortest.New(t, executor.WithTracerProvider(tp)), q, jobs.Kinds(kind), jobs.WithTracerProvider(tp), jobs.WithMeterProvider(mp))
	require.NoError(t, err)
	traced, program := tp.Tracer("test").Start(bg, "program") // no parent of a job, although tasks are traced
	traced, cancel := context.WithCancel(traced)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- w.Serve(traced) }()
	ctx, parent := tp.Tracer("test").Start(bg, "request")
	require.NoError(t, kind.Go(ctx, q, 1))
	parent.End()
	waitFor(t, func() bool { return w.Stats().Done == 1 })
	waitFor(t, func() bool { return !w.Stats().DepthAt.IsZero() })

	var all metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(bg, &all))
	found := make(map[string]bool)
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			found[m.Name] = true
		}
	}
	for _, name := range []string{"messaging.process.duration", "executor.jobs.settled", "executor.jobs.redelivered", "executor.jobs.in_flight",
		"executor.jobs.lag", "executor.jobs.oldest.age", "executor.jobs.dead", "executor.jobs.overdue"} {
		require.True(t, found[name], name)
	}
	cancel()
	require.NoError(t, <-done)
	program.End()

	var send sdktrace.ReadOnlySpan
	var attempts []sdktrace.ReadOnlySpan
	for _, s := range spans.Ended() {
		switch s.Name() {
		case "send mail":
			send = s
		case "process mail":
			attempts = append(attempts, s)
		}
	}
	require.NotNil(t, send)
	require.Equal(t, trace.SpanKindProducer, send.SpanKind())
	require.Equal(t, parent.SpanContext().SpanID(), send.Parent().SpanID())
	require.Len(t, attempts, 2)
	for _, s := range attempts {
		require.Equal(t, trace.SpanKindConsumer, s.SpanKind())
		require.False(t, s.Parent().IsValid(), "a trace of its own")
		require.Len(t, s.Links(), 1)
		require.Equal(t, send.SpanContext().SpanID(), s.Links()[0].SpanContext.SpanID())
		require.Equal(t, send.SpanContext().TraceID(), s.Links()[0].SpanContext.TraceID())
	}
}
