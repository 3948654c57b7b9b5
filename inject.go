package executor

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-97bda89a/executor/internal/chaos"
	"github.com/seed-97bda89a/executor/internal/meter"
)

// injector is the shared queue: tasks from outside, overflow of the deques, and the entries of
// yielded runners. It is bounded, first in first out, and guarded by one mutex; a runner takes
// many entries per lock. Whoever adds to it calls Executor.notify afterwards (PARKING P1, P4).
//
// The bound counts the queued tasks. Entries of yielded runners and what groups hold back (Group.SetLimit) are
// outside of it. It is exact: all of it happens under mu (I1).
type injector struct {
	// Read by every submitter from outside and seldom written: on a line of their own.
	recent   atomic.Pointer[origin] // of the last bare task from outside, for the next one
	due      atomic.Bool            // the next task is to be measured
	sampling uint64                 // one task in how many is measured; never changes
	_        [104]byte

	mu     sync.Mutex
	filled atomic.Bool // whether there are entries; written under mu, read by anybody
	bulky  atomic.Bool // the queue is empty, but keeps the memory of a long one
	closed bool        // refuses everybody but tasks of this executor

	stopped   bool       // refuses everybody
	queue     fifo       // tasks
	returned  fifo       // tasks that were in the deque of a slot that has gone (P6)
	yields    resumeList // runners that yielded
	beside    int        // returned, yields and ready together: see recount
	ready     int        // how many lanes have an entry that may start (N6)
	apart     bool       // returned had the last turn
	outer     bool       // a lane had it
	lanes     laning     // WithLanes, or nil: then the queue has only what tasks of the executor put there
	used      int        // places taken, at most limit; at most twice the limit for children (I2)
	limit     int
	waiters   waiterList
	submitted uint64           // tasks accepted here
	until     uint64           // how many more until due
	delay     delaying         // WithQueueDelay, or nil
	seats     int              // entries of guests that wait for a slot
	drains    int              // entries of strands in the queue: outside of the bound too
	moved     uint64           // counts freed places; a queue that stands still does not change it
	stood     uint64           // moved, plus one, when the keeper last saw the queue stand still
	held      atomic.Int64     // tasks that groups hold back: accepted, and in no queue
	groups    boundCrowd       // callers that wait for room in a group
	enclosed  bool             // the executor is in a bubble: callers are asked where they are
	refuses   [2]chan struct{} // closed with closed, and with stopped; nil if nobody wants to know
	dead      atomic.Int64     // entries, here or in a deque, that were claimed elsewhere
	buried    atomic.Uint64    // how many ever were
	swept     uint64           // buried at the last sweep
	ages      meter.Ages       // of the entries
	returns   time.Duration    // since epoch, when the first of returned came
}

// len is how many entries there are that may start. Caller holds mu.
func (q *injector) len() int {
	n := q.queue.len + q.returned.len + q.yields.len
	if q.lanes != nil {
		n += q.lanes.sum().startable
	}
	return n
}

// pushed is how many entries ever came, but for those in returned, and popped how many of these have left. Caller holds mu.
func (q *injector) pushed() uint64 {
	if q.lanes != nil {
		return q.queue.pushed + q.lanes.pushed()
	}
	return q.queue.pushed
}

func (q *injector) popped() uint64 {
	n := q.queue.pushed - uint64(q.queue.len)
	if q.lanes != nil {
		n += q.lanes.popped()
	}
	return n
}

// recount is called whenever something has changed that beside counts. Caller holds mu.
func (q *injector) recount() { q.beside = q.returned.len + q.yields.len + q.ready }

// resumeDue reports whether it is the turn of the runner that yielded first. Caller holds mu.
func (q *injector) resumeDue() bool {
	return q.yields.len > 0 && (q.yields.due(q.popped()) || q.lanes != nil && q.queue.len == 0 && q.ready == 0)
}

// unlock publishes whether there are entries and releases mu.
func (q *injector) unlock() {
	if filled := q.queue.len > 0 || q.beside > 0; filled != q.filled.Load() {
		q.turn(filled)
	}
	q.mu.Unlock()
}

// turn notes that the queue has become empty, or is so no longer. Caller holds mu.
func (q *injector) turn(filled bool) {
	q.filled.Store(filled)
	if !filled && q.queue.spares > idleSpares {
		q.bulky.Store(true)
	}
}

