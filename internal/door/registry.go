package door

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"weak"

	"github.com/seed-97bda89a/executor"
)

// Registry knows the desk of each executor, without keeping either alive, and the executor that the program has
// bound. Its zero value is ready to use. A package that needs an executor for functions that come without one has one.
type Registry struct {
	bound  atomic.Pointer[Desk]
	strays atomic.Uint64

	mu    sync.Mutex
	desks map[weak.Pointer[executor.Executor]]weak.Pointer[Desk]
}

// Use binds e, or nothing if e is nil. restore binds what was bound before.
func (r *Registry) Use(e *executor.Executor) (restore func()) {
	before := r.bound.Swap(r.Of(e))
	return func() { r.bound.Store(before) }
}

// Bound returns the desk of the bound executor, or nil.
func (r *Registry) Bound() *Desk { return r.bound.Load() }

// Unbound returns how many jobs ran as plain goroutines.
func (r *Registry) Unbound() uint64 { return r.strays.Load() }

// Start gives j to d, or to a goroutine if d is nil.
func (r *Registry) Start(d *Desk, j Job) {
	if d == nil {
		r.strays.Add(1)
		go j.Run(context.Background())
		return
	}
	d.Start(j)
}

// In returns the desk of the executor whose task ctx belongs to, or nil.
func (r *Registry) In(ctx context.Context) *Desk {
	e, _ := executor.FromContext(ctx)
	return r.Of(e)
}

// Of returns the desk of e, or nil for nil.
func (r *Registry) Of(e *executor.Executor) *Desk {
	if e == nil {
		return nil
	}
	key := weak.Make(e)
	r.mu.Lock()
	defer r.mu.Unlock()
	if d := r.desks[key].Value(); d != nil {
		return d
	}
	d := New(e, false, 0, &r.strays)
	if r.desks == nil {
		r.desks = make(map[weak.Pointer[executor.Executor]]weak.Pointer[Desk])
	}
	r.desks[key] = weak.Make(d)
	runtime.AddCleanup(d, r.forget, key)
	return d
}

func (r *Registry) forget(key weak.Pointer[executor.Executor]) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.desks[key].Value() == nil {
		delete(r.desks, key)
	}
}

// Strays returns the count of what ran as plain goroutines, for desks that are not the registry's.
func (r *Registry) Strays() *atomic.Uint64 { return &r.strays }
