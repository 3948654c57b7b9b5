package executor

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-97bda89a/executor/internal/chaos"
)

// Tasks in order. A strand is a queue of tasks that run one at a time: a Serial has one, a Keyed one for each key. When it
// gets its first task it puts one entry into the executor's queues; whoever takes that drains the strand: it runs the
// tasks in order, and after some puts the entry back, at the end of the injector. The drain is no task, it is not counted,
// and its entry has no place in the bound: so it is always there, also when the queue is full.
//
//	Q1 A strand is asleep (nothing queued, nobody drains it), ready (its entry is in a queue) or draining (by one runner).
//	   It changes only under its home's lock. So its tasks run one at a time, in the order in which they were appended.
//	Q2 Of the tasks that wait in the strands of a Serial or Keyed there are never more than its limit, or twice that
//	   for tasks that can not wait (as I2). Whoever starts or cancels a task gives its place back, once.
//	Q3 A task is counted as accepted before it is looked whether the executor is closed, and before it can run (as L1, L2).

const (
	strandAsleep   = 0
	strandReady    = 1
	strandDraining = 2

	drainTasks = 16 // how many tasks of a strand run before others go first
	spareBeads = 64 // how many free beads a strand's home keeps
	deadBeads  = 16 // how many canceled tasks may be left in a strand, or half of it
)

// strand is one queue of tasks that run one at a time.
type strand struct {
	origin     // of its entry: the job is the strand, or what embeds it
	home       *strandHome
	head, tail *bead
	len, lost  int32 // tasks queued; those of them that were canceled, about
	state      uint8
	ticket     bool                 // its entry is in a queue; it may be one that is not needed any more
	at         atomic.Pointer[spot] // the lane in which it is, or was, ready; nil: none
	onStack    onStack
}

// onStack is a strand on the stack of the runner that drains it. Its type does not name strand, for runner names it: see
// unbegun.
type onStack struct {
	of    any                     // the *strand
	below atomic.Pointer[onStack] // what the same runner drains below on its stack
}

func (o *onStack) strand() *strand { return o.of.(*strand) }

// bead is a task on a strand.
type bead struct {
	entry
	at   *spot // the lane of a task from outside
	next *bead
}

// strandHome is what strands share: the lock, and where their tasks are counted.
type strandHome struct {
	mu     sync.Mutex
	e      *Executor
	room   *room
	cell   *orderCell
	owner  strandOwner // or nil
	spare  *bead
	spares int
}

// strandOwner is told, under the lock, when a strand has become empty and its entry is gone.
type strandOwner interface{ emptied(s *strand) }

func (h *strandHome) init(e *Executor, room *room) {
	books := e.orderBooks()
	h.e, h.room = e, room
	h.cell = &books.cells[books.next.Add(1)%uint32(len(books.cells))]
	if room.books == nil {
		room.books = books
		room.limit.Store(int64(e.inject.limit))
	}
}

func (s *strand) init(h *strandHome, j job) { s.home, s.job, s.drain, s.onStack.of = h, j, true, s }

// enter takes a place and counts a task as accepted, if it need not wait and is not refused.
func (h *strandHome) enter(own bool) bool {
	if !h.room.take() {
		return false
	}
	if h.enroll(own) {
		return true
	}
	h.room.give()
	h.e.checkQuiet() // somebody may have seen the task that is none
	return false
}

// enroll counts a task, unless the executor is closed (Q3).
func (h *strandHome) enroll(own bool) bool {
	h.cell.accepted.Add(1)
	chaos.At(chaos.Q3Accepted)
	if h.e.refuses(own) {
		h.cell.accepted.Add(^uint64(0))
		return false
	}
	return true
}

