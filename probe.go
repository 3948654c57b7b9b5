package executor

import (
	"cmp"
	"context"
	rtrace "runtime/trace"
	"sync/atomic"
	"time"

	"github.com/seed-97bda89a/executor/internal/sched"
	"go.opentelemetry.io/otel/trace"
)

// probe watches one task, from its submission to its end. Most tasks have none: it is made for those that
// are measured, have a span, or are submitted while the execution tracer runs. It lives in the closure
// that wraps the task's function, and in the task's origin: a task that ends without having started abandons it (R1).
type probe struct {
	origin    // of a bare task that is watched; other tasks have their own
	e         *Executor
	begun     bool          // the task has started
	submitted time.Duration // since epoch
	started   time.Duration
	measured  bool
	traced    bool  // it gets a span
	detached  bool  // nobody waits for it
	home      *slot // of the task that submitted it, or nil
	at        *slot // where it started, if it is measured
	outer     *probe
	last      *atomic.Int64 // when a task from the same source was last measured

	span    trace.Span // nil if it has none
	events  atomic.Int32
	marked  atomic.Bool // the keeper has seen it stand still
	stalled atomic.Bool // and that is in the span

	task   *rtrace.Task // of the execution tracer, or nil
	within context.Context
	region *rtrace.Region

	explored sched.Task // in executortest.Explore, or nil: then nothing else of it is used
	by       sched.Task // who submits it
}

// probeFor returns the probe of a task that is submitted with ctx, or nil. Its parent is given, and r is
// the calling goroutine's runner if it is one of this executor, else nil.
func (e *Executor) probeFor(ctx, parent context.Context, r *runner, traced, detached bool) *probe {
	due := e.sampleDue(r)
	if !due && !traced && !rtrace.IsEnabled() {
		return nil
	}
	return e.newProbe(ctx, parent, r, due, traced, detached)
}

// newProbe is probeFor when there is a reason to watch the task: it is due to be measured, it gets a span,
// or the execution tracer runs.
func (e *Executor) newProbe(ctx, parent context.Context, r *runner, due, traced, detached bool) *probe {
	if e.pool != nil {
		return e.newExplored(ctx, parent, r)
	}
	measured, executionTraced := due && e.measuring(ctx) && e.inTime(r), rtrace.IsEnabled()
	if !measured && !traced && !executionTraced {
		return nil
	}
	p := &probe{e: e, measured: measured, traced: traced, detached: detached, last: e.lastSample(r)}
	if executionTraced {
		name := nameOf(parent)
		if name == "" {
			name = defaultTaskName
		}
		p.within, p.task = rtrace.NewTask(baseOf(parent), name)
		e.sampler.tracing.Add(1)
	}
	if r != nil {
		p.home = r.slot
	}
	p.submitted = time.Since(epoch)
	if p.submitted < 0 && e.bubble == 0 { // by the clock of a bubble: the executor has another one
		p.measured = false
	}
	return p
}

// abandon is the end of a probe whose task has not started, and is not going to: nothing of it stays open, and its turn
// to be measured goes to another task. A nil probe has none.
func (p *probe) abandon() {
	if p == nil || p.begun {
		return
	}
	p.begun = true
	if p.explored != nil {
		p.explored.Drop()
		return
	}
	p.endTask()
	if p.measured {
		p.last.Store(0)
		p.e.sampler.owed.Add(1)
	}
}

// endTask ends the execution tracer's task, if there is one.
func (p *probe) endTask() {
	if p.task != nil {
		p.task.End()
		p.e.sampler.tracing.Add(-1)
	}
}

// entry returns the entry of a bare task, of the given origin if nobody watches it.
func (p *probe) entry(fn func(context.Context), of *origin) entry {
	if p == nil {
		return entry{fn: fn, of: of}
	}
	p.origin = origin{parent: of.parent, probe: p}
	return entry{fn: p.bare(fn), of: &p.origin}
}

// start is called when the task starts, with its context. It returns the context for its function.
func (p *probe) start(ctx context.Context) context.Context {
	p.begun = true
	p.started = time.Since(epoch)
	if p.traced || p.task != nil {
		ctx = p.enter(ctx.(*taskContext))
	}
	if p.measured {
		p.at = taskOf(ctx).r.slot
		p.waited(ctx, p.started-p.submitted)
	}
	return ctx
}

// note tells whoever watches of the task.
func (p *probe) note(ctx context.Context, ok bool) {
	if note := p.e.noter.Load(); note != nil {
		(*note)(p, ctx, ok)
	}
}

