package executor

import (
	"context"
	"runtime"
	"sync"
	"weak"

	"github.com/seed-97bda89a/executor/internal/goid"
)

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
		runtime.AddCleanup(l, t.forget, done)
		if l.watcher != nil && !bubble {
			runtime.AddCleanup(l, func(w *watcher) { w.leave() }, l.watcher)
		}
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
