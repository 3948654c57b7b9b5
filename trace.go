package executor

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime/debug"
	rtrace "runtime/trace"
	"slices"
	"strings"
	"sync/atomic"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// Spans. A task has one if the span context of its parent is sampled: that is known when it is submitted,
// whatever happens to the parent's span meanwhile. It is a child of that span if somebody waits for the
// task, and else the root of a new trace, with a link.

// maxEvents bounds the events of one span. A task in a loop would fill the exporter's memory with them.
const maxEvents = 32

const defaultTaskName = "executor.task"

// tracedContext is the parent in the context of a task that is traced: base, which is the parent without
// the task's own span, and the span. Children of the task get their spans over base: tasks that submit
// themselves again would else build an endless chain.
type tracedContext struct {
	context.Context
	base context.Context
}

// baseOf returns the parent of a task without the spans of tasks that it stems from.
func baseOf(parent context.Context) context.Context {
	switch c := parent.(type) {
	case *tracedContext:
		return c.base
	case *namedContext:
		if base := baseOf(c.Context); !sameContext(base, c.Context) {
			return c.on(base)
		}
	}
	return parent
}

// sampledSpan reports whether tasks with this parent have spans.
func sampledSpan(parent context.Context) bool {
	return !sameContext(parent, background) && trace.SpanContextFromContext(parent).IsSampled()
}

// What a taskContext knows about its children.
const (
	spansUnknown = iota
	spansNone
	spansWanted
)

// traced reports whether children with the context's parent have spans. It looks only once, and only if
// there are children.
func (c *taskContext) traced() bool {
	known := c.spans.Load()
	return known == spansWanted || known == spansUnknown && c.lookForSpan()
}

func (c *taskContext) lookForSpan() bool {
	sampled := sampledSpan(c.parent)
	c.knowSpan(sampled)
	return sampled
}

func (c *taskContext) knowSpan(sampled bool) {
	if sampled {
		c.spans.Store(spansWanted)
	} else {
		c.spans.Store(spansNone)
	}
}

// traced reports whether a task submitted with ctx, whose parent is given, has a span.
func (e *Executor) traced(ctx, parent context.Context) bool {
	if tc, ok := ctx.(*taskContext); ok {
		return tc.traced()
	}
	if o := e.inject.recent.Load(); o != nil && sameContext(o.parent, parent) {
		return o.traced
	}
	return sampledSpan(parent)
}

// tracer returns the tracer for a task with this parent: of WithTracerProvider, or of the parent's span, or
// the global one if that span is of another process.
func (e *Executor) tracer(parent trace.Span) trace.Tracer {
	provider := e.cfg.tracers
	switch {
	case provider != nil:
	case parent.SpanContext().IsRemote():
		provider = otel.GetTracerProvider()
	default:
		provider = parent.TracerProvider()
	}
	return provider.Tracer(ScopeName, trace.WithInstrumentationVersion(Version))
}

// startSpan starts the task's span on r and returns ctx with it. parent is the task's parent, and ctx the
// same without spans of tasks.
func (p *probe) startSpan(ctx, parent context.Context, r *runner, name *taskName) context.Context {
	attrs := []attribute.KeyValue{
		text("executor.name", p.e.name),
		attribute.Float64("executor.queue.wait", (p.started - p.submitted).Seconds()),
	}
	if i := slices.Index(p.e.slots.Load().list(), r.slot); i >= 0 {
		attrs = append(attrs, attribute.Int("executor.slot", i))
	}
	if p.home != nil {
		attrs = append(attrs, attribute.Bool("executor.stolen", r.slot != p.home))
	}
	spanName := defaultTaskName
	if name != nil {
		spanName = name.name
		attrs = append(attrs, text("executor.task.name", spanName))
	}
	above := trace.SpanFromContext(parent)
	opts := []trace.SpanStartOption{trace.WithAttributes(attrs...)}
	if p.detached {
		opts = append(opts, trace.WithNewRoot(), trace.WithLinks(trace.Link{SpanContext: above.SpanContext()}))
	}
	_, p.span = p.e.tracer(above).Start(trace.ContextWithSpan(ctx, above), spanName, opts...)
	return trace.ContextWithSpan(ctx, p.span)
}

