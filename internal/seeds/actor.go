package seeds

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/seed-97bda89a/executor/internal/goid"
	"github.com/seed-97bda89a/executor/internal/sched"
)

// actor is a task, or another goroutine that uses an executor.
type actor struct {
	run    *run
	pool   *pool // of a task
	id     string
	name   string
	above  *actor // who submitted it
	hash   uint64 // of id
	gate   chan struct{}
	parked atomic.Uint32 // 1 + the point where it waits for its turn
	state  atomic.Uint32
	goid   atomic.Int64
	lent   atomic.Bool
	below  *actor // on the same stack
	pcs    []uintptr
	born   []*actor // whom it submitted
	rng    *rand.Rand
	does   any // what it is for those that wait for it
	waits  any // what it waits for, until it is back
	locks  any // the lock that it has taken since its last point

	// The root's own.
	seen  int // of born
	since int // the step when it parked
	moves int // steps so far
	tried int // run.moves at the last one
}

const (
	actorQueued  = iota
	actorRunning // and on a stack
	actorCovered // another one runs on top of its stack
	actorEnded
)

func (r *run) newActor(id, name string) *actor {
	h := uint64(14695981039346656037)
	for i := range len(id) {
		h = (h ^ uint64(id[i])) * 1099511628211
	}
	return &actor{run: r, id: id, name: name, hash: h, gate: make(chan struct{}, 1)}
}

// At is called by the actor.
func (a *actor) At(p sched.Point) {
	var leave bool
	if a.run.traced {
		var pcs [64]uintptr
		a.pcs = slices.Clone(pcs[:runtime.Callers(2, pcs[:])])
	}
	if p != sched.Wait && p != sched.Locked {
		a.waits = nil
	}
	a.parked.Store(uint32(p) + 1) // the root sees what was before; nothing else here may tell the actor of others (X3)
	a.run.unseen(func() { leave = a.pass() })
	if leave && p != sched.End {
		runtime.Goexit()
	}
}

// unseen calls fn where the race detector does not look.
func (r *run) unseen(fn func()) {
	if r.ordered {
		fn()
		return
	}
	raceOff()
	fn()
	raceOn()
}

// pass waits until the root opens the gate, and reports whether the run is over.
func (a *actor) pass() (over bool) {
	r := a.run
	if r.ending.Load() {
		return true
	}
	if r.idle.Load() {
		select {
		case r.kick <- struct{}{}:
		default:
		}
	}
	<-a.gate
	return r.ending.Load()
}

// open lets the actor go on. It is for the root.
func (a *actor) open() {
	a.parked.Store(0)
	a.run.unseen(func() { a.gate <- struct{}{} })
}

func (a *actor) Does(what any) { a.does = what }

func (a *actor) For(what any) { a.waits = identity(what) }

func (a *actor) Locks(l any) { a.locks = identity(l) }

// identity is what can be compared: a Locker may be of a type that can not.
func identity(v any) any {
	if v == nil || !reflect.TypeOf(v).Comparable() {
		return nil
	}
	return v
}

func (a *actor) Lend(on bool) { a.lent.Store(on) }

func (a *actor) Start(below sched.Task) {
	a.goid.Store(goid.ID())
	if b, ok := below.(*actor); ok && b != nil {
		a.below = b
		b.state.Store(actorCovered)
	}
	a.At(sched.Start)
	a.state.Store(actorRunning)
}

func (a *actor) End(returned bool, panicked any, below sched.Task) {
	if !a.run.ending.Load() {
		switch {
		case panicked != nil:
			a.run.fail(&failure{kind: Panicked, text: fmt.Sprintf("task %s panicked: %v", a, panicked), stack: callers()})
		case !returned && a.run.t.Failed():
			a.run.fail(&failure{kind: TestFailed})
		}
	}
	a.At(sched.End)
	if a.below != nil {
		a.below.state.Store(actorRunning)
	}
	a.state.Store(actorEnded)
}

func (a *actor) Drop() { a.state.Store(actorEnded) }

// stack is for the root.
//
//go:norace
func (a *actor) stack() []uintptr { return a.pcs }

// waitsFor says in words for whom the actor waits, or "". It is for the root.
//
//go:norace
func (a *actor) waitsFor(live []*actor, locked []lock) string {
	if a.waits == nil {
		return ""
	}
	for _, l := range locked {
		if l.is == a.waits {
			text := ", for what " + l.by.String() + " locked last"
			if l.by.state.Load() == actorEnded {
				text += ", which has ended"
			}
			return text
		}
	}
	var names []string
	for _, b := range live {
		if b.does == a.waits && b.state.Load() != actorEnded {
			names = append(names, b.String())
		}
	}
	switch n := len(names); {
	case n == 0:
		return ""
	case n > maxNames:
		names = append(names[:maxNames], fmt.Sprintf("%d more", n-maxNames))
	}
	return ", for " + strings.Join(names, ", ")
}

// maxNames is how many tasks are named for which one waits.
const maxNames = 8

// lock is a lock that an actor took with executor.Lock, and the last one that did.
type lock struct {
	is any
	by *actor
}

func (a *actor) String() string {
	if a.name == "" {
		return a.id
	}
	return a.id + " (" + a.name + ")"
}

// Rand returns the random numbers of the task that calls it: the same in each run with the same seed, in whichever order tasks
// go on. Outside of a run they are any.
func Rand(ctx context.Context) *rand.Rand {
	a, ok := sched.TaskOf(ctx).(*actor)
	switch {
	case !ok:
		return rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	case a.rng == nil:
		a.rng = rand.New(rand.NewPCG(a.run.seed, a.hash))
	}
	return a.rng
}
