package executor

import (
	"context"
	"runtime"
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
	)
	Blocking(ctx, func() {
		go func() {
			runtime.LockOSThread() // and never unlocked: the runtime ends the thread with the goroutine
			defer close(done)
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
