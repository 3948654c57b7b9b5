package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	rtrace "runtime/trace"
	"strings"
	"testing"

	"github.com/seed-97bda89a/executor/internal/testkit"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// What spans say of how a task ended.

func TestSpans_HowATaskEnds(t *testing.T) {
	for name, c := range map[string]struct {
		body              func(context.Context) error
		kind, description string
	}{
		"an error":      {func(context.Context) error { return errors.New("ordinary") }, "*errors.errorString", "ordinary"},
		"a long one":    {func(context.Context) error { return errors.New("first\nsecond") }, "*errors.errorString", "first"},
		"ours":          {func(context.Context) error { return fmt.Errorf("wrapped: %w", ErrQueueFull) }, "queue_full", "wrapped: executor: queue full"},
		"a deadline":    {func(context.Context) error { return context.DeadlineExceeded }, "context.deadlineExceededError", "context deadline exceeded"},
		"cancelation":   {func(context.Context) error { return context.Canceled }, "*errors.errorString", "context canceled"},
		"a panic":       {func(context.Context) error { panic("boom") }, "string", "panic: boom"},
		"a panic error": {func(context.Context) error { panic(&PanicError{Value: "boom"}) }, "string", "panic: boom"},
		"a Goexit":      {func(context.Context) error { runtime.Goexit(); return nil }, "goexit", ErrGoexit.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			for _, k := range spanKinds {
				panics := strings.HasPrefix(name, "a panic")
				if k.name == "For" && (panics || name == "a Goexit") || k.name == "Do" && panics { // catches them, or lets them pass
					continue
				}
				bareTask := strings.HasSuffix(k.name, "Go")
				if bareTask && !strings.HasPrefix(name, "a panic") && name != "a Goexit" { // has no error
					continue
				}
				x, tp := newTracing(t)
				var handled *PanicError
				e := newMeasured(t, WithPanicHandler(func(_ context.Context, p *PanicError) { handled = p }))
				ctx, span := request(tp)
				k.submit(t, ctx, e, c.body)
				require.NoError(t, e.Quiesce(context.Background()))
				span.End()
				spans := named(x.GetSpans(), defaultTaskName)
				require.Len(t, spans, 1, "%s: a span ends, however its task does", k.name)
				require.Equal(t, codes.Error, spans[0].Status.Code)
				require.Equal(t, c.description, spans[0].Status.Description, k.name)
				v, _ := value(spans[0], "error.type")
				metrics := "error"
				if strings.HasPrefix(name, "a panic") || name == "a Goexit" {
					metrics = "panic"
				}
				require.Equal(t, metrics, v.AsString(), "as in metrics")
				require.Len(t, exceptions(spans[0]), 1)
				require.Equal(t, c.kind, exceptions(spans[0])[0]["exception.type"])
				if bareTask && name == "a panic" {
					require.Contains(t, string(handled.Stack), "TestSpans_HowATaskEnds", "the stack of the panic")
				}
			}
		})
	}
}

// exceptions returns the attributes of a span's exception events.
func exceptions(s tracetest.SpanStub) (all []map[string]string) {
	for _, event := range s.Events {
		if event.Name == "exception" {
			attrs := map[string]string{}
			for _, a := range event.Attributes {
				attrs[string(a.Key)] = a.Value.AsString()
			}
			all = append(all, attrs)
		}
	}
	return all
}

// Mutants: each task that the panic passes through notes it (ten panics in the list, ten exception events); the status has
// the whole stack.
func TestSpans_APanicThroughTenJoinsIsOneEvent(t *testing.T) {
	x, tp := newTracing(t)
	e := newMeasured(t)
	ctx, span := request(tp)
	var down func(ctx context.Context, depth int) int
	down = func(ctx context.Context, depth int) int {
		if depth == 0 {
			panic("at the bottom")
		}
		return Fork(ctx, func(ctx context.Context) int { return down(ctx, depth-1) }).Join(ctx)
	}
	f, err := Submit(ctx, e, func(ctx context.Context) (int, error) { return down(ctx, 10), nil })
	require.NoError(t, err)
	_, err = f.Wait(context.Background())
	var p *PanicError
	require.ErrorAs(t, err, &p)
	require.Equal(t, "at the bottom", p.Value)
	span.End()
	spans := named(x.GetSpans(), defaultTaskName)
	require.Len(t, spans, 11)
	events := 0
	for _, s := range spans {
		require.Equal(t, "panic: at the bottom", s.Status.Description)
		for _, attrs := range exceptions(s) {
			events++
			require.Equal(t, "at the bottom", attrs["exception.message"])
			require.Contains(t, attrs["exception.stacktrace"], "TestSpans_APanicThroughTenJoinsIsOneEvent")
		}
	}
	require.Equal(t, 1, events)
	panics, _ := e.events.list()
	require.Len(t, panics, 1)
	require.Equal(t, 1, panics[0].Count)
}

