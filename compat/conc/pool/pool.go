// Package pool has the API of github.com/sourcegraph/conc/pool, name for name. Its tasks run on the executor that
// conc.Use has bound, or on goroutines. What is next: [executor.Group], whose tasks get a context, and whose errors and
// cancellation are the same for all tasks.
package pool

import (
	"context"
	"sync"

	"github.com/seed-97bda89a/executor/compat/conc/internal/bound"
	"github.com/seed-97bda89a/executor/compat/conc/panics"
	"github.com/seed-97bda89a/executor/internal/door"
)

// Pool runs tasks at the same time, at most as many as WithMaxGoroutines says. Wait must be called when all have been
// submitted; a panic comes back there. The zero value is ready to use. Methods that configure panic after the first Go.
type Pool struct {
	active  sync.WaitGroup
	catcher panics.Catcher
	limit   chan struct{} // one element for each task that runs; nil: no limit
	once    sync.Once
	used    bool
	waited  chan struct{} // closed by Wait
}

// New returns a Pool without a limit.
func New() *Pool { return new(Pool) }

// Go starts f. At the limit it waits until a task has ended.
func (p *Pool) Go(f func()) {
	p.init()
	select {
	case <-p.waited:
		p.waited <- struct{}{} // panics, as a send on a closed channel does
	default:
	}
	if p.limit != nil {
		door.Send(p.limit, struct{}{})
	}
	p.active.Add(1)
	bound.Registry.Start(bound.Registry.Bound(), &task{p, f})
}

// task is a function of a Pool.
type task struct {
	p *Pool
	f func()
}

// Run implements door.Job.
func (t *task) Run(context.Context) {
	defer t.p.active.Done()
	if t.p.limit != nil {
		defer func() { <-t.p.limit }() // after the panic is caught, or the next one's could be first
	}
	t.p.catcher.Try(t.f)
}

// Wait returns when all tasks have ended, and panics with the first of their panics, a *panics.Recovered. It may be
// called once.
func (p *Pool) Wait() {
	p.init()
	close(p.waited)
	door.Wait(p.active.Wait)
	p.catcher.Repanic()
}

// MaxGoroutines returns the limit, 0 if there is none.
func (p *Pool) MaxGoroutines() int { return cap(p.limit) }

// WithMaxGoroutines bounds how many tasks run at once. It panics if n < 1.
func (p *Pool) WithMaxGoroutines(n int) *Pool {
	p.mustBeNew()
	if n < 1 {
		panic("max goroutines in a pool must be greater than zero")
	}
	p.limit = make(chan struct{}, n)
	return p
}

// WithErrors returns a pool with the same limit whose tasks return errors.
func (p *Pool) WithErrors() *ErrorPool {
	e := new(ErrorPool)
	p.copyTo(&e.pool)
	return e
}

// WithContext returns a pool with the same limit whose tasks get a context and return errors.
func (p *Pool) WithContext(ctx context.Context) *ContextPool { return p.WithErrors().WithContext(ctx) }

// copyTo gives another pool p's limit: the same one, not one of the same size.
func (p *Pool) copyTo(other *Pool) {
	p.mustBeNew()
	other.limit = p.limit
}

func (p *Pool) init() {
	p.once.Do(func() {
		p.used = true
		p.waited = make(chan struct{})
	})
}

func (p *Pool) mustBeNew() {
	if p.used {
		panic("pool can not be reconfigured after calling Go() for the first time")
	}
}
