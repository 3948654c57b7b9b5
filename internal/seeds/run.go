package seeds

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/internal/goid"
	"github.com/seed-97bda89a/executor/internal/sched"
)

// A run is one schedule of the function under test, in a bubble of its own. Each task, and each other goroutine that uses an
// executor, is an actor. An actor that comes to a point parks at its gate. The root goroutine waits until everybody in the
// bubble waits, chooses one of the parked actors, and opens its gate.
//
//	X1 Only the root opens gates, one at a time, and only while everybody else waits. So what happens between two points
//	   of an actor is a step, and steps follow each other; but what a step wakes goes on beside it until its next point.
//	X2 What the root chooses from is a function of the choices before, unless the program is not deterministic.
//	X3 No memory of the explorer that an actor writes is read by another actor, and gates are opened and passed where the
//	   race detector does not look: it sees the program's own synchronization, and no other.
type run struct {
	seed     uint64
	strategy strategy
	traced   bool // call stacks are kept
	slots    int  // 0: as many as there are tasks
	options  []executor.Option
	ordered  bool // the race detector sees the gates

	t        *testing.T // of the bubble
	bubble   atomic.Uint64
	main     *actor
	kick     chan struct{} // wakes the root when it is idle
	idle     atomic.Bool
	ending   atomic.Bool // actors leave at once
	shutdown atomic.Bool // the executor has ended
	skipped  atomic.Bool
	failure  atomic.Pointer[failure]
	progress atomic.Uint64 // steps, for the watchdog
	adopted  struct {
		mu   sync.Mutex
		n    int
		list []*actor // that the root has not seen
	}
	known struct {
		mu  sync.Mutex
		ids []int64 // goroutines
	}
	pools struct {
		mu   sync.Mutex
		list []*pool
	}

	// The root's own.
	live    []*actor // that have not ended
	taken   []lock
	ready   []*actor // parked, and allowed to go on, in the order in which they came
	current *actor   // who went on last
	inRow   int      // how many steps it has made since others have
	moves   int      // steps, but for those that only try a lock again
	steps   []step
	turns   []Turn // where the choice was not the usual one
	hash    uint64 // of the steps
	timer   *time.Timer
}

// step is one choice.
type step struct {
	actor *actor
	point sched.Point
	hash  uint64 // of all until here, and of what could be chosen from
	ready int    // how many that were
	pcs   []uintptr
}

const (
	maxSteps  = 100_000
	maxInRow  = 100                       // steps of one actor while others could go on
	farAway   = 10 * 365 * 24 * time.Hour // further than any timer of a test
	lendAfter = 50 * time.Millisecond     // until a slot is lent for tasks that block without saying so
)

// root is the function of the bubble's root goroutine.
func (r *run) root(t *testing.T, fn func(*testing.T, *executor.Executor)) {
	r.t = t
	r.bubble.Store(goid.Bubble())
	r.know(nil)
	defer r.forget()
	r.kick = make(chan struct{}, 1)
	defer sched.Install(r.bubble.Load(), r)()
	opts := slices.Clone(r.options)
	if r.slots > 0 {
		opts = append(opts, executor.WithSlots(r.slots))
	}
	exec, err := executor.New(opts...)
	if err != nil {
		r.fail(&failure{kind: Panicked, text: err.Error()})
		return
	}
	r.main = r.newActor("0", "test")
	r.live = append(r.live, r.main)
	go r.test(exec, fn)
	r.loop(exec)
	if r.failure.Load() == nil && r.shutdown.Load() {
		return
	}
	// Everybody leaves who can. Who can not is left behind, with the bubble.
	r.ending.Store(true)
	for _, a := range r.live {
		if a.parked.Load() != 0 {
			a.open()
		}
	}
	go func() { _ = exec.Close() }()
}

// test is the goroutine of the function under test.
func (r *run) test(exec *executor.Executor, fn func(*testing.T, *executor.Executor)) {
	a := r.main
	returned := false
	defer func() {
		var value any
		if !returned {
			value = recover()
		}
		if r.ending.Load() { // the verdict is out, and t may have gone
			return
		}
		r.skipped.Store(r.t.Skipped())
		a.End(returned, value, nil)
		if r.t.Failed() {
			r.fail(&failure{kind: TestFailed})
		}
	}()
	r.know(a)
	a.Start(nil)
	fn(r.t, exec)
	returned = true
}

// loop makes steps until the program has ended or failed.
func (r *run) loop(exec *executor.Executor) {
	shutting := false
	for {
		synctest.Wait()
		r.look()
		if r.fit() {
			continue
		}
		switch {
		case r.failure.Load() != nil:
			return
		case len(r.ready) > 0:
			if len(r.steps) == maxSteps {
				r.fail(&failure{kind: Endless, text: fmt.Sprintf("it has not ended after %d steps", maxSteps)})
				return
			}
			r.step()
			continue
		case r.shutdown.Load():
			return
		case r.main.state.Load() == actorEnded && !shutting:
			shutting = true
			go r.end(exec)
			continue
		}
		if !r.rest() {
			r.fail(r.stuck(shutting))
			return
		}
	}
}

// end shuts the executor down after the test: no timer fires any more, and tasks are waited for.
func (r *run) end(exec *executor.Executor) {
	r.know(nil)
	_ = exec.Shutdown(context.Background())
	r.shutdown.Store(true)
	if r.idle.Load() {
		r.kick <- struct{}{}
	}
}