// enter starts the span and the region of the execution tracer. The context that it returns is a task
// context, as others find tasks by that, whose parent has both.
func (p *probe) enter(tc *taskContext) *taskContext {
	r, base := tc.r, baseOf(tc.parent)
	inner := base
	if p.task != nil {
		inner = p.within
		p.region = rtrace.StartRegion(inner, "executor.run")
	}
	sampled := false
	if p.traced {
		inner = p.startSpan(inner, tc.parent, r, tc.name)
		sampled = p.span.SpanContext().IsSampled()
	}
	p.outer = r.probe.Load()
	r.probe.Store(p)
	traced := &taskContext{origin: origin{parent: &tracedContext{inner, base}}, r: r, name: tc.name}
	if p.traced {
		traced.knowSpan(sampled)
	}
	return traced
}

// end is deferred around the task's function. It recovers from a panic only to put it into the span, and
// panics on, on top of the task's stack.
func (p *probe) end(ctx context.Context, returned *bool, err *error) {
	if p.measured {
		p.ran(ctx, time.Since(epoch)-p.started, *returned, *err)
		p.note(ctx, *returned && *err == nil)
	}
	if !p.traced && p.task == nil {
		return
	}
	ctx.(*taskContext).r.probe.Store(p.outer)
	if p.task != nil {
		p.region.End()
		p.endTask()
	}
	switch {
	case !p.traced:
	case *returned:
		p.endSpan(true, *err, nil)
	default:
		value := recover()
		p.endSpan(false, nil, value)
		if value != nil {
			panic(value)
		}
	}
}

// endPanicking is end for a panic that must not be recovered.
func (p *probe) endPanicking(ctx context.Context) {
	if p.measured {
		p.ran(ctx, time.Since(epoch)-p.started, false, nil)
		p.note(ctx, false)
	}
	if !p.traced && p.task == nil {
		return
	}
	ctx.(*taskContext).r.probe.Store(p.outer)
	if p.task != nil {
		p.region.End()
		p.task.End()
	}
	if p.traced {
		p.fail("panic", "panic")
		p.span.End()
	}
}

// The wrappings, one for each kind of task. A nil probe wraps nothing.

func (p *probe) bare(fn func(context.Context)) func(context.Context) {
	if p == nil {
		return fn
	}
	if p.explored != nil {
		p.submitInTurn()
		return func(ctx context.Context) { _ = p.inTurn(ctx, true, fn) }
	}
	return func(ctx context.Context) {
		var returned bool
		var err error
		ctx = p.start(ctx)
		defer p.end(ctx, &returned, &err)
		fn(ctx)
		returned = true
	}
}

func (p *probe) failing(fn func(context.Context) error) func(context.Context) error {
	if p == nil {
		return fn
	}
	if p.explored != nil {
		p.submitInTurn()
		return func(ctx context.Context) (err error) {
			return cmp.Or(p.inTurn(ctx, true, func(ctx context.Context) { err = fn(ctx) }), err)
		}
	}
	return func(ctx context.Context) (err error) {
		var returned bool
		ctx = p.start(ctx)
		defer p.end(ctx, &returned, &err)
		err = fn(ctx)
		returned = true
		return err
	}
}

// guest wraps the function of a Do. A panic must pass through with its own stack, so nothing is recovered.
func (p *probe) guest(fn func(context.Context) error) func(context.Context) error {
	if p.explored != nil {
		return func(ctx context.Context) (err error) {
			return cmp.Or(p.inTurn(ctx, true, func(ctx context.Context) { err = fn(ctx) }), err)
		}
	}
	return func(ctx context.Context) (err error) {
		returned := false
		ctx = p.start(ctx)
		defer func() {
			switch {
			case returned || !unwinding("runtime.gopanic"):
				p.end(ctx, &returned, &err)
			default:
				p.endPanicking(ctx)
			}
		}()
		err = fn(ctx)
		returned = true
		return err
	}
}

func probeResult[T any](p *probe, fn func(context.Context) (T, error)) func(context.Context) (T, error) {
	if p == nil {
		return fn
	}
	if p.explored != nil {
		p.submitInTurn()
		return func(ctx context.Context) (v T, err error) {
			refused := p.inTurn(ctx, true, func(ctx context.Context) { v, err = fn(ctx) })
			return v, cmp.Or(refused, err)
		}
	}
	return func(ctx context.Context) (v T, err error) {
		var returned bool
		ctx = p.start(ctx)
		defer p.end(ctx, &returned, &err)
		v, err = fn(ctx)
		returned = true
		return v, err
	}
}

func probeFork[T any](p *probe, fn func(context.Context) T) func(context.Context) T {
	if p == nil {
		return fn
	}
	if p.explored != nil {
		return func(ctx context.Context) (v T) {
			_ = p.inTurn(ctx, false, func(ctx context.Context) { v = fn(ctx) })
			return v
		}
	}
	return func(ctx context.Context) (v T) {
		var returned bool
		var err error
		ctx = p.start(ctx)
		defer p.end(ctx, &returned, &err)
		v = fn(ctx)
		returned = true
		return v
	}
}
