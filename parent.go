package executor

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// Parents of tasks. Tasks hand their contexts to each other for ever, so what one task adds to a context must not
// stay in the parent of the next one, or the chain of parents grows with every step:
//
//	C3 The parent of a task contains the context of a task only where the program itself has put a context between,
//	   such as a value or a timeout. What it is made of instead: a base, which is not a task's; the
//	   executors it came through; a name; and the span of the task that submitted it. There is at most one of each.

// parent is the parent of tasks that are submitted to e with some context, remembered there.
type parent struct {
	e   *Executor
	ctx context.Context
}

// parentOf returns the context that a task submitted with ctx gets as its parent (C3).
func (e *Executor) parentOf(ctx context.Context) context.Context {
	switch c := ctx.(type) {
	case *taskContext:
		if c.r.e == e {
			return c.parent // nothing is lost: what ends the one ends the other
		}
		return remember(&c.across, e, func() context.Context { return across(c.parent, c.r.e, e) })
	case *namedContext:
		if c.ours {
			return remember(&c.known, e, func() context.Context { return c.on(e.parentOf(c.Context)) })
		}
	}
	if detached(ctx) {
		return valuesOf(ctx)
	}
	return ctx
}

// remember returns what was remembered for e, or makes it.
func remember(last *atomic.Pointer[parent], e *Executor, of func() context.Context) context.Context {
	if p := last.Load(); p != nil && p.e == e {
		return p.ctx
	}
	p := &parent{e, of()}
	last.Store(p)
	return p.ctx
}

// rebase returns ctx with another base: names and spans of tasks stay on top of it.
func rebase(ctx context.Context, base func(context.Context) context.Context) context.Context {
	switch c := ctx.(type) {
	case *namedContext:
		if b := rebase(c.Context, base); !sameContext(b, c.Context) {
			return c.on(b)
		}
		return ctx
	case *tracedContext:
		b := rebase(c.base, base)
		if sameContext(b, c.base) {
			return ctx
		}
		return &tracedContext{trace.ContextWithSpan(b, trace.SpanFromContext(c.Context)), b}
	}
	return base(ctx)
}

// acrossContext is the parent of a task that a task of another executor has submitted: it is also done when that
// executor ends, and every other one that it came through.
type acrossContext struct {
	context.Context                      // the base
	via             []*Executor          // at least one
	done            atomic.Pointer[link] // of the last of via, once somebody asked
}

// across returns the parent of a task that is submitted to another executor by a task with the given parent.
func across(parent context.Context, from, to *Executor) context.Context {
	there := rebase(parent, func(base context.Context) context.Context {
		var via []*Executor
		if c, ok := base.(*acrossContext); ok {
			base, via = c.Context, c.via
		}
		via = slices.DeleteFunc(slices.Clone(via), func(e *Executor) bool { return e == from || e == to })
		at := slices.IndexFunc(via, func(e *Executor) bool { return e.name > from.name }) // one order: they share links
		if at < 0 {
			at = len(via)
		}
		via = append(via, nil)
		copy(via[at+1:], via[at:])
		via[at] = from
		return &acrossContext{Context: base, via: via}
	})
	if laneOf(there, to) != "" { // a lane is one of from's
		return (&marks{said: saysLane}).on(there)
	}
	return there
}

// link returns the link of the last executor, whose source is that of the one before, and so on.
func (c *acrossContext) link() *link {
	if l := c.done.Load(); l != nil {
		return l
	}
	var last *link
	source := c.Context
	for _, e := range c.via {
		last = e.links.of(source)
		source = last.ctx
	}
	c.done.CompareAndSwap(nil, last)
	return c.done.Load()
}

func (c *acrossContext) Done() <-chan struct{} { return c.link().ctx.Done() }

func (c *acrossContext) Err() error {
	if c.stopping() {
		return c.end().ctx.Err()
	}
	return c.Context.Err()
}

// stopping reports whether one of the executors is.
func (c *acrossContext) stopping() bool {
	for _, e := range c.via {
		if e.word.Load()&stopping != 0 {
			return true
		}
	}
	return false
}

// end returns the link, canceled: all who share it came through the executor that is stopping.
func (c *acrossContext) end() *link {
	l := c.link()
	l.cancel(ErrClosed)
	return l
}

func (c *acrossContext) Value(key any) any {
	if l := c.done.Load(); l != nil && key == cancelKey {
		return l.ctx
	}
	return c.Context.Value(key)
}

// Detached returns a copy of ctx for Go, TryGo, Submit and TrySubmit: the call follows ctx, so it is refused if ctx is
// done and does not wait for room any longer; the task, once it was accepted, does not. The task's context
// has the values of ctx and nothing else: no deadline, and only Close ends it. It is for a consumer that
// must not lose what it has taken over when its own context ends.
//
// The mark stays in contexts made from the copy, by WithTaskName or context.WithTimeout for instance, but is not in the
// context of the task. NewGroup and the loops, which wait for their tasks, ignore it. It panics if ctx is nil.
func Detached(ctx context.Context) context.Context {
	if ctx == nil {
		panic(errNilContext)
	}
	anyDetached.Store(true)
	return &detachedContext{ctx}
}