// endSpan ends the span. If the task did not return, value is what it panicked with, or nil for a Goexit. The error.type
// is that of the metrics; what kind of error it was is in the exception event. A panic that has passed through a join has
// its event in the span of the task that it began in.
func (p *probe) endSpan(returned bool, err error, value any) {
	passed, passing := value.(*PanicError)
	passing = passing && passed != nil
	if passing {
		value = passed.Value
	}
	switch {
	case returned && err != nil:
		p.fail("error", err.Error())
		p.exception(err, err.Error(), "")
	case returned:
	case value == nil:
		p.fail("panic", ErrGoexit.Error())
		p.exception(ErrGoexit, ErrGoexit.Error(), string(debug.Stack()))
	default:
		p.fail("panic", "panic: "+panicText(value))
		if !passing {
			p.exception(value, panicText(value), string(debug.Stack()))
		} else if atomic.LoadUint32(&passed.noted) == 0 { // it comes from OnThread
			p.exception(value, panicText(value), string(passed.Stack))
		}
	}
	p.span.End()
}

// fail sets the status, whose description is one line.
func (p *probe) fail(kind, description string) {
	line, _, _ := strings.Cut(description, "\n")
	p.span.SetStatus(codes.Error, cutOff(line, maxStatus))
	p.span.SetAttributes(errorType(kind))
}

// exception adds the event that OpenTelemetry's conventions have for what ended the task.
func (p *probe) exception(value any, message, stack string) {
	kind := fmt.Sprintf("%T", value)
	if err, ok := value.(error); ok {
		kind = errorKind(err)
	}
	attrs := []attribute.KeyValue{text("exception.type", kind), text("exception.message", cutOff(message, maxRecentText))}
	if stack != "" {
		attrs = append(attrs, text("exception.stacktrace", cutOff(stack, maxRecentStack)))
	}
	p.span.AddEvent("exception", trace.WithAttributes(attrs...))
}

// errorKind is what OpenTelemetry's conventions call the type of an error: what its method ErrorType, or that of one that it
// wraps, says; else its type's name, below what fmt.Errorf has put around it. It is semconv.ErrorType, which takes more of
// the standard library into each program.
func errorKind(err error) string {
	if kind := saidKind(err); kind != "" {
		return kind
	}
	t := reflect.TypeOf(err)
	for t.String() == "*fmt.wrapError" {
		err = errors.Unwrap(err)
		if err == nil {
			break
		}
		t = reflect.TypeOf(err)
	}
	if t.PkgPath() != "" && t.Name() != "" {
		return t.PkgPath() + "." + t.Name()
	}
	return t.String()
}

// saidKind is what the first error of the tree says that has a method for it.
func saidKind(err error) string {
	switch err := err.(type) {
	case interface{ ErrorType() string }:
		return err.ErrorType()
	case interface{ Unwrap() error }:
		return saidKind(err.Unwrap())
	case interface{ Unwrap() []error }:
		for _, err := range err.Unwrap() {
			if kind := saidKind(err); kind != "" {
				return kind
			}
		}
	}
	return ""
}

// maxStatus bounds the description of a span's status.
const maxStatus = 256

// event adds an event to the task's span, if it has one and it has not got too many. Any goroutine.
func (p *probe) event(name string, attrs ...attribute.KeyValue) {
	if p.span != nil && p.events.Add(1) <= maxEvents {
		p.span.AddEvent(name, trace.WithAttributes(attrs...))
	}
}

// block marks the start of a Blocking call, and returns what marks its end.
func (p *probe) block() (leave func()) {
	if p.explored != nil {
		return p.blockInTurn()
	}
	p.event("executor.blocking.enter")
	var region *rtrace.Region
	if p.task != nil {
		region = rtrace.StartRegion(p.within, "executor.blocking")
	}
	return func() {
		if region != nil {
			region.End()
		}
		p.event("executor.blocking.exit")
	}
}
