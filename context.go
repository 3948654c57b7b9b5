package executor

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
	"weak"

	"github.com/seed-97bda89a/executor/internal/goid"
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
	name   *taskName              // by WithTaskName, or nil
	spans  atomic.Uint32          // whether children have spans, once somebody asked; see trace.go
	done   atomic.Pointer[link]   // the context that Done comes from, once somebody asked
	across atomic.Pointer[parent] // of the last task that it submitted to another executor
}

type taskContextKey struct{}

// background is the most frequent parent. It is never done, so nobody need ask it.
var background = context.Background()

// alive reports whether ctx is not done.
func alive(ctx context.Context) bool { return sameContext(ctx, background) || !over(ctx) }

// endless reports whether ctx is known never to be done: the background, with what this package says of tasks on top.
func endless(ctx context.Context) bool {
	for {
		c, ok := ctx.(*namedContext)
		if !ok {
			return sameContext(ctx, background)
		}
		ctx = c.Context
	}
}

// over reports whether ctx is done. Where a context of a kind of its own has no error, its channel counts: there are
// such whose channel is closed and who say no error.
func over(ctx context.Context) bool {
	if ctx.Err() != nil {
		return true
	}
	_, own := ctx.(*taskContext)
	return !own && foreign(ctx) && closed(ctx.Done())
}

