package executor

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// newTracing makes a provider that keeps what has ended.
func newTracing(t testing.TB, opts ...sdktrace.TracerProviderOption) (*tracetest.InMemoryExporter, *sdktrace.TracerProvider) {
	x := tracetest.NewInMemoryExporter()
	tp := sdktrace.NewTracerProvider(append([]sdktrace.TracerProviderOption{sdktrace.WithSyncer(x)}, opts...)...)
	t.Cleanup(func() { require.NoError(t, tp.Shutdown(context.Background())) })
	return x, tp
}

// request starts a sampled span, as a server does for a request.
func request(tp *sdktrace.TracerProvider) (context.Context, trace.Span) {
	return tp.Tracer("test").Start(context.Background(), "request")
}

// named returns the spans with a name.
func named(spans tracetest.SpanStubs, name string) tracetest.SpanStubs {
	return slices.DeleteFunc(slices.Clone(spans), func(s tracetest.SpanStub) bool { return s.Name != name })
}

func value(s tracetest.SpanStub, key string) (attribute.Value, bool) {
	set := attribute.NewSet(s.Attributes...)
	return set.Value(attribute.Key(key))
}

func eventNames(s tracetest.SpanStub) (names []string) {
	for _, event := range s.Events {
		names = append(names, event.Name)
	}
	return names
}

// spanKinds are the ways to submit a task: each submits one that calls body, and waits for it.
var spanKinds = []struct {
	name   string
	child  bool // of the submitter's span
	submit func(t *testing.T, ctx context.Context, e *Executor, body func(context.Context) error)
}{
	{"Go", false, func(t *testing.T, ctx context.Context, e *Executor, body func(context.Context) error) {
		require.NoError(t, e.Go(ctx, func(ctx context.Context) { _ = body(ctx) }))
	}},
	{"TryGo", false, func(t *testing.T, ctx context.Context, e *Executor, body func(context.Context) error) {
		require.NoError(t, e.TryGo(ctx, func(ctx context.Context) { _ = body(ctx) }))
	}},
	{"Submit", true, func(t *testing.T, ctx context.Context, e *Executor, body func(context.Context) error) {
		f, err := Submit(ctx, e, func(ctx context.Context) (int, error) { return 0, body(ctx) })
		require.NoError(t, err)
		_, _ = f.Wait(context.WithoutCancel(ctx))
	}},
	{"TrySubmit", true, func(t *testing.T, ctx context.Context, e *Executor, body func(context.Context) error) {
		f, err := TrySubmit(ctx, e, func(ctx context.Context) (int, error) { return 0, body(ctx) })
		require.NoError(t, err)
		_, _ = f.Wait(context.WithoutCancel(ctx))
	}},
	{"Do", true, func(t *testing.T, ctx context.Context, e *Executor, body func(context.Context) error) {
		done := make(chan struct{})
		go func() { // a panic or Goexit passes through
			defer close(done)
			defer func() { _ = recover() }()
			_ = e.Do(ctx, body)
		}()
		<-done
	}},
	{"Group", true, func(t *testing.T, ctx context.Context, e *Executor, body func(context.Context) error) {
		g := e.NewGroup(ctx)
		g.Go(body)
		_ = g.Wait()
	}},
	{"ForEach", true, func(t *testing.T, ctx context.Context, e *Executor, body func(context.Context) error) {
		_ = ForEach(ctx, e, slices.Values([]int{1}), func(ctx context.Context, _ int) error { return body(ctx) })
	}},
	{"For", true, func(t *testing.T, ctx context.Context, e *Executor, body func(context.Context) error) {
		_ = For(ctx, e, 1, func(ctx context.Context, _ int) error { return body(ctx) })
	}},
}

// Mutants: a child of Go and TryGo; a root without a link; the span of one task as the parent of the next;
// a context that is not that of a task any more.
func TestSpans_ChildrenAndLinks(t *testing.T) {
	for _, kind := range spanKinds {
		t.Run(kind.name, func(t *testing.T) {
			x, tp := newTracing(t)
			e := newMeasured(t)
			ctx, span := request(tp)
			for range 2 {
				kind.submit(t, ctx, e, func(ctx context.Context) error {
					if own, ok := FromContext(ctx); !ok || own != e {
						t.Error("the context is not that of a task")
					}
					if !trace.SpanFromContext(ctx).IsRecording() {
						t.Error("the context has no span")
					}
					return nil
				})
				require.NoError(t, e.Quiesce(context.Background()))
			}
			span.End()
			spans := named(x.GetSpans(), defaultTaskName)
			require.Len(t, spans, 2)
			for _, s := range spans {
				require.Equal(t, trace.SpanKindInternal, s.SpanKind)
				require.Equal(t, ScopeName, s.InstrumentationScope.Name)
				require.Equal(t, Version, s.InstrumentationScope.Version)
				require.Equal(t, codes.Unset, s.Status.Code)
				if kind.child {
					require.Equal(t, span.SpanContext(), s.Parent)
					require.Empty(t, s.Links)
				} else {
					require.False(t, s.Parent.IsValid())
					require.NotEqual(t, span.SpanContext().TraceID(), s.SpanContext.TraceID())
					require.Len(t, s.Links, 1)
					require.Equal(t, span.SpanContext(), s.Links[0].SpanContext)
				}
			}
		})
	}
}

