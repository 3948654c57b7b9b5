package executor

import (
	"slices"
	"sync"
	"sync/atomic"
)

// What is done when everybody waits for tasks, and nobody is left to run them: of one executor, and of two.

// stuckWaits lists what parked tasks wait for, one entry for each such task. A task parks because others run what
// it waits for. When the last spare is gone and every slot is held by a waiting task, nobody does, and the parked
// ones have to run it themselves (W1).
type stuckWaits struct {
	mu    sync.Mutex
	waits []stuckWait
}

// stuckWait is a Group, or a stream.
type stuckWait interface{ wakeStuck() }

func (l *stuckWaits) add(w stuckWait) {
	l.mu.Lock()
	l.waits = append(l.waits, w)
	l.mu.Unlock()
}

func (l *stuckWaits) remove(w stuckWait) {
	l.mu.Lock()
	i, last := slices.Index(l.waits, w), len(l.waits)-1
	l.waits[i], l.waits[last] = l.waits[last], nil
	l.waits = l.waits[:last]
	l.mu.Unlock()
}

// nobodyRuns reports whether the holder of every slot blocks or waits.
func (e *Executor) nobodyRuns() bool {
	if e.word.Load()&(searchingMask|freeMask) != 0 {
		return false
	}
	slots := *e.slots.Load()
	for i := range slots {
		if !slots[i].Load().blocked() {
			return false
		}
	}
	return true
}

// wake wakes those who wait for a task that is queued. Caller holds no lock.
func (l *stuckWaits) wake() {
	l.mu.Lock()
	waits := slices.Clone(l.waits)
	l.mu.Unlock()
	for _, w := range waits {
		w.wakeStuck()
	}
}

// visitors are tasks of other executors that wait for something that tasks of this one do (B7).
//
// Two executors whose tasks wait for each other could stand still, each out of spares: a task of A holds A's last slot
// and waits for a task of B, and that waits for a second task of A, which is queued. Within one executor the waiter
// would run that itself (W1); a goroutine of B can not. So a slot of A is lent without a spare then. That happens only while
// all that has begun in A waits for tasks, and so takes nothing that MaxSpares is there to bound but the memory of a
// stack.
type visitors struct {
	waiting atomic.Int32
	beyond  atomic.Int32 // credits that are out beyond MaxSpares
}

// enter is called before a task of another executor waits for e.
func (v *visitors) enter(e *Executor) {
	v.waiting.Add(1) // then look: pairs with denied in tryCredit, which is set before waiting is read
	e.retry()
}

func (v *visitors) leave() { v.waiting.Add(-1) }

// repaid takes a credit back that was given beyond MaxSpares, if there is one.
func (v *visitors) repaid() bool {
	for {
		n := v.beyond.Load()
		if n == 0 {
			return false
		}
		if v.beyond.CompareAndSwap(n, n-1) {
			return true
		}
	}
}

// mayAllWait is called when one less of e's tasks does something else than wait for tasks.
func (e *Executor) mayAllWait() {
	if e.visitors.waiting.Load() > 0 {
		e.retry()
	}
}

// creditForVisitor gives a credit beyond MaxSpares, if that is what a visitor needs.
func (e *Executor) creditForVisitor() bool {
	if e.visitors.waiting.Load() == 0 || !e.nobodyRuns() || !e.allWait() {
		return false
	}
	e.visitors.beyond.Add(1)
	return true
}

// allWait reports whether all that has begun in e waits for tasks. Caller holds no lock.
func (e *Executor) allWait() bool {
	e.idle.mu.Lock()
	awake := e.idle.live - e.idle.parked.len
	e.idle.mu.Unlock()
	g := &e.registry
	g.mu.Lock()
	defer g.mu.Unlock()
	for r := g.first; r != nil; r = r.sibling {
		switch {
		case r.waits.Load():
			if !r.guest {
				awake--
			}
		case r.guest && r.goid.Load() != 0:
			return false
		}
	}
	return awake <= 0
}