func closed(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// taskOf returns the task context that ctx is or wraps, or nil.
func taskOf(ctx context.Context) *taskContext {
	if sameContext(ctx, background) {
		return nil
	}
	if tc, ok := ctx.(*taskContext); ok {
		return tc
	}
	tc, _ := ctx.Value(taskContextKey{}).(*taskContext)
	return tc
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

// Done is closed when the parent is done and when Close ends the executor's tasks. After the end of the task it still
// is, for as long as somebody holds the context, or what ends it.
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

// Value answers from the parent, but for four questions. Its own key leads back here. The
// context package asks for the cancelable context that Done comes from; answering that lets
// WithCancel and WithTimeout attach to it directly instead of starting a goroutine each. No task's
// context has the mark of Detached, nor a lane for another executor.
func (c *taskContext) Value(key any) any {
	switch k := key.(type) {
	case taskContextKey:
		return c
	case detachedKey:
		return nil
	case laneKey:
		if k.of != c.r.e { // a lane is one executor's
			return nil
		}
	}
	if l := c.done.Load(); l != nil && key == cancelKey {
		return l.ctx // context.Cause has asked for Err before, so it is canceled if the executor stops
	}
	return c.parent.Value(key)
}

func (c *taskContext) String() string { return "executor.taskContext(" + c.r.e.name + ")" }

func (c *taskContext) link() *link {
	if l := c.done.Load(); l != nil {
		return l
	}
	c.done.CompareAndSwap(nil, c.r.e.links.of(c.parent))
	return c.done.Load()
}

// contexts is for who may ask before there is an executor, or while the first one is made: WithTaskName, Receive and a
// Bulkhead need none.
var contexts sync.Once

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

// plainTypes are the types of the context package's own contexts, as interfaces tell them apart.
var plainTypes [6]uintptr

func learnContexts() {
	probe := &keyProbe{Context: context.Background()}
	_ = context.Cause(probe)
	cancelKey = probe.key

	canceled, cancel := context.WithCancel(background)
	timed, cancelTimed := context.WithTimeout(background, time.Hour)
	cancel()
	cancelTimed()
	for i, ctx := range []context.Context{
		canceled, timed, context.WithValue(background, taskContextKey{}, 0), background, context.TODO(), context.WithoutCancel(canceled),
	} {
		plainTypes[i] = typeOf(ctx)
	}
}

func typeOf(ctx context.Context) uintptr { return (*(*[2]uintptr)(unsafe.Pointer(&ctx)))[0] }

// foreign reports whether ctx is of a type that neither this package nor the context package has made.
func foreign(ctx context.Context) bool {
	contexts.Do(learnContexts)
	if slices.Contains(plainTypes[:], typeOf(ctx)) {
		return false
	}
	switch ctx.(type) {
	case *taskContext, *namedContext, *acrossContext, *tracedContext, *valuesContext, *detachedContext, *attachedContext, *soundContext, *link:
		return false
	}
	return true
}

// sound returns ctx, or a context like it that never is done without an error: then the context package panics, on a
// goroutine of its own.
func sound(ctx context.Context) context.Context {
	done := ctx.Done()
	if done == nil {
		return ctx
	}
	contexts.Do(learnContexts)
	if c, ok := ctx.Value(cancelKey).(context.Context); ok && c.Done() == done {
		return ctx
	}
	return &soundContext{ctx}
}

type soundContext struct{ context.Context }

func (c *soundContext) Err() error {
	if err := c.Context.Err(); err != nil || !closed(c.Context.Done()) {
		return err
	}
	return context.Canceled
}

// sameContext reports whether a and b are the same interface value, word for word. Unlike == it
// can not panic on contexts of an incomparable type.
func sameContext(a, b context.Context) bool {
	return *(*[2]uintptr)(unsafe.Pointer(&a)) == *(*[2]uintptr)(unsafe.Pointer(&b))
}

// link is a context that is canceled with a source, the parent of tasks, or by Close, whichever is first. All tasks
// of an executor whose parents have the same Done channel share one.
//
// Who needs a link holds it: a task's context that was asked for Done, contexts made from that, and the source, to
// which the standard context in it is attached as a child. The table that finds it again does not. So a link is
// collected, with what its source refers to, when the last of those is gone; nobody counts.
//
//	C1 Nothing but task contexts, contexts made from them and the source keeps a link, and a link keeps nothing
//	   alive that is not needed to end it.
//	C2 As long as a task's context or its source is reachable, its Done is closed by the end of the source, of its
//	   executor, and of every executor that it came through (see acrossContext).
type link struct {
	context.Context                 // the source, or, for the root, one that is never done
	ctx             context.Context // standard and cancelable, a child of the link itself: who holds it holds the link
	cancel          context.CancelCauseFunc
	ended           func()   // cancels ctx with the source; only if that has a Done of its own
	watcher         *watcher // the goroutine that calls it
}

func newLink(source context.Context) *link {
	l := &link{Context: source}
	l.ctx, l.cancel = context.WithCancelCause(l)
	return l
}

// A link is a child of its source in the context package's books, which keeps it and ends it (C2).

// Err is never nil when the source is done: the context package would panic.
func (l *link) Err() error {
	if err := l.Context.Err(); err != nil || !closed(l.Done()) {
		return err
	}
	return context.Canceled
}

// AfterFunc is called by the context package, once, where the source has a Done of its own. The goroutine that waits
// for that must not hold the link: it ends with it.
func (l *link) AfterFunc(f func()) (stop func() bool) {
	l.ended = f
	l.watcher = &watcher{done: l.Done(), stop: make(chan struct{})}
	go l.watcher.watch(weak.Make(l))
	return l.watcher.leave
}

// watcher waits for the end of a source on behalf of a link.
type watcher struct {
	done <-chan struct{}
	stop chan struct{}
	once sync.Once
}

func (w *watcher) watch(of weak.Pointer[link]) {
	select {
	case <-w.done:
		if l := of.Value(); l != nil {
			l.ended()
		}
	case <-w.stop:
	}
}

func (w *watcher) leave() bool {
	w.once.Do(func() { close(w.stop) })
	return true
}

// linkTable finds the link of a parent by its Done channel, and keeps none (C1). Close cancels those that are left.
type linkTable struct {
	mu     sync.Mutex
	root   *link // for parents that can not end
	links  map[<-chan struct{}]weak.Pointer[link]
	closed bool
	bubble []*link // of parents with a Done of their own in a synctest bubble: Close ends their goroutines, as no cleanup can
}

func (t *linkTable) of(parent context.Context) *link {
	done := parent.Done()
	if done == nil {
		return t.root
	}
	t.mu.Lock()
	l := t.links[done].Value()
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
	l = newLink(source)
	bubble := l.watcher != nil && goid.Bubbled()
	if closed(done) { // contexts that ended before somebody asked share one channel, but not their causes
		return l
	}

	t.mu.Lock()
	other, closed := t.links[done].Value(), t.closed
	if other == nil && !closed {
		if t.links == nil {
			t.links = make(map[<-chan struct{}]weak.Pointer[link])
		}
		t.links[done] = weak.Make(l)
		if bubble {
			t.bubble = append(t.bubble, l)
		}
	}
	t.mu.Unlock()
	switch {
	case closed:
		l.cancel(ErrClosed)
	case other != nil:
		l.cancel(ErrClosed)
		return other
	default:
		w := l.watcher
		runtime.AddCleanup(l, func(clean func()) { clean() }, func() { // which must not lead to l
			t.forget(done)
			if w != nil && !bubble {
				w.leave()
			}
		})
	}
	return l
}

// forget removes the entry of a link that is gone. There may be another one by now.
func (t *linkTable) forget(done <-chan struct{}) {
	t.mu.Lock()
	if w, ok := t.links[done]; ok && w.Value() == nil {
		delete(t.links, done)
	}
	t.mu.Unlock()
}

// close cancels every task context of the executor.
func (t *linkTable) close() {
	t.mu.Lock()
	t.closed = true
	links, bubble := t.links, t.bubble
	t.links, t.bubble = nil, nil
	t.mu.Unlock()
	t.root.cancel(ErrClosed)
	for _, w := range links {
		if l := w.Value(); l != nil {
			l.cancel(ErrClosed)
		}
	}
	runtime.KeepAlive(bubble)
}