func TestSpans_TasksOfTasks(t *testing.T) {
	x, tp := newTracing(t)
	e := newMeasured(t)
	ctx, span := request(tp)
	f, err := Submit(WithTaskName(ctx, "outer"), e, func(ctx context.Context) (int, error) {
		if err := e.Go(WithTaskName(ctx, "detached"), func(context.Context) {}); err != nil {
			return 0, err
		}
		inner, err := Submit(WithTaskName(ctx, "inner"), e, func(context.Context) (int, error) { return 1, nil })
		if err != nil {
			return 0, err
		}
		forked := Fork(WithTaskName(ctx, "forked"), func(context.Context) int { return 1 })
		plain := ForkWith(ctx, func(_ context.Context, n int) int { return n }, 1)
		v, err := inner.Wait(ctx)
		return v + forked.Join(ctx) + plain.Join(ctx), err
	})
	require.NoError(t, err)
	v, err := f.Wait(context.Background())
	require.NoError(t, err)
	require.Equal(t, 3, v)
	require.NoError(t, e.Quiesce(context.Background()))
	span.End()

	spans := x.GetSpans()
	outer := named(spans, "outer")
	require.Len(t, outer, 2, "the fork without a name of its own has that of its task")
	parent := outer[slices.IndexFunc(outer, func(s tracetest.SpanStub) bool { return s.Parent.Equal(span.SpanContext()) })]
	for _, name := range []string{"inner", "forked"} {
		child := named(spans, name)
		require.Len(t, child, 1, name)
		require.True(t, child[0].Parent.Equal(parent.SpanContext), name)
		v, _ := value(child[0], "executor.task.name")
		require.Equal(t, name, v.AsString())
	}
	detached := named(spans, "detached")
	require.Len(t, detached, 1)
	require.False(t, detached[0].Parent.IsValid())
	require.True(t, detached[0].Links[0].SpanContext.Equal(parent.SpanContext))
}

// Only a sampled parent makes spans. Mutant: to look whether there is a span.
func TestSpans_OnlyForSampledParents(t *testing.T) {
	_, unsampling := newTracing(t, sdktrace.WithSampler(sdktrace.NeverSample()))
	x, always := newTracing(t)
	e := newMeasured(t, WithTracerProvider(sampleAll{always}))
	unsampled, span := request(unsampling)
	for _, ctx := range []context.Context{context.Background(), unsampled} {
		for _, kind := range spanKinds {
			kind.submit(t, ctx, e, func(context.Context) error { return nil })
		}
	}
	span.End()
	require.NoError(t, e.Quiesce(context.Background()))
	require.Empty(t, x.GetSpans())
}

// sampleAll is a provider that never asks a parent whether it is sampled.
type sampleAll struct{ trace.TracerProvider }

func (p sampleAll) Tracer(name string, opts ...trace.TracerOption) trace.Tracer {
	return rootTracer{p.TracerProvider.Tracer(name, opts...)}
}

type rootTracer struct{ trace.Tracer }

func (r rootTracer) Start(ctx context.Context, name string, opts ...trace.SpanStartOption) (context.Context, trace.Span) {
	return r.Tracer.Start(ctx, name, append(opts, trace.WithNewRoot())...)
}

// Mutant: to look whether the parent's span records, instead of whether it is sampled.
func TestSpans_WhoseProvider(t *testing.T) {
	submit := func(ctx context.Context, e *Executor) {
		f, err := Submit(ctx, e, func(context.Context) (int, error) { return 1, nil })
		require.NoError(t, err)
		_, err = f.Wait(context.Background())
		require.NoError(t, err)
	}
	ofParent, parents := newTracing(t)
	given, givens := newTracing(t)
	global, globals := newTracing(t)
	before := otel.GetTracerProvider()
	otel.SetTracerProvider(globals)
	t.Cleanup(func() { otel.SetTracerProvider(before) })
	ctx, span := request(parents)
	span.End() // the context stays sampled, though the span records no more

	submit(ctx, newMeasured(t))
	require.Len(t, named(ofParent.GetSpans(), defaultTaskName), 1)
	submit(ctx, newMeasured(t, WithTracerProvider(givens)))
	require.Len(t, given.GetSpans(), 1)
	remote := trace.ContextWithRemoteSpanContext(context.Background(), span.SpanContext())
	submit(remote, newMeasured(t))
	require.Len(t, global.GetSpans(), 1)
	require.Len(t, named(ofParent.GetSpans(), defaultTaskName), 1)
}

