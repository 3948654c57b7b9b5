package pond

import (
	"context"
	"sync"

	"github.com/seed-97bda89a/executor/internal/door"
)

// future is the result of a task: what it returned, or the cause of its context's end if that came first.
type future[R any] struct {
	ctx  context.Context
	done chan struct{}

	mu       sync.Mutex
	resolved bool
	watched  bool // the end of ctx resolves it, also if nobody waits
	value    R
	err      error
}

func newFuture[R any](ctx context.Context) *future[R] {
	return &future[R]{ctx: ctx, done: make(chan struct{})}
}

func (f *future[R]) resolve(value R, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.resolved {
		return
	}
	if f.ctx.Err() != nil {
		var zero R
		value, err = zero, context.Cause(f.ctx)
	}
	f.resolved, f.value, f.err = true, value, err
	close(f.done)
}

// expire resolves the future if its context is done.
func (f *future[R]) expire() {
	var zero R
	f.resolve(zero, nil)
}

// Done is closed when the task has ended, was refused, or the pool's context is done.
func (f *future[R]) Done() <-chan struct{} {
	f.mu.Lock()
	watch := !f.resolved && !f.watched
	f.watched = true
	f.mu.Unlock()
	if watch {
		context.AfterFunc(f.ctx, f.expire)
	}
	return f.done
}

// Wait waits for that, with the slot lent if a task calls it.
func (f *future[R]) Wait() (R, error) {
	select {
	case <-f.done:
	default:
		door.Wait(func() {
			select {
			case <-f.done:
			case <-f.ctx.Done():
				f.expire()
			}
		})
	}
	return f.value, f.err
}

// task is a future without a value.
type task struct{ *future[struct{}] }

// Wait returns the error.
func (t task) Wait() error {
	_, err := t.future.Wait()
	return err
}
