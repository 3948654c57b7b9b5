package executor

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"time"
)

// The seams through which tests look inside, and the checker of invariants.

// Validate is validate, for tests outside of the package.
func Validate(e *Executor) error { return validate(e) }

// Settled is settled, for tests outside of the package.
func Settled(e *Executor, within time.Duration) error { return settled(e, within) }

// FreeBesideWork reports whether a slot is free although a queue holds a task (PARKING P0). That may be
// so for a moment, between a publication and the look at the state word, but not for long.
func FreeBesideWork(e *Executor) bool {
	word := e.word.Load()
	return word&(stopping|ended) == 0 && freeSlots(word) > 0 && e.hasWork()
}

// DumpsTaken is how often Report has taken the stacks of all goroutines.
func DumpsTaken() int {
	lastDump.mu.Lock()
	defer lastDump.mu.Unlock()
	return lastDump.taken
}

// NearOverflow moves the counters of a new executor, which has had no task yet, close to where they wrap.
func NearOverflow(e *Executor) {
	e.idle.mu.Lock()
	for s := range e.slots.Load().all() {
		s.deque.startAt(math.MaxUint32 - 100)
	}
	e.idle.mu.Unlock()
	e.inject.mu.Lock()
	e.inject.moved = math.MaxUint64 - 100
	e.inject.mu.Unlock()
	e.rotate.Store(math.MaxUint32 - 100)
}

func (en entry) empty() bool { return en.fn == nil && en.of == nil }

func (c *chunk) empty() bool {
	return !slices.ContainsFunc(c.cells[:], func(en entry) bool { return !en.empty() })
}

// startAt makes i the index of the next push. The deque is empty.
func (d *deque) startAt(i uint32) {
	d.head.Store(packHead(i, i))
	d.tail.Store(i)
	d.next, d.steal = i, i
}

// settled waits until validate has nothing to say, for at most that long. The last runner parks a moment
// after the last task has ended, so an executor that is quiescent is not at rest at once.
func settled(e *Executor, within time.Duration) error {
	start, pause := time.Now(), 10*time.Microsecond
	for {
		err := validate(e)
		if err == nil || time.Since(start) > within {
			return err
		}
		time.Sleep(pause)
		pause = min(2*pause, 5*time.Millisecond)
	}
}

// validate derives again what must hold of an executor at rest: no task is queued or running, nobody waits
// for room, every runner is parked; or it has ended. It returns everything that does not hold.
func validate(e *Executor) error {
	v := &validator{e: e}
	e.idle.mu.Lock()
	v.word = e.word.Load()
	v.slots()
	v.runners()
	e.idle.mu.Unlock()
	v.injector()
	v.sums()
	v.probes()
	v.waiters()
	if v.word&ended == 0 {
		v.credits()
	}
	return errors.Join(v.problems...)
}

type validator struct {
	e        *Executor
	word     uint64 // the state word, as it was under idle.mu
	problems []error
}

func (v *validator) check(ok bool, format string, args ...any) {
	if !ok {
		v.problems = append(v.problems, fmt.Errorf(format, args...))
	}
}

// slots checks that each slot is in one place, which at rest is the list of free ones, and empty (D3).
func (v *validator) slots() {
	e := v.e
	v.check(freeSlots(v.word) == len(e.idle.free), "the word counts %d free slots, the list has %d", freeSlots(v.word), len(e.idle.free))
	slots := slices.Collect(e.slots.Load().all())
	places := make(map[*slot]int)
	for i, s := range slots {
		places[s] = 0
		v.check(s.index == i, "slot %p is at %d, and says %d", s, i, s.index)
	}
	v.check(len(places) == len(slots), "a slot is listed twice")
	for _, s := range e.idle.free {
		_, known := places[s]
		v.check(known, "a slot that was dropped is free")
		places[s]++
		v.deque(s)
	}
	v.check(e.idle.lent == 0, "%d slots count as lent (S3)", e.idle.lent)
	select {
	case <-e.life.done: // runners end with their slots
		for _, s := range slots {
			v.deque(s)
		}
		return
	default:
	}
	for s, n := range places {
		v.check(n == 1, "slot %p is on the free list %d times", s, n)
		v.check(!s.retire.Load(), "slot %p is to be retired, and was not", s)
		v.check(s.loan == nil, "slot %p is still lent (S3)", s)
	}
	v.check(len(places) == e.slotCount(), "there are %d slots, and should be %d", len(places), e.slotCount())
	v.check(len(e.idle.unborn) == 0, "%d slots wait for a runner to be started", len(e.idle.unborn))
}

// deque checks that a deque is empty, and clean. Nobody holds the slot, so this may look at what is its owner's.
func (v *validator) deque(s *slot) {
	steal, real := unpackHead(s.head.Load())
	tail := s.tail.Load()
	rests := steal == real && real == tail && tail == s.next
	v.check(rests, "deque of slot %p: steal %d, real %d, tail %d, next %d", s, steal, real, tail, s.next)
	if !rests { // a thief may be between claim and release, and the cell is the thief's
		return
	}
	for i := range s.cells {
		v.check(s.cells[i].empty(), "deque of slot %p: cell %d is not empty (D3)", s, i)
	}
}