// anyDetached tells whether Detached was ever called: without it nobody has to look for the mark.
var anyDetached atomic.Bool

type detachedKey struct{}

type detachedContext struct{ context.Context }

func (c *detachedContext) Value(key any) any {
	if _, own := key.(detachedKey); own {
		return true
	}
	return c.Context.Value(key)
}

// detached reports whether tasks submitted with ctx are to go on when ctx is done.
func detached(ctx context.Context) bool {
	if !anyDetached.Load() {
		return false
	}
	mark, _ := ctx.Value(detachedKey{}).(bool)
	return mark
}

// valuesOf returns a parent that has ctx's values and is never done.
//
//go:noinline
func valuesOf(ctx context.Context) context.Context {
	return rebase(ctx, func(base context.Context) context.Context {
		switch c := base.(type) {
		case *taskContext:
			return valuesOf(c.parent)
		case *detachedContext:
			return valuesOf(c.Context)
		case *acrossContext:
			return valuesOf(c.Context)
		case *valuesContext:
			return c
		}
		if sameContext(base, background) {
			return base
		}
		return &valuesContext{base}
	})
}

// attached returns ctx without the mark of Detached, for those who wait for the tasks that they submit with it.
func attached(ctx context.Context) context.Context {
	if detached(ctx) {
		return &attachedContext{ctx}
	}
	return ctx
}

type attachedContext struct{ context.Context }

func (c *attachedContext) Value(key any) any {
	if _, mark := key.(detachedKey); mark {
		return nil
	}
	return c.Context.Value(key)
}

// valuesContext is never done, and has the values of another context. Unlike context.WithoutCancel it has nothing that
// this package keeps in contexts.
type valuesContext struct{ from context.Context }

func (*valuesContext) Deadline() (deadline time.Time, ok bool) { return }
func (*valuesContext) Done() <-chan struct{}                   { return nil }
func (*valuesContext) Err() error                              { return nil }

func (c *valuesContext) Value(key any) any {
	switch key.(type) {
	case taskContextKey, detachedKey:
		return nil
	}
	if key == cancelKey {
		return nil
	}
	return c.from.Value(key)
}

// WithTaskName returns a copy of ctx with which tasks get a name: those submitted with it, with a context
// made from it, and by such tasks. The name is that of their spans and runtime/trace tasks, and the
// profiler label "task" while they run. Use few different names, and no values: a name per kind of work,
// not per request. An empty name takes the name away. It panics if ctx is nil.
func WithTaskName(ctx context.Context, name string) context.Context {
	n := marked(ctx, marks{said: saysName, name: name})
	anyName.Store(true)
	return n
}

// anyName tells whether WithTaskName was ever called: without it nobody has to look for names.
var anyName atomic.Bool

// marks are what this package lets a program say of tasks in a context.
type marks struct {
	said               uint8 // which of them
	name, lane, tenant string
}

const (
	saysName = 1 << iota
	saysLane
	saysTenant
)

// namedContext is a context with marks.
type namedContext struct {
	context.Context
	marks
	ours  bool                   // it is made from a task's context, or by Detached, and nothing else is between
	known atomic.Pointer[parent] // then: of the last task that was submitted with it
}

type (
	taskNameKey struct{}
	tenantKey   struct{}
)

// marked returns a copy of ctx, which the program has given, with marks.
func marked(ctx context.Context, m marks) context.Context {
	if ctx == nil {
		panic(errNilContext)
	}
	n := &namedContext{Context: ctx, marks: m}
	switch c := ctx.(type) {
	case *taskContext, *detachedContext:
		n.ours = true
	case *namedContext:
		n.ours = c.ours
	}
	return n
}

func (c *namedContext) Value(key any) any {
	switch key.(type) {
	case taskNameKey:
		if c.said&saysName != 0 {
			return c.name
		}
	case laneKey:
		if c.said&saysLane != 0 {
			return laneName(c.lane)
		}
	case tenantKey:
		if c.said&saysTenant != 0 {
			return tenantName(c.tenant)
		}
	}
	return c.Context.Value(key)
}

// on puts the marks on ctx. It leaves out those that would be hidden, and says the others in the same place, or tasks that
// name the next one would build an endless chain (C3).
func (m *marks) on(ctx context.Context) *namedContext {
	all := *m
	for {
		below, ok := ctx.(*namedContext)
		if !ok {
			return &namedContext{Context: ctx, marks: all}
		}
		all.add(&below.marks)
		ctx = below.Context
	}
}

// add adds the marks of m that are not said yet.
func (all *marks) add(m *marks) {
	more := m.said &^ all.said
	all.said |= more
	if more&saysName != 0 {
		all.name = m.name
	}
	if more&saysLane != 0 {
		all.lane = m.lane
	}
	if more&saysTenant != 0 {
		all.tenant = m.tenant
	}
}

// nameOf returns the name of tasks with this parent, or "".
func nameOf(parent context.Context) string {
	if !anyName.Load() {
		return ""
	}
	name, _ := parent.Value(taskNameKey{}).(string)
	return name
}
