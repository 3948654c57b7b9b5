package pond

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/seed-97bda89a/executor"
)

// worker runs units of a pool without a parent until none is queued.
type worker struct {
	p *pool
	u unit
}

// Run implements door.Job.
func (w *worker) Run(ctx context.Context) {
	u := w.u
	if u == nil {
		u = w.p.next()
	}
	for u != nil {
		w.run(u)
		if u = w.p.next(); u != nil {
			executor.Checkpoint(ctx)
		}
	}
}

// run runs u. After a Goexit another worker takes over.
func (w *worker) run(u unit) {
	returned := false
	defer func() {
		if returned {
			return
		}
		_ = w.p.count(executor.ErrGoexit)
		if u := w.p.next(); u != nil {
			_ = w.p.launch(u) // without a parent nobody refuses
		}
	}()
	_ = u.run(w.p)
	returned = true
}

// lent is a worker of a subpool as a unit of its parent: it runs one unit, and then waits its turn in the parent again.
type lent struct {
	p *pool
	u unit
}

func (l *lent) run(parent *pool) error {
	u := l.u
	if u == nil {
		u = l.p.next()
	}
	var err error
	for u != nil {
		err = l.runOne(u)
		if u = l.again(l.p.next()); u != nil { // it goes on here, and counts as if it had waited
			_ = parent.count(err)
			parent.submitted.Add(1)
		}
	}
	return parent.count(err)
}

// runOne runs u. After a Goexit another worker takes over.
func (l *lent) runOne(u unit) error {
	returned := false
	defer func() {
		if returned {
			return
		}
		_ = l.p.count(executor.ErrGoexit)
		if u := l.again(l.p.next()); u != nil {
			go l.insist(u)
		}
	}()
	err := u.run(l.p)
	returned = true
	return err
}

// again has u wait its turn in the parent. It returns u if there is no room. A parent that has stopped takes nothing:
// then u and all that is queued behind it is canceled.
func (l *lent) again(u unit) unit {
	for ; u != nil; u = l.p.next() {
		switch _, err := l.p.parent.try(&lent{l.p, u}, false); err {
		case nil:
			l.p.parent.submitted.Add(1)
			return nil
		case ErrQueueFull:
			return u
		default:
			l.cancel(u, err)
		}
	}
	return nil
}

// insist is again that waits for room.
func (l *lent) insist(u unit) {
	if err := l.p.parent.submit(&lent{l.p, u}, false); err != nil {
		l.cancel(u, err)
		if u = l.again(l.p.next()); u != nil {
			l.insist(u)
		}
	}
}

// cancel ends a task that the parent refused.
func (l *lent) cancel(u unit, err error) {
	err = errors.Join(ErrContextCanceled, err)
	if c, ok := u.(interface{ refuse(error) }); ok {
		c.refuse(err)
	}
	_ = l.p.count(err)
	l.p.parent.submitted.Add(1)
	l.p.parent.dropped.Add(1)
	_ = l.p.parent.count(err)
}

// bare is a task of Go.
type bare func()

func (fn bare) run(p *pool) error {
	_, err := invoke(p, withoutError(fn))
	return p.count(err)
}

func withoutError(fn func()) func() (struct{}, error) {
	return func() (struct{}, error) { fn(); return struct{}{}, nil }
}

func withError(fn func() error) func() (struct{}, error) {
	return func() (struct{}, error) { return struct{}{}, fn() }
}

// invoke calls fn. A panic is its error, unless the pool does not recover.
func invoke[R any](p *pool, fn func() (R, error)) (value R, err error) {
	if p.panicRecovery {
		defer func() {
			switch v := recover().(type) {
			case nil:
			case error:
				err = fmt.Errorf("%w: %w, %s", ErrPanic, v, debug.Stack())
			default:
				err = fmt.Errorf("%w: %v, %s", ErrPanic, v, debug.Stack())
			}
		}()
	}
	return fn()
}

// call is a task with a future.
type call[R any] struct {
	fn     func() (R, error)
	future *future[R]
}

func (c *call[R]) run(p *pool) error {
	if err := p.ctx.Err(); err != nil {
		err = p.count(errors.Join(ErrContextCanceled, err))
		c.refuse(err)
		return err
	}
	value, err := invoke(p, c.fn) // after a Goexit the future has to wait for the end of the pool
	c.future.resolve(value, p.count(err))
	return err
}

func (c *call[R]) refuse(err error) {
	var zero R
	c.future.resolve(zero, err)
}

// offer submits fn and returns its future. It reports whether the pool took it.
func offer[R any](p *pool, fn func() (R, error), nonBlocking bool) (*future[R], bool) {
	c := &call[R]{fn, newFuture[R](p.ctx)}
	err := ErrPoolStopped
	if !p.Stopped() { // not even counted
		err = p.submit(c, nonBlocking)
	} else {
		c.future.ctx = context.Background() // the error is this one, not the context's
	}
	if err != nil {
		c.refuse(err)
	}
	return c.future, err == nil
}