// runners checks that every runner is parked, and holds nothing.
func (v *validator) runners() {
	e := v.e
	v.check(searching(v.word) == 0 || v.word&ended != 0, "%d runners search", searching(v.word))
	v.check(v.word&debt == 0, "the word says that a runner is surplus")
	v.check(e.idle.surplus.top == nil && e.idle.surplus.len == 0, "%d runners are surplus", e.idle.surplus.len)
	parked := make(map[*runner]bool)
	for r := e.idle.parked.top; r != nil; r = r.next {
		parked[r] = true
		v.check(r.list == &e.idle.parked, "a parked runner does not know that it is")
		v.parked(r)
	}
	v.check(len(parked) == e.idle.parked.len, "%d runners are parked, counted as %d", len(parked), e.idle.parked.len)
	v.check(e.idle.live == len(parked), "%d runners are parked, %d live", len(parked), e.idle.live)
	listed, guests := 0, 0
	e.registry.mu.Lock()
	for r := e.registry.first; r != nil; r = r.sibling {
		if r.guest {
			guests++
			v.check(r.goid.Load() == 0 && r.below == nil && r.cover == nil, "the record of a guest is in use")
			v.parked(r)
			continue
		}
		listed++
		v.check(parked[r], "a runner is not parked")
	}
	e.registry.mu.Unlock()
	v.check(listed == len(parked), "%d runners are parked, %d registered", len(parked), listed)
	if v.word&ended != 0 {
		v.check(listed+guests == 0, "%d runners outlive the executor", listed+guests)
	}
}

// parked checks one parked runner: no slot, no task, no context. What is read here, the runner wrote
// before it took idle.mu to park.
func (v *validator) parked(r *runner) {
	v.check(r.slot == nil, "a parked runner has a slot")
	v.check(r.held.Load() == nil, "a parked runner was given a slot")
	v.check(len(r.token) == 0, "a parked runner has a token")
	v.check(r.stack.tc == nil || sameContext(r.stack.tc.parent, context.Background()), "a parked runner holds a task's context")
	v.check(r.stack.span == nil, "a parked runner is in a loop")
	v.check(r.name.Load() == nil, "a parked runner has the name of a task")
	v.check(r.strand.Load() == nil, "a parked runner drains a strand")
	v.check(r.probe.Load() == nil, "a parked runner has the probe of a task")
	v.check(r.stack.group == nil, "a parked runner is in a group")
	v.check(len(r.stack.promises) == 0, "a parked runner runs the task of a future")
	v.check(len(r.stack.within) == 0, "a parked runner is in a bulkhead")
	v.check(r.stack.forks == nil && r.stack.open == 0, "a parked runner has %d children", r.stack.open)
	v.check(r.stack.joined == 0, "a parked runner has not counted %d children", r.stack.joined)
	v.check(len(r.stack.signal) == 0, "a parked runner was signaled by a child that it does not wait for")
	v.check(r.stack.depth == 0 && r.block.nested == 0 && !r.stack.inBare, "a parked runner is in a task: depth %d, blocking %d, bare %v", r.stack.depth, r.block.nested, r.stack.inBare)
	v.check(r.word.Load()&phaseMask == phaseRunning, "the Blocking word of a parked runner is %#x", r.word.Load())
	for _, pool := range r.stack.pools {
		v.freeForks(reflect.ValueOf(pool).Elem().FieldByName("free"))
	}
}

// freeForks checks that free records of forked children hold nothing. Each type of result has its own, so
// they can only be looked at by reflection.
func (v *validator) freeForks(records reflect.Value) {
	v.check(records.Len() <= maxFreeForks, "%d free records of children", records.Len())
	seen := make(map[uintptr]bool)
	for i := range records.Len() {
		v.check(!seen[records.Index(i).Pointer()], "the record of a child is free twice (F1)")
		seen[records.Index(i).Pointer()] = true
		f := records.Index(i).Elem()
		for _, field := range []string{"fn", "val", "returned", "parent", "slot", "failed", "signal", "queued", "joined", "listed", "prev", "next"} {
			if field == "fn" && f.FieldByName("fixed").Bool() {
				continue // the record's own, see forkedWith
			}
			v.check(f.FieldByName(field).IsZero(), "a free record of a child has %s", field)
		}
	}
}

