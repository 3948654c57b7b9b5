// Package errgroup has the API of golang.org/x/sync/errgroup, name for name and in every meaning, and runs the functions
// of a group as tasks of an executor. Change the import, and call Use once, where the program makes its executor.
//
//	e, err := executor.New()
//	...
//	defer errgroup.Use(e)()
//
// What one gets: functions wait in a queue for a slot and not for the processor, waits inside tasks lend their slot, and
// the live page shows them. Without an executor a Group does what it does in golang.org/x/sync: a goroutine each.
// What is next: give functions a context with [executor.Group], and mark what blocks with [executor.Blocking].
package errgroup

import (
	"context"
	"fmt"
	"sync"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/internal/door"
)

var registry door.Registry

// Use makes the groups of the process run on e that nothing else gives an executor, from now on, and returns a
// function that binds what was bound before. Nil binds nothing. Use is for the program, not for libraries.
//
// A Group made by WithContext inside a task runs on that task's executor, and one that On was called for on that.
func Use(e *executor.Executor) (restore func()) { return registry.Use(e) }

// Unbound returns how many functions ran as plain goroutines since the program began: those of groups without an
// executor, and those that it had no room for or that came when it was closed.
func Unbound() uint64 { return registry.Unbound() }

// Group is a set of functions that work on one thing. The zero value has no limit and cancels nothing. A Group must
// not be copied, and is meant for one use.
//
// Its functions run at the same time, so they may wait for each other. On an executor they share its slots, and one
// that waits without telling is noticed after about 10 ms; where the executor has no spare left to stand in, or stands
// still for another reason, functions get goroutines. A panic in a function ends the process.
type Group struct {
	desk   *door.Desk // by On or WithContext; nil: whatever Use has bound
	cancel func(error)
	active sync.WaitGroup
	slots  chan struct{} // one element for each function that counts against the limit; nil: no limit
	first  sync.Once
	err    error
}

// WithContext returns a Group, and a context made from ctx that is canceled when a function returns an error, which
// becomes its cause, or when Wait returns. Inside a task the group runs on the task's executor.
func WithContext(ctx context.Context) (*Group, context.Context) {
	desk := registry.In(ctx)
	ctx, cancel := context.WithCancelCause(ctx)
	return &Group{desk: desk, cancel: cancel}, ctx
}

// On makes the group run on e, and returns the group. Call it before Go.
func (g *Group) On(e *executor.Executor) *Group {
	g.desk = registry.Of(e)
	return g
}

// Go starts f. At the limit it waits until a function of the group has returned. The first error cancels the group's
// context, and Wait returns it. What Go accepts runs, also after an error.
func (g *Group) Go(f func() error) {
	if g.slots != nil {
		door.Send(g.slots, struct{}{})
	}
	g.start(f)
}

// TryGo starts f unless the group is at its limit, and reports whether it did.
func (g *Group) TryGo(f func() error) bool {
	if g.slots != nil {
		select {
		case g.slots <- struct{}{}:
		default:
			return false
		}
	}
	g.start(f)
	return true
}

// Wait returns when all functions have, with the first error that one of them returned. A task that waits lends its slot.
func (g *Group) Wait() error {
	door.Wait(g.active.Wait)
	if g.cancel != nil {
		g.cancel(g.err)
	}
	return g.err
}

// SetLimit bounds how many functions run at once. A negative limit is none; with 0 nothing can start. It panics while
// functions are active that count against a limit.
func (g *Group) SetLimit(n int) {
	if n < 0 {
		g.slots = nil
		return
	}
	if active := len(g.slots); active > 0 {
		panic(fmt.Errorf("errgroup: modify limit while %v goroutines in the group are still active", active))
	}
	g.slots = make(chan struct{}, n)
}

func (g *Group) start(f func() error) {
	g.active.Add(1)
	desk := g.desk
	if desk == nil {
		desk = registry.Bound()
	}
	registry.Start(desk, &member{g, f})
}

// member is a function of a group.
type member struct {
	g *Group
	f func() error
}

// Run implements door.Job.
func (m *member) Run(context.Context) {
	g := m.g
	defer g.done()
	if err := m.f(); err != nil {
		g.first.Do(func() {
			g.err = err
			if g.cancel != nil {
				g.cancel(err)
			}
		})
	}
}

func (g *Group) done() {
	if g.slots != nil {
		<-g.slots
	}
	g.active.Done()
}
