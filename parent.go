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
			return remember(&c.known, e, func() context.Context { return rename(e.parentOf(c.Context), c.name) })
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
			return rename(b, c.name)
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
	return rebase(parent, func(base context.Context) context.Context {
		var via []*Executor
		if c, ok := base.(*acrossContext); ok {
			base, via = c.Context, c.via
		}
		via = slices.DeleteFunc(slices.Clone(via), func(e *Executor) bool { return e == from || e == to })
		at := slices.IndexFunc(via, func(e *Executor) bool { return e.name > from.name }) // one order: they share links
		if at < 0 {
			at = len(via)
		}
		via = slices.Insert(via, at, from)
		return &acrossContext{Context: base, via: via}
	})
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