// injector checks that the shared queue is empty and its books are right (I1).
func (v *validator) injector() {
	q := &v.e.inject
	q.mu.Lock()
	defer q.mu.Unlock()
	v.check(q.queue.len+q.returned.len == 0, "%d entries are queued", q.queue.len+q.returned.len)
	v.check(!q.filled.Load(), "the injector says that there are entries")
	v.check(q.used == 0, "%d places are taken (I1)", q.used)
	v.check(q.held.Load() == 0 && q.groups.waiting() == 0, "groups hold back %d tasks, and %d callers wait for them (G1)", q.held.Load(), q.groups.waiting())
	v.check(q.drains == 0, "%d entries of strands are queued", q.drains)
	v.check(q.yields.len == 0 && q.yields.first == nil, "%d yielded runners are queued", q.yields.len)
	v.check(q.seats == 0, "%d guests are queued", q.seats)
	v.check(q.dead.Load() == 0, "%d entries count as dead", q.dead.Load())
	v.check(q.waiters.first == nil && q.waiters.last == nil && q.waiters.len == 0 && q.waiters.inTask == 0,
		"%d submitters wait, %d of them tasks", q.waiters.len, q.waiters.inTask)
	v.check(q.beside == 0, "%d queues beside have entries (N6)", q.beside)
	if l, ok := q.lanes.(*lanes); ok {
		v.lanes(l)
	}
	o := q.recent.Load()
	v.check(o == nil || endless(o.parent), "the injector holds the context of a task")
	v.fifo(&q.queue)
	v.fifo(&q.returned)
}

// lanes checks that nothing waits in lanes, and nothing counts as running there (N5, N7).
func (v *validator) lanes(l *lanes) {
	for i, q := range l.all {
		c := l.rule.Classes[i]
		v.check(q.used == 0 && q.seats == 0 && q.queue.len == 0 && c.Queued == 0, "%d places are taken in lane %q by %d entries, counted as %d (N7)", q.used, q.name, q.queue.len, c.Queued)
		v.check(c.Running == 0, "%d tasks of lane %q count as running (N5)", c.Running, q.name)
		v.check(q.waiters.len == 0 && q.waiters.inTask == 0, "%d wait for room in lane %q", q.waiters.len, q.name)
		if q.fair != nil {
			v.check(q.fair.Len() == 0, "%d entries of tenants are left in lane %q", q.fair.Len(), q.name)
		} else {
			v.fifo(&q.queue)
		}
	}
	for i := range l.recent {
		p := l.recent[i].Load()
		v.check(p == nil || endless(p.parent), "the lanes hold the context of a task")
	}
}

// fifo checks the chunks of an empty queue.
func (v *validator) fifo(f *fifo) {
	v.check(f.first == f.last && f.head == f.tail, "an empty queue reaches from %p[%d] to %p[%d]", f.first, f.head, f.last, f.tail)
	if f.first != nil {
		v.check(f.first.empty(), "the chunk of an empty queue is not empty")
	}
	spares := 0
	for c := f.spare; c != nil; c = c.next {
		spares++
		v.check(c.empty(), "a spare chunk is not empty")
	}
	v.check(spares == f.spares, "%d spare chunks, counted as %d", spares, f.spares)
}

// sums checks that every task that was accepted has ended once (L1).
func (v *validator) sums() {
	s := v.e.sum()
	v.check(s.ended() == s.Submitted, "%d tasks were submitted, %d completed, %d panicked, %d were canceled (L1)", s.Submitted, s.Completed, s.Panicked, s.Canceled)
	if o := v.e.orders(); o != nil {
		accepted, started, tickets := o.counts()
		queued := tickets != 0 && v.word&ended == 0 // one of a strand without tasks may be left at the end
		v.check(accepted == started && !queued, "%d tasks of strands were accepted, %d started or canceled, %d entries are queued (Q2)", accepted, started, tickets)
		v.check(o.waiting() == 0, "%d wait for room in strands", o.waiting())
	}
	v.check(s.Failed <= s.Completed, "%d tasks failed, %d completed", s.Failed, s.Completed)
	v.check(s.Blocked == 0, "%d runners are blocked", s.Blocked)
	for _, n := range []uint64{s.Submitted, s.Completed, s.Failed, s.Panicked, s.Canceled, s.Stolen, s.Parks, s.Yields} {
		v.check(n < math.MaxInt64, "a count went below zero: %d", int64(n))
	}
}

// probes checks that no probe is left open (R1).
func (v *validator) probes() {
	n := v.e.sampler.tracing.Load()
	v.check(n == 0, "%d tasks of the execution tracer are open (R1)", n)
}

// waiters checks that nobody waits for quiescence, and that links end with their parents.
func (v *validator) waiters() {
	e := v.e
	e.quiet.mu.Lock()
	v.check(e.quiet.wanted.Load() == 0 && len(e.quiet.waiters) == 0, "%d wait for an executor at rest, counted as %d", len(e.quiet.waiters), e.quiet.wanted.Load())
	e.quiet.mu.Unlock()
	e.links.mu.Lock()
	for _, w := range e.links.links {
		if l := w.Value(); l != nil {
			v.check(l.ctx.Err() == nil || closed(l.Done()), "a canceled link of a parent that goes on")
		}
	}
	v.check(v.word&ended == 0 || len(e.links.links) == 0, "%d links outlive the executor", len(e.links.links))
	e.links.mu.Unlock()
}

// credits checks that no credit is missing (B5): all of them can be had. It takes them for a moment, so
// it comes last, and only if all else holds: a runner could be refused one.
func (v *validator) credits() {
	if len(v.problems) > 0 {
		return
	}
	all := int64(v.e.cfg.maxSpares)
	if !v.e.credits.TryAcquire(all) {
		v.check(false, "credits are missing (B5)")
		return
	}
	v.e.credits.Release(all)
}