// append queues a task, and reports whether the caller has to launch the strand. Caller holds the home's lock.
func (s *strand) append(en entry, p *promise, at *spot) (launch bool) {
	h := s.home
	if p != nil {
		p.strand = s
	}
	b := h.spare
	if b != nil {
		h.spare = b.next
		h.spares--
	} else {
		b = new(bead)
	}
	b.entry, b.at, b.next = en, at, nil
	if s.tail != nil {
		s.tail.next = b
	} else {
		s.head = b
	}
	s.tail = b
	s.len++
	return s.wants()
}

// wants makes an idle strand with tasks ready, and reports whether its entry has to be queued for that. Caller
// holds the home's lock (Q1).
func (s *strand) wants() bool {
	if s.state != strandAsleep || s.head == nil {
		return false
	}
	s.state = strandReady
	if s.at.Load() != s.head.at {
		s.at.Store(s.head.at)
	}
	queued := s.ticket
	s.ticket = true
	return !queued
}

// launch queues the entry of a strand that is ready: on the own deque of r, the calling goroutine's runner, if it can be
// there, else in the injector.
func (s *strand) launch(r *runner) {
	e := s.home.e
	s.home.cell.tickets.Add(1)
	chaos.At(chaos.Q1Ready)
	en := entry{of: &s.origin}
	if r != nil && r.block.nested == 0 && r.slot != nil && r.slot.room() > 0 {
		r.slot.push(en)
	} else {
		e.inject.addDrain(en, s.at.Load())
	}
	e.notify()
	if e.denied.Load() {
		s.home.room.books.relieve()
	}
}

// pop takes the first task off a strand, unless its turn is over. Without a task the strand falls asleep. Caller drains it.
func (s *strand) pop(t *drainTurn) (en entry, did popped) {
	h := s.home
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case s.head == nil:
		s.sleep()
		return entry{}, foundNone
	case t.over():
		return entry{}, foundLate
	}
	return s.take(), foundTask
}

// take takes the first task off. Caller holds the home's lock, and drains the strand.
func (s *strand) take() entry {
	b := s.head
	s.head = b.next
	if s.head == nil {
		s.tail = nil
	}
	s.len--
	en := b.entry
	if en.dead() {
		s.lost--
	}
	s.home.free(b)
	return en
}

// popped says what pop did.
type popped int

const (
	foundTask popped = iota
	foundNone        // and the strand is asleep
	foundLate        // others should have their turn
)

// drainTurn is how long a strand has been drained.
type drainTurn struct {
	awaited bool // by who drains it: it has no end
	ran     int  // tasks
	start   time.Duration
	budget  time.Duration
}

// begin begins a turn, of a strand that has more tasks than one, or not. In the second case no clock is read: most strands have
// one task, and reading it twice costs as much as that.
func (t *drainTurn) begin(more bool) {
	t.ran, t.start = 0, 0
	if more {
		t.start = time.Since(epoch)
	}
}

// over reports whether the turn of a strand that has more tasks is over. The clock is read after the first, second, fourth task and so on.
// If it was not at the start, nobody knows how long the first one took.
func (t *drainTurn) over() bool {
	n := t.ran
	if n == 0 || n&(n-1) != 0 || t.awaited {
		return false
	}
	return n >= drainTasks || t.start == 0 || time.Since(epoch)-t.start >= t.budget
}

// sleep is what becomes of a strand without tasks. Caller holds the home's lock.
func (s *strand) sleep() {
	s.state = strandAsleep
	if s.home.owner != nil && !s.ticket {
		s.home.owner.emptied(s)
	}
}

func (h *strandHome) free(b *bead) {
	*b = bead{}
	if h.spares < spareBeads {
		b.next, h.spare = h.spare, b
		h.spares++
	}
}

// execute drains the strand, unless a waiter does.
func (s *strand) execute(r *runner) {
	h := s.home
	h.cell.tickets.Add(-1)
	h.mu.Lock()
	s.ticket = false
	en, more, ok := s.start()
	if !ok && s.state == strandAsleep {
		s.sleep()
	}
	h.mu.Unlock()
	if ok {
		s.work(r, en, more, nil)
	}
}