func TestSpans_SayWhereAndHowLong(t *testing.T) {
	const pause = 20 * time.Millisecond
	x, tp := newTracing(t)
	e := newMeasured(t, WithSlots(2), WithStallDetection(false))
	ctx, span := request(tp)
	stolen := make(chan struct{})
	require.NoError(t, e.Go(WithTaskName(ctx, "first"), func(ctx context.Context) {
		_ = e.Go(WithTaskName(ctx, "stolen"), func(context.Context) { close(stolen) })
		<-stolen // on the other slot
		_ = e.Go(WithTaskName(ctx, "kept"), func(context.Context) {})
		time.Sleep(pause)
	}))
	require.NoError(t, e.Quiesce(context.Background()))
	span.End()
	spans := x.GetSpans()
	first, taken := named(spans, "first")[0], named(spans, "stolen")[0]
	name, _ := value(first, "executor.name")
	require.Equal(t, e.name, name.AsString())
	wait, ok := value(first, "executor.queue.wait")
	require.True(t, ok)
	require.Equal(t, attribute.FLOAT64, wait.Type())
	_, ok = value(first, "executor.stolen")
	require.False(t, ok, "it came from outside")
	was, _ := value(taken, "executor.stolen")
	require.True(t, was.AsBool())
	one, _ := value(first, "executor.slot")
	other, _ := value(taken, "executor.slot")
	require.ElementsMatch(t, []int64{0, 1}, []int64{one.AsInt64(), other.AsInt64()})
	require.GreaterOrEqual(t, first.EndTime.Sub(first.StartTime), pause)
}

func TestSpans_Events(t *testing.T) {
	x, tp := newTracing(t)
	e := newMeasured(t)
	ctx, span := request(tp)
	f, err := Submit(ctx, e, func(ctx context.Context) (int, error) {
		Blocking(ctx, func() { Blocking(ctx, func() {}) })
		if err := e.Go(context.Background(), func(context.Context) {}); err != nil {
			return 0, err
		}
		err := Yield(ctx)
		for range maxEvents {
			Blocking(ctx, func() {})
		}
		return 0, err
	})
	require.NoError(t, err)
	_, err = f.Wait(context.Background())
	require.NoError(t, err)
	require.NoError(t, e.Quiesce(context.Background()))
	span.End()
	spans := named(x.GetSpans(), defaultTaskName)
	require.Len(t, spans, 1)
	events := eventNames(spans[0])
	require.Equal(t, []string{"executor.blocking.enter", "executor.blocking.exit", "executor.yield"}, events[:3])
	require.Len(t, events, maxEvents)
}

// A task of one executor that stands still, while another waits for its slot.
func TestSpans_Stalls(t *testing.T) {
	x, tp := newTracing(t)
	e := newMeasured(t, WithMaxSpares(0), WithBudget(time.Millisecond))
	ctx, span := request(tp)
	release := make(chan struct{})
	require.NoError(t, e.Go(ctx, func(ctx context.Context) {
		r := taskOf(ctx).r
		for !r.probe.Load().stalled.Load() {
			time.Sleep(time.Millisecond)
		}
		close(release)
	}))
	require.NoError(t, e.Go(context.Background(), func(context.Context) {}))
	select {
	case <-release:
	case <-time.After(30 * time.Second):
		t.Error("no stall was noticed")
	}
	require.NoError(t, e.Quiesce(context.Background()))
	span.End()
	s := named(x.GetSpans(), defaultTaskName)[0]
	require.Equal(t, []string{"executor.stall"}, eventNames(s))
	require.Equal(t, attribute.Key("executor.stall.reason"), s.Events[0].Attributes[0].Key)
}

// The context of a traced task is handed to other goroutines, and used there while the task runs and after
// it. With -race.
func TestSpans_ALeakedContextWorks(t *testing.T) {
	x, tp := newTracing(t)
	e := newMeasured(t, WithSlots(2))
	ctx, span := request(tp)
	leaked := make(chan context.Context, 1)
	running := make(chan struct{})
	require.NoError(t, e.Go(WithTaskName(ctx, "leaks"), func(ctx context.Context) {
		leaked <- ctx
		<-running
	}))
	task := <-leaked
	use := func() {
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				f, err := Submit(task, e, func(context.Context) (int, error) { return 1, nil })
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = f.Wait(task)
				Blocking(task, func() {})
				_ = Yield(task)
				if err := e.Go(task, func(context.Context) {}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	use()
	close(running)
	require.NoError(t, e.Quiesce(context.Background()))
	use()
	require.NoError(t, e.Quiesce(context.Background()))
	span.End()
	spans := named(x.GetSpans(), "leaks")
	require.Len(t, spans, 1+2*4*2)
	own := spans[slices.IndexFunc(spans, func(s tracetest.SpanStub) bool {
		return len(s.Links) == 1 && s.Links[0].SpanContext.Equal(span.SpanContext())
	})]
	require.Empty(t, own.Events, "other goroutines block and yield, not the task")
	for _, s := range spans {
		if !s.SpanContext.Equal(own.SpanContext) {
			require.True(t, s.Parent.Equal(own.SpanContext) || s.Links[0].SpanContext.Equal(own.SpanContext))
		}
	}
}