// Mutant: what passes through OnThread counts as noted before.
func TestSpans_APanicOnAThreadIsOneEventToo(t *testing.T) {
	x, tp := newTracing(t)
	e := newMeasured(t)
	ctx, span := request(tp)
	f, err := Submit(ctx, e, func(ctx context.Context) (int, error) {
		OnThread(ctx, func() { panic("on a thread") })
		return 0, nil
	})
	require.NoError(t, err)
	_, err = f.Wait(context.Background())
	require.Error(t, err)
	span.End()
	spans := named(x.GetSpans(), defaultTaskName)
	require.Len(t, spans, 1)
	require.Len(t, exceptions(spans[0]), 1)
	panics, _ := e.events.list()
	require.Len(t, panics, 1)
}

func TestErrors_HaveATypeForOpenTelemetry(t *testing.T) {
	for err, kind := range map[error]string{
		ErrClosed: "closed", ErrQueueFull: "queue_full", ErrGoexit: "goexit", ErrInTask: "in_task", &PanicError{}: "panic",
	} {
		require.Equal(t, kind, semconv.ErrorType(fmt.Errorf("wrapped: %w", err)).Value.AsString())
		require.ErrorIs(t, fmt.Errorf("wrapped: %w", err), err)
	}
}

// A panic of a traced task that its waiter runs in place reaches the outer future with its own stack.
func TestSpans_APanicKeepsItsStack(t *testing.T) {
	_, tp := newTracing(t)
	e := newMeasured(t)
	ctx, span := request(tp)
	defer span.End()
	f, err := Submit(ctx, e, func(ctx context.Context) (int, error) {
		inner, err := Submit(ctx, e, func(context.Context) (int, error) { panicSite(); return 0, nil })
		if err != nil {
			return 0, err
		}
		return inner.Wait(ctx)
	})
	require.NoError(t, err)
	_, err = f.Wait(context.Background())
	var p *PanicError
	require.ErrorAs(t, err, &p)
	require.Equal(t, "deep", p.Value)
	require.Contains(t, string(p.Stack), "panicSite")
}

//go:noinline
func panicSite() { panic("deep") }

// Mutant: the execution tracer's task of what is refused, canceled, dropped or held back never ends.
func TestTracing_WhatDoesNotStartLeavesNothingOpen(t *testing.T) {
	if rtrace.IsEnabled() {
		t.Skip("somebody else traces this process")
	}
	require.NoError(t, rtrace.Start(io.Discard))
	defer rtrace.Stop()
	e, err := New(WithSlots(1), WithQueueLimit(8), WithStallDetection(false))
	require.NoError(t, err)
	release, in := make(chan struct{}), make(chan struct{})
	require.NoError(t, e.Go(context.Background(), func(context.Context) { close(in); <-release }))
	<-in
	g := e.NewGroup(context.Background())
	g.SetLimit(1)
	for range 4 { // one queued, three held
		g.Go(func(context.Context) error { return nil })
	}
	s := NewSerial(e)
	for range 3 {
		require.NoError(t, s.Go(context.Background(), func(context.Context) {}))
	}
	ctx, cancel := context.WithCancel(context.Background())
	f, err := Submit(ctx, e, func(context.Context) (int, error) { return 0, nil })
	require.NoError(t, err)
	done := f.Done()
	for e.TryGo(ctx, func(context.Context) {}) == nil {
	}
	_, err = TrySubmit(ctx, e, func(context.Context) (int, error) { return 0, nil })
	require.ErrorIs(t, err, ErrQueueFull)
	require.False(t, e.NewGroup(ctx).TryGo(func(context.Context) error { return nil }))
	require.Positive(t, e.sampler.tracing.Load())
	cancel()
	<-done
	go func() { _ = e.Close() }()
	testkit.Eventually(t, "all is dropped", func() bool { return e.sampler.tracing.Load() == 1 }) // but what runs
	close(release)
	require.NoError(t, e.Close())
	require.Zero(t, e.sampler.tracing.Load())
}