// look finds out who has been submitted, who has ended, and who may go on.
//
//go:norace
func (r *run) look() {
	if n := len(r.adopted.list); n > 0 {
		r.adopted.mu.Lock()
		r.live = append(r.live, r.adopted.list...)
		r.adopted.list = nil
		r.adopted.mu.Unlock()
	}
	for _, a := range r.live {
		a.parked.Load() // for the race detector: what it has written may be read now
	}
	for i := 0; i < len(r.live); i++ { // born ones have their turn in the same loop
		a := r.live[i]
		for ; a.seen < len(a.born); a.seen++ {
			r.live = append(r.live, a.born[a.seen])
		}
	}
	live := r.live[:0]
	for _, a := range r.live {
		if took := a.locks; took != nil {
			r.taken = slices.DeleteFunc(r.taken, func(l lock) bool { return l.is == took })
			r.taken = append(r.taken, lock{took, a})
			a.locks = nil
		}
		if a.state.Load() != actorEnded {
			live = append(live, a)
		}
	}
	clear(r.live[len(live):])
	r.live = live
	for _, p := range r.pools.list {
		p.tasks, p.held, p.queued = 0, 0, 0
	}
	for _, a := range r.live {
		if p := a.pool; p != nil {
			p.tasks++
			if a.state.Load() == actorRunning && !a.lent.Load() {
				p.held++
			}
		}
	}
	r.ready = r.ready[:0]
	for _, a := range r.live {
		point := a.parked.Load()
		if point == 0 {
			continue
		}
		if a.since == 0 {
			a.since = len(r.steps) + 1
		}
		if p := a.pool; p != nil && point == uint32(sched.Start)+1 && p.slots > 0 && p.held >= p.slots+p.loans {
			p.queued++
			continue
		}
		if point == uint32(sched.Locked)+1 && a.tried == r.moves {
			continue
		}
		i := len(r.ready)
		r.ready = append(r.ready, a)
		for ; i > 0 && r.ready[i-1].since > a.since; i-- {
			r.ready[i-1], r.ready[i] = a, r.ready[i-1]
		}
	}
}

// fit gives executors more slots that have more tasks than slots, and reports whether it did.
func (r *run) fit() (changed bool) {
	for _, p := range r.pools.list {
		if p.tasks < p.size {
			continue
		}
		size := min(2*p.tasks, 4096)
		if p.size == size {
			r.fail(&failure{kind: Endless, text: fmt.Sprintf("%d tasks at once: at most %d can be explored", p.tasks, size-1)})
			return false
		}
		p.size = size
		if err := p.resize(size); err != nil {
			return false // it has ended
		}
		changed = true
	}
	return changed
}

// step lets one actor go on.
func (r *run) step() {
	usual := r.usual()
	a := usual
	if len(r.ready) > 1 {
		a = r.strategy.choose(r, usual)
	}
	point := a.parked.Load()
	h := mix(r.hash, a.hash, uint64(point))
	for _, b := range r.ready {
		h = mix(h, b.hash, uint64(b.parked.Load()))
	}
	r.hash = h
	if a != usual {
		r.turns = append(r.turns, Turn{after: r.current.id, moves: r.current.moves, to: a.id})
	}
	s := step{actor: a, point: sched.Point(point - 1), hash: h, ready: len(r.ready)}
	if r.traced {
		s.pcs = a.stack()
	}
	r.steps = append(r.steps, s)
	r.progress.Add(1)
	if r.inRow++; r.current != a {
		r.inRow = 1
	}
	r.current = a
	a.moves++
	if s.point != sched.Locked {
		r.moves++
	}
	a.tried = r.moves
	a.since = 0
	a.open()
}

// usual is who goes on if there is no reason for somebody else: the one who went on last, or who has been ready for longest. Who
// yields, or has gone on for long, perhaps in a loop that waits for others, lets others go first.
func (r *run) usual() *actor {
	first := r.ready[0]
	if first == r.current && len(r.ready) > 1 {
		first = r.ready[1]
	}
	if r.inRow >= maxInRow || r.yields() {
		return first
	}
	for _, a := range r.ready {
		if a == r.current {
			return a
		}
	}
	return first
}

// yields reports whether the one who went on last is at a Yield.
func (r *run) yields() bool {
	return r.current != nil && r.current.parked.Load() == uint32(sched.Yield)+1
}

// rest waits until somebody is ready, and reports false if nobody ever will be. Time goes on meanwhile.
func (r *run) rest() bool {
	d := time.Duration(farAway)
	var short *pool
	for _, p := range r.pools.list {
		if p.queued > 0 {
			d, short = lendAfter, p
		}
	}
	if r.timer == nil {
		r.timer = time.NewTimer(d)
	} else {
		r.timer.Reset(d)
	}
	r.idle.Store(true)
	kicked := false
	select {
	case <-r.kick:
		kicked = true
		r.timer.Stop()
	case <-r.timer.C:
	}
	r.idle.Store(false)
	if !kicked && short != nil {
		short.loans++ // the tasks that run only block: so the executor would lend a slot
		return true
	}
	return kicked
}

func mix(h, a, b uint64) uint64 {
	h = (h ^ a) * 0x9e3779b97f4a7c15
	h = (h ^ h>>29 ^ b) * 0xbf58476d1ce4e5b9
	return h ^ h>>32
}

func (r *run) fail(f *failure) { r.failure.CompareAndSwap(nil, f) }