// addDrain queues the entry of a strand, outside of the bound. at is its lane, or nil.
func (q *injector) addDrain(en entry, at *spot) {
	q.mu.Lock()
	if at != nil {
		q.lanes.addDrain(at, en)
	} else {
		q.push(en)
		q.drains++
	}
	q.unlock()
}

// vacate counts an entry that has left the queue, and returns how many places that frees. Caller holds mu.
func (q *injector) vacate(en entry) int {
	if q.drains > 0 && en.drains() {
		q.drains--
		return 0
	}
	return 1
}

// occupy counts an entry that has come from a deque. Caller holds mu.
func (q *injector) occupy(en entry) {
	if en.drains() {
		q.drains++
	} else {
		q.used++
	}
}

// take removes up to most entries: it returns the oldest and pushes the others to d, which has
// room for them, and is empty if most is above 1. A taker leaves share-1 of share
// parts to others, unless those are too small. Freed places go directly to waiters. It reports whether there was
// an entry, and what else it did. Yielded runners, and tasks that were in a deque once, never enter one (P6).
func (q *injector) take(d *deque, most, share int) (first entry, ok bool, did taken) {
	q.mu.Lock()
	n := min(most, max(minBatch, q.queue.len/share+1), q.queue.len)
	if q.seats > 0 { // the entries of guests keep their turn and never enter a deque
		n = min(n, 1)
	}
	freed := n
	if q.beside > 0 {
		if q.lanesTurn() {
			return q.lanes.take(d, most, share)
		}
		first, n, freed, ok = q.takeApart(n)
	}
	if n <= 0 {
		q.mu.Unlock()
		return entry{}, false, taken{}
	}
	if !ok {
		if q.delay != nil {
			q.delay.taken(&q.queue, n, time.Since(epoch))
		}
		first = q.queue.pop()
		if q.drains > 0 {
			freed += q.vacate(first) - 1
		}
		if q.seats > 0 && first.alone() {
			q.seats--
		}
	}
	rest := n - 1
	if rest > 0 {
		for i := range uint32(rest) {
			en := q.queue.pop()
			if q.drains > 0 {
				freed += q.vacate(en) - 1
			}
			d.set(i, en)
		}
		d.advance(uint32(rest))
	}
	q.moved += uint64(n)
	granted := q.free(freed)
	low := q.queue.len < q.limit/4
	q.unlock()
	chaos.At(chaos.I1Granted)
	wakeAll(granted)
	return first, true, taken{published: rest > 0 || granted != nil, woke: granted != nil, low: low}
}

// taken says what taking entries from the injector did beside that.
type taken struct {
	published bool // tasks: the caller notifies
	woke      bool // submitters
	low       bool // less than a quarter of the queue is left
}

// overflow moves up to most of d's newest entries into the queue, oldest first, within the bound,
// and returns how many it moved. The caller owns d.
func (q *injector) overflow(d *deque, most int) int {
	q.mu.Lock()
	defer q.unlock()
	if q.waiters.len > 0 {
		return 0
	}
	if q.used >= q.limit {
		q.sweep()
	}
	at, n := d.claimNewest(min(most, q.limit-q.used))
	for i := range n {
		if en := d.clear(at + i); !q.discards(en) {
			q.push(en)
			q.occupy(en)
		}
	}
	return int(n)
}

// empty moves everything in d, whose slot goes, to those that were in a deque once, whatever the bound says: at the end
// of the queue they would be overtaken again and again. The caller owns d.
func (q *injector) empty(d *deque) {
	q.mu.Lock()
	defer q.unlock()
	for en, ok := d.popHead(); ok; en, ok = d.popHead() {
		if q.discards(en) {
			continue
		}
		if q.returned.len == 0 {
			q.returns = time.Since(epoch)
		}
		q.returned.push(en)
		q.occupy(en)
	}
	q.recount()
}

// lanesTurn reports whether an entry of a lane goes next. What has left a deque, and other entries of the executor's own
// tasks, take turns with all lanes together (N8). Caller holds mu.
func (q *injector) lanesTurn() bool {
	if q.lanes == nil {
		return false
	}
	inner := q.queue.len > 0 || q.returned.len > 0 || q.resumeDue()
	q.outer = q.ready > 0 && (!inner || !q.outer)
	return q.outer
}

