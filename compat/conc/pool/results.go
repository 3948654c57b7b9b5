package pool

import (
	"context"
	"sync"
)

// results collects what tasks return, in order of their end.
type results[T any] struct {
	mu   sync.Mutex
	list []T
}

func (r *results[T]) add(v T) {
	r.mu.Lock()
	r.list = append(r.list, v)
	r.mu.Unlock()
}

// ResultPool is a Pool whose tasks return a value. Its results come in order of their end.
type ResultPool[T any] struct {
	pool    Pool
	results results[T]
}

// NewWithResults returns a ResultPool without a limit.
func NewWithResults[T any]() *ResultPool[T] { return new(ResultPool[T]) }

// Go starts f. At the limit it waits until a task has ended.
func (p *ResultPool[T]) Go(f func() T) { p.pool.Go(func() { p.results.add(f()) }) }

// Wait returns when all tasks have ended, with their results. It panics with the first of their panics, and may be
// called once.
func (p *ResultPool[T]) Wait() []T {
	p.pool.Wait()
	return p.results.list
}

// MaxGoroutines returns the limit, 0 if there is none.
func (p *ResultPool[T]) MaxGoroutines() int { return p.pool.MaxGoroutines() }

// WithMaxGoroutines bounds how many tasks run at once. It panics if n < 1.
func (p *ResultPool[T]) WithMaxGoroutines(n int) *ResultPool[T] {
	p.pool.WithMaxGoroutines(n)
	return p
}

// WithErrors returns a pool with the same limit whose tasks return an error too.
func (p *ResultPool[T]) WithErrors() *ResultErrorPool[T] {
	e := new(ResultErrorPool[T])
	p.pool.copyTo(&e.errors.pool)
	return e
}

// WithContext returns a pool with the same limit whose tasks get a context and return an error too.
func (p *ResultPool[T]) WithContext(ctx context.Context) *ResultContextPool[T] {
	return p.WithErrors().WithContext(ctx)
}

// ResultErrorPool is a ResultPool whose tasks return an error too. ResultPool.WithErrors makes one.
type ResultErrorPool[T any] struct {
	errors      ErrorPool
	results     results[T]
	withErrored bool
}

// Go starts f. At the limit it waits until a task has ended.
func (p *ResultErrorPool[T]) Go(f func() (T, error)) {
	p.errors.Go(func() error {
		v, err := f()
		if err == nil || p.withErrored {
			p.results.add(v)
		}
		return err
	})
}

// Wait returns when all tasks have ended, with the results of those that did not fail, and the errors of the others
// joined. It panics with the first of their panics, and may be called once.
func (p *ResultErrorPool[T]) Wait() ([]T, error) {
	err := p.errors.Wait()
	return p.results.list, err
}

// WithCollectErrored makes Wait return the results of tasks that failed too.
func (p *ResultErrorPool[T]) WithCollectErrored() *ResultErrorPool[T] {
	p.errors.mustBeNew()
	p.withErrored = true
	return p
}

// WithFirstError makes Wait return the first error only.
func (p *ResultErrorPool[T]) WithFirstError() *ResultErrorPool[T] {
	p.errors.WithFirstError()
	return p
}

// WithMaxGoroutines bounds how many tasks run at once. It panics if n < 1.
func (p *ResultErrorPool[T]) WithMaxGoroutines(n int) *ResultErrorPool[T] {
	p.errors.WithMaxGoroutines(n)
	return p
}

// WithContext returns a pool with the same limit, and the same say about errors, whose tasks get a context.
func (p *ResultErrorPool[T]) WithContext(ctx context.Context) *ResultContextPool[T] {
	return &ResultContextPool[T]{pool: p.errors.WithContext(ctx)}
}

// ResultContextPool is a ResultErrorPool whose tasks get a context. WithContext of the other two makes one.
type ResultContextPool[T any] struct {
	pool        *ContextPool
	results     results[T]
	withErrored bool
}

// Go starts f. At the limit it waits until a task has ended.
func (p *ResultContextPool[T]) Go(f func(context.Context) (T, error)) {
	p.pool.Go(func(ctx context.Context) error {
		v, err := f(ctx)
		if err == nil || p.withErrored {
			p.results.add(v)
		}
		return err
	})
}

// Wait returns when all tasks have ended, with the results of those that did not fail, and the errors of the others
// joined, and cancels the context. It panics with the first of their panics, and may be called once.
func (p *ResultContextPool[T]) Wait() ([]T, error) {
	err := p.pool.Wait()
	return p.results.list, err
}

// WithCollectErrored makes Wait return the results of tasks that failed too.
func (p *ResultContextPool[T]) WithCollectErrored() *ResultContextPool[T] {
	p.pool.mustBeNew()
	p.withErrored = true
	return p
}

// WithFirstError makes Wait return the first error only.
func (p *ResultContextPool[T]) WithFirstError() *ResultContextPool[T] {
	p.pool.WithFirstError()
	return p
}

// WithCancelOnError makes the first error or panic cancel the context.
func (p *ResultContextPool[T]) WithCancelOnError() *ResultContextPool[T] {
	p.pool.WithCancelOnError()
	return p
}

// WithMaxGoroutines bounds how many tasks run at once. It panics if n < 1.
func (p *ResultContextPool[T]) WithMaxGoroutines(n int) *ResultContextPool[T] {
	p.pool.WithMaxGoroutines(n)
	return p
}