// start makes the caller the one who drains the strand, if it is ready, and takes its first task. more says that there is
// another one. Caller holds the home's lock (Q1).
func (s *strand) start() (en entry, more, ok bool) {
	switch {
	case s.state != strandReady:
		return entry{}, false, false
	case s.head == nil: // all were canceled
		s.state = strandAsleep
		return entry{}, false, false
	}
	s.state = strandDraining
	return s.take(), s.head != nil, true
}

// work runs tasks of the strand on r, en first, until others should go first, or the awaited one has been claimed. more says
// that there is another one.
func (s *strand) work(r *runner, en entry, more bool, awaited *promise) {
	below := r.strand.Load()
	if below != s.onStack.below.Load() {
		s.onStack.below.Store(below)
	}
	r.strand.Store(&s.onStack)
	t := drainTurn{awaited: awaited != nil, budget: r.e.cfg.budget}
	t.begin(more)
	for {
		chaos.At(chaos.Q1Popped)
		r.ordered(s.home, en)
		t.ran++
		did := foundLate
		if awaited != nil && !awaited.dead() || awaited == nil && !r.mustLeave() && !s.changesLane() {
			if en, did = s.pop(&t); did == foundLate && !r.e.othersWait(r.slot) {
				t.begin(true)
				en, did = s.pop(&t)
			}
		}
		if did == foundTask {
			continue
		}
		r.strand.Store(below) // the strand may be another key's by now
		if did == foundLate {
			s.rest()
		}
		return
	}
}

// changesLane reports whether the next task belongs to another lane than the drain, which is in one.
func (s *strand) changesLane() bool {
	if s.home.e.inject.lanes == nil {
		return false
	}
	s.home.mu.Lock()
	defer s.home.mu.Unlock()
	return s.head != nil && s.head.at.in() != s.at.Load().in()
}

// mustLeave does what a runner does between two tasks, and reports whether it has to do more than that.
func (r *runner) mustLeave() bool {
	r.boundary()
	return r.slot == nil || r.slot.leaves()
}

// rest ends a drain: what is left waits for its next turn.
func (s *strand) rest() {
	h := s.home
	h.mu.Lock()
	s.state = strandAsleep
	launch := s.wants()
	ready := s.state == strandReady
	if !ready {
		s.sleep()
	}
	h.mu.Unlock()
	switch {
	case launch:
		s.launch(nil)
	case ready && h.e.denied.Load(): // its entry is queued, but perhaps nobody is left to take it but those who wait (W1)
		h.room.books.relieve()
	}
}

// ordered runs one task of a strand.
func (r *runner) ordered(h *strandHome, en entry) {
	if en.fn == nil {
		en.of.job.execute(r) // whoever claims it gives its place back
		return
	}
	h.started()
	if r.stack.depth == 0 && !r.stack.inBare && !r.guest { // nothing is below it on the stack
		r.bare(en)
		return
	}
	r.bareInPlace(en)
}

// started gives back the place of a task that starts or is canceled (Q2).
func (h *strandHome) started() {
	h.cell.started.Add(1)
	h.room.give()
}

// canceled accounts for a task that was canceled without its turn. The dead ones are swept when they are many.
func (s *strand) canceled() {
	h := s.home
	h.mu.Lock()
	if s.lost++; s.lost > deadBeads && s.lost > s.len/2 {
		s.sweep()
	}
	h.mu.Unlock()
	h.started()
}

// sweep takes dead tasks off the strand. Caller holds the home's lock.
func (s *strand) sweep() {
	s.lost, s.tail = 0, nil
	link := &s.head
	for b := s.head; b != nil; {
		next := b.next
		if b.fn == nil && b.of.job.dead() {
			*link = next
			s.len--
			s.home.free(b)
		} else {
			s.tail, link = b, &b.next
		}
		b = next
	}
}

func (s *strand) dead() bool   { return false }
func (s *strand) left(*runner) {}
