package pool

import (
	"context"
	"errors"
	"sync"
)

// ErrorPool is a Pool whose tasks return errors. Pool.WithErrors makes one.
type ErrorPool struct {
	pool      Pool
	firstOnly bool

	mu  sync.Mutex
	err error
}

// Go starts f. At the limit it waits until a task has ended.
func (p *ErrorPool) Go(f func() error) { p.pool.Go(func() { p.add(f()) }) }

// Wait returns when all tasks have ended, with their errors joined in order of their end. It panics with the first of
// their panics, and may be called once.
func (p *ErrorPool) Wait() error {
	p.pool.Wait()
	return p.err
}

// WithFirstError makes Wait return the first error only.
func (p *ErrorPool) WithFirstError() *ErrorPool {
	p.mustBeNew()
	p.firstOnly = true
	return p
}

// WithMaxGoroutines bounds how many tasks run at once. It panics if n < 1.
func (p *ErrorPool) WithMaxGoroutines(n int) *ErrorPool {
	p.pool.WithMaxGoroutines(n)
	return p
}

// WithContext returns a pool with the same configuration whose tasks get a context.
func (p *ErrorPool) WithContext(ctx context.Context) *ContextPool {
	p.mustBeNew()
	c := new(ContextPool)
	p.copyTo(&c.errors)
	c.ctx, c.cancel = context.WithCancel(ctx)
	return c
}

func (p *ErrorPool) copyTo(other *ErrorPool) {
	p.pool.copyTo(&other.pool)
	other.firstOnly = p.firstOnly
}

func (p *ErrorPool) mustBeNew() { p.pool.mustBeNew() }

func (p *ErrorPool) add(err error) {
	if err == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case !p.firstOnly:
		p.err = errors.Join(p.err, err)
	case p.err == nil:
		p.err = err
	}
}

// ContextPool is an ErrorPool whose tasks get a context. WithContext of the other pools makes one.
type ContextPool struct {
	errors  ErrorPool
	ctx     context.Context
	cancel  context.CancelFunc
	onError bool
}

// Go starts f. At the limit it waits until a task has ended.
func (p *ContextPool) Go(f func(ctx context.Context) error) {
	p.errors.Go(func() error {
		if !p.onError {
			return f(p.ctx)
		}
		defer func() {
			if value := recover(); value != nil {
				p.cancel()
				panic(value)
			}
		}()
		if err := f(p.ctx); err != nil {
			p.errors.add(err) // before others learn that they are canceled, or theirs could be first
			p.cancel()
		}
		return nil
	})
}

// Wait returns when all tasks have ended, with their errors joined in order of their end, and cancels the context. It
// panics with the first of their panics, and may be called once.
func (p *ContextPool) Wait() error {
	defer p.cancel()
	return p.errors.Wait()
}

// WithFirstError makes Wait return the first error only.
func (p *ContextPool) WithFirstError() *ContextPool {
	p.errors.WithFirstError()
	return p
}

// WithCancelOnError makes the first error or panic cancel the context.
func (p *ContextPool) WithCancelOnError() *ContextPool {
	p.mustBeNew()
	p.onError = true
	return p
}

// WithMaxGoroutines bounds how many tasks run at once. It panics if n < 1.
func (p *ContextPool) WithMaxGoroutines(n int) *ContextPool {
	p.errors.WithMaxGoroutines(n)
	return p
}

func (p *ContextPool) mustBeNew() { p.errors.mustBeNew() }
