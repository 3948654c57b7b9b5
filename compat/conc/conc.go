// Package conc has the API of github.com/sourcegraph/conc, name for name and in every meaning, and runs its functions as
// tasks of an executor. Change the imports, and call Use once, where the program makes its executor: it binds the packages
// pool, iter and stream too.
//
//	e, err := executor.New()
//	...
//	defer conc.Use(e)()
//
// What one gets: functions wait in a queue for a slot and not for the processor, waits inside tasks lend their slot, and
// the live page shows them. Without an executor each function, or worker, is a goroutine as in sourcegraph/conc.
// What is next: [executor.Group], [executor.Map] and [executor.Ordered] take a context, and what blocks can be marked.
package conc

import (
	"context"
	"sync"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/compat/conc/internal/bound"
	"github.com/seed-97bda89a/executor/compat/conc/panics"
	"github.com/seed-97bda89a/executor/internal/door"
)

// Use makes the functions of conc and of the packages below it run on e, from now on, and returns a function that binds
// what was bound before. Nil binds nothing. Use is for the program, not for libraries.
func Use(e *executor.Executor) (restore func()) { return bound.Registry.Use(e) }

// Unbound returns how many functions of all these packages ran as plain goroutines since the program began: those that
// came while nothing was bound, and those that the executor had no room for or that came when it was closed.
func Unbound() uint64 { return bound.Registry.Unbound() }

// WaitGroup starts functions and waits for them. A panic in one comes back in Wait. The zero value is ready to use,
// and a WaitGroup must not be copied.
//
// The functions run at the same time, so they may wait for each other. On an executor they share its slots; where it has
// no spare left to stand in, or stands still for another reason, functions get goroutines.
type WaitGroup struct {
	active  sync.WaitGroup
	catcher panics.Catcher
}

// NewWaitGroup returns a new WaitGroup.
func NewWaitGroup() *WaitGroup { return new(WaitGroup) }

// Go starts f.
func (w *WaitGroup) Go(f func()) {
	w.active.Add(1)
	bound.Registry.Start(bound.Registry.Bound(), &call{w, f})
}

// Wait returns when all functions have, and panics with the first of their panics, a *panics.Recovered. A task that
// waits lends its slot.
func (w *WaitGroup) Wait() {
	door.Wait(w.active.Wait)
	w.catcher.Repanic()
}

// WaitAndRecover returns when all functions have, with the first of their panics, or nil.
func (w *WaitGroup) WaitAndRecover() *panics.Recovered {
	door.Wait(w.active.Wait)
	return w.catcher.Recovered()
}

// call is a function that a WaitGroup has started.
type call struct {
	w *WaitGroup
	f func()
}

// Run implements door.Job.
func (c *call) Run(context.Context) {
	defer c.w.active.Done()
	c.w.catcher.Try(c.f)
}
