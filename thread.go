package executor

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/seed-97bda89a/executor/internal/goid"
)

// OnThread runs fn on an operating system thread of its own, which is thrown away afterwards, and waits
// for it with the task's slot lent. It is for code that changes its thread: C libraries with
// thread-local state, namespaces, signal masks, priorities; and for code that needs LockOSThread more
// than once. Inside fn, calls of this package count as coming from outside of the task: submitting to the
// same executor and waiting there needs a spare (WithMaxSpares). A panic in fn comes back as a panic with a *PanicError, a Goexit as a Goexit. Cost: a new thread, some 20 us.
func OnThread(ctx context.Context, fn func()) {
	if ctx == nil {
		panic(errNilContext)
	}
	if fn == nil {
		panic(errNilFunc)
	}
	var (
		returned bool
		failed   *PanicError
		done     = make(chan struct{})
		inside   = threads.executor()
	)
	if r := currentRunner(ctx); r != nil {
		inside = r.e
	}
	Blocking(ctx, func() {
		go func() {
			runtime.LockOSThread() // and never unlocked: the runtime ends the thread with the goroutine
			defer close(done)
			defer threads.enter(inside)()
			defer func() {
				if !returned {
					if value := recover(); value != nil {
						failed = asPanicError(value)
					}
				}
			}()
			fn()
			returned = true
		}()
		<-done
	})
	switch {
	case failed != nil:
		panic(failed)
	case !returned:
		runtime.Goexit()
	}
}

// threads knows which goroutines are in OnThread inside a task of which executor.
var threads threadTable

type threadTable struct {
	mu sync.RWMutex
	of map[int64]*Executor // by goroutine
	n  atomic.Int32        // how many: as a rule there are none
}

// enter notes the calling goroutine, until leave is called. e may be nil.
func (t *threadTable) enter(e *Executor) (leave func()) {
	if e == nil {
		return func() {}
	}
	id := goid.ID()
	set := func(change func()) {
		t.mu.Lock()
		defer t.mu.Unlock()
		change()
		t.n.Store(int32(len(t.of)))
	}
	set(func() {
		if t.of == nil {
			t.of = make(map[int64]*Executor)
		}
		t.of[id] = e
	})
	return func() { set(func() { delete(t.of, id) }) }
}

// executor returns the executor whose task waits for the calling goroutine in OnThread, or nil.
func (t *threadTable) executor() *Executor {
	if t.n.Load() == 0 {
		return nil
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.of[goid.ID()]
}