// takeApart says what is to be taken when there is more than the queue: one entry out of turn, or, if ok is false, n
// entries of the queue, that is to say none that came after a runner which has yielded. The tasks in returned and
// all others take turns, so neither waits for more than twice as many as are in front of it. Caller holds mu.
func (q *injector) takeApart(most int) (en entry, n, freed int, ok bool) {
	if q.apart = q.returned.len > 0 && (!q.apart || q.queue.len+q.yields.len == 0); q.apart {
		en = q.returned.pop()
		q.recount()
		return en, 1, q.vacate(en), true
	}
	if q.resumeDue() {
		y := q.yields.pop()
		q.recount()
		return entry{of: &y.origin}, 1, 0, true
	}
	if q.yields.len > 0 {
		most = min(most, int(q.yields.first.turn-q.popped()))
	}
	return entry{}, most, most, false
}

// push queues an entry. Caller holds mu.
func (q *injector) push(en entry) {
	q.queue.push(en)
	if q.delay != nil {
		q.delay.came(&q.queue, time.Since(epoch))
	}
}

// bury counts an entry that was claimed or canceled elsewhere. If submitters wait for room, its place is
// theirs at once; then tasks of theirs have been published.
func (q *injector) bury() bool {
	q.dead.Add(1)
	q.buried.Add(1)
	chaos.At(chaos.I1Dead)
	q.mu.Lock()
	if q.waiters.len == 0 && (q.lanes == nil || q.lanes.sum().waiting == 0) {
		q.mu.Unlock()
		return false
	}
	var granted *waiter
	if q.waiters.len > 0 {
		q.sweep()
		granted = q.free(0)
	} else {
		granted = q.lanes.relieve()
	}
	q.unlock()
	wakeAll(granted)
	return granted != nil
}

// sweep drops entries that were claimed or canceled elsewhere and reports whether there is room now.
// Caller holds mu and calls it only when the queue is full. Dead entries may also be in deques, so a
// sweep is not repeated until there are others.
func (q *injector) sweep() bool {
	if q.buried.Load()-q.swept < uint64(1+q.limit/256) { // a walk pays for that many
		return false
	}
	q.swept = q.buried.Load()
	keep := func(en entry) bool {
		if !q.discards(en) {
			return true
		}
		q.used--
		if en.alone() {
			q.seats--
		}
		return false
	}
	q.queue.filter(keep)
	q.returned.filter(keep)
	q.recount()
	return q.used < q.limit
}

// purge lets go of what is left after the end: dead entries, which nobody is going to meet, and the last parent.
func (q *injector) purge() {
	q.mu.Lock()
	for _, f := range []*fifo{&q.queue, &q.returned} {
		f.filter(func(en entry) bool { return !q.discards(en) && !en.drains() })
	}
	q.drains, q.seats = 0, 0
	q.used = q.queue.len + q.returned.len
	if q.lanes != nil {
		q.lanes.purge()
	}
	q.recount()
	q.unlock()
	q.trim()
	q.forget()
}

// discards reports whether en is dead, and then takes it off the count of dead entries.
func (q *injector) discards(en entry) bool {
	if !en.dead() {
		return false
	}
	q.dead.Add(-1)
	return true
}

// originOf returns the origin of a bare task from outside.
func (q *injector) originOf(parent context.Context) *origin {
	if o := q.recent.Load(); o != nil && sameContext(o.parent, parent) {
		return o
	}
	traced := sampledSpan(parent)
	o := &origin{parent: parent, plain: q.delay == nil && q.lanes == nil && !q.enclosed && !traced && laneOf(parent, nil) == "" && !foreign(parent) && taskOf(parent) == nil, traced: traced, endless: endless(parent)}
	q.recent.Store(o)
	return o
}

// forgetParent lets go of the last parent, if it is this one, and it keeps anything alive.
func (q *injector) forgetParent(parent context.Context) {
	if endless(parent) {
		return
	}
	if o := q.recent.Load(); o != nil && sameContext(o.parent, parent) {
		q.recent.CompareAndSwap(o, nil)
	}
	if q.lanes != nil {
		q.lanes.forgetParent(parent)
	}
}

// trim lets go of the memory of a long queue.
func (q *injector) trim() {
	if q.bulky.Load() {
		q.mu.Lock()
		q.queue.trim()
		if q.lanes != nil {
			q.lanes.trim()
		}
		q.bulky.Store(false)
		q.mu.Unlock()
	}
}

// forget lets go of the last parent, so that an idle executor holds no context of the program.
func (q *injector) forget() {
	if o := q.recent.Load(); o != nil && !o.endless {
		q.recent.Store(nil)
	}
	if q.lanes != nil {
		q.lanes.forget()
	}
}
