package executor

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// taskContext is the context of a task: a parent, and the runner that executes the task. It never
// changes, so one value serves all tasks of a runner that have the same parent.
//
// A context leaks: a task may hand it to any goroutine. So holding one proves nothing. Who asks
// for the runner compares it with the calling goroutine (runner.isCurrent) before touching
// anything that only the runner may touch (O1).
type taskContext struct {
	origin // its parent; also the origin of the children that get the same parent
	r      *runner
	name   *taskName            // by WithTaskName, or nil
	spans  atomic.Uint32        // whether children have spans, once somebody asked; see trace.go
	done   atomic.Pointer[link] // the context that Done comes from, once somebody asked
}

type taskContextKey struct{}

// background is the most frequent parent. It is never done, so nobody need ask it.
var background = context.Background()

// alive reports whether ctx is not done.
func alive(ctx context.Context) bool { return sameContext(ctx, background) || ctx.Err() == nil }

// taskOf returns the task context that ctx is or wraps, or nil.
func taskOf(ctx context.Context) *taskContext {
	if tc, ok := ctx.(*taskContext); ok {
		return tc
	}
	tc, _ := ctx.Value(taskContextKey{}).(*taskContext)
	return tc
}

// parentOf returns the context that a child submitted with ctx gets as its parent: never a context of a task of
// the same executor, or tasks that submit themselves again would build an endless chain. Nothing is lost by it:
// what ends the one ends the other.
func (e *Executor) parentOf(ctx context.Context) context.Context {
	switch c := ctx.(type) {
	case *taskContext:
		if c.r.e == e {
			return c.parent
		}
	case *namedContext:
		if c.parent != nil && taskOf(c.Context).r.e == e {
			return c.parent
		}
	}
	return ctx
}

// FromContext returns the executor whose task ctx belongs to.
func FromContext(ctx context.Context) (*Executor, bool) {
	if ctx == nil {
		return nil, false
	}
	if tc := taskOf(ctx); tc != nil {
		return tc.r.e, true
	}
	return nil, false
}

func (c *taskContext) Deadline() (time.Time, bool) { return c.parent.Deadline() }

// Done is closed when the parent is done and when Close ends the executor's tasks.
func (c *taskContext) Done() <-chan struct{} { return c.link().ctx.Done() }

func (c *taskContext) Err() error {
	if c.r.e.word.Load()&stopping != 0 {
		return c.end().ctx.Err() // it stays what it is, also when the parent ends later
	}
	if sameContext(c.parent, background) {
		return nil
	}
	return c.parent.Err()
}

// end returns the link, canceled. The executor is stopping.
func (c *taskContext) end() *link {
	l := c.link()
	l.cancel(ErrClosed)
	return l
}

// Value answers from the parent, but for two questions. Its own key leads back here. And the
// context package asks for the cancelable context that Done comes from; answering that lets
// WithCancel and WithTimeout attach to it directly instead of starting a goroutine each.
func (c *taskContext) Value(key any) any {
	if _, own := key.(taskContextKey); own {
		return c
	}
	l := c.done.Load()
	if c.r.e.word.Load()&stopping != 0 {
		l = c.end() // so that context.Cause finds it as soon as Err says so
	}
	if l != nil && key == cancelKey {
		return l.ctx
	}
	return c.parent.Value(key)
}

// cancelKey is the key that the context package asks for, learned once, before the first executor exists.
// Asking the link for every key instead would double the cost with every level of nested tasks.
var cancelKey any

// keyProbe is a context that tells which key context.Cause asks for.
type keyProbe struct {
	context.Context
	key any
}

func (p *keyProbe) Err() error { return context.Canceled }

func (p *keyProbe) Value(key any) any {
	p.key = key
	return nil
}

func learnCancelKey() {
	probe := &keyProbe{Context: context.Background()}
	_ = context.Cause(probe)
	cancelKey = probe.key
}

func (c *taskContext) String() string { return "executor.taskContext(" + c.r.e.name + ")" }

// link is a context that is canceled with a parent or by Close, whichever is first.
type link struct {
	ctx    context.Context // a standard cancelable context
	cancel context.CancelCauseFunc
	stop   func() bool // forgets the parent; nil for the root
}

func (c *taskContext) link() *link {
	if l := c.done.Load(); l != nil {
		return l
	}
	c.done.CompareAndSwap(nil, c.r.e.links.of(c.parent))
	return c.done.Load()
}

// linkTable holds one link per distinct parent Done channel, so that the million tasks of one
// long-lived parent share one. A link leaves the table when its parent ends; Close cancels the rest.
type linkTable struct {
	mu     sync.Mutex
	root   *link // for parents that can not end
	links  map[<-chan struct{}]*link
	closed bool
}

// newRoot returns the link of all parents that can not end.
func newRoot() *link {
	l := &link{}
	l.ctx, l.cancel = context.WithCancelCause(context.Background())
	return l
}

func (t *linkTable) of(parent context.Context) *link {
	done := parent.Done()
	if done == nil {
		return t.root
	}
	t.mu.Lock()
	l := t.links[done]
	t.mu.Unlock()
	if l != nil {
		return l
	}

	// Made outside of the lock, because it calls methods of the parent. The context that Done comes from is
	// enough: it serves others too, and must not keep alive the values of whoever asked first.
	source := parent
	if c, ok := parent.Value(cancelKey).(context.Context); ok && c.Done() == done {
		source = c
	}
	l = &link{}
	l.ctx, l.cancel = context.WithCancelCause(source)
	l.stop = context.AfterFunc(source, func() { t.forget(done, l) })

	t.mu.Lock()
	other, closed := t.links[done], t.closed
	if other == nil && !closed {
		if t.links == nil {
			t.links = make(map[<-chan struct{}]*link)
		}
		t.links[done] = l
	}
	t.mu.Unlock()
	switch {
	case closed:
		l.end()
	case other != nil:
		l.end()
		return other
	case parent.Err() != nil: // its end may have come before the entry
		t.forget(done, l)
	}
	return l
}

func (t *linkTable) forget(done <-chan struct{}, l *link) {
	t.mu.Lock()
	if t.links[done] == l {
		delete(t.links, done)
	}
	t.mu.Unlock()
}

// end cancels the link and detaches it from its parent.
func (l *link) end() {
	l.stop()
	l.cancel(ErrClosed)
}

// close cancels every task context of the executor.
func (t *linkTable) close() {
	t.mu.Lock()
	t.closed = true
	links := t.links
	t.links = nil
	t.mu.Unlock()
	t.root.cancel(ErrClosed)
	for _, l := range links {
		l.end()
	}
}

// sameContext reports whether a and b are the same interface value, word for word. Unlike == it
// can not panic on contexts of an incomparable type.
func sameContext(a, b context.Context) bool {
	return *(*[2]uintptr)(unsafe.Pointer(&a)) == *(*[2]uintptr)(unsafe.Pointer(&b))
}
