package executor

import (
	"sync"
	"sync/atomic"
	"time"
)

// Stats is a snapshot of an executor. The values are read one after another while tasks go on, so they
// fit together only at rest: then Submitted == Completed + Panicked + Canceled.
type Stats struct {
	Slots   int `json:"slots"`   // tasks that may run at once
	Running int `json:"running"` // runners in tasks, outside of Blocking
	Idle    int `json:"idle"`    // slots that nobody needs at the moment
	Blocked int `json:"blocked"` // tasks inside Blocking, a Bulkhead's Blocking or OnThread
	Spares  int `json:"spares"`  // runners beyond the slots, parked or standing in for others

	Lendable int `json:"lendable"` // slots whose task blocks or waits, and that nobody else has needed yet
	Workers  int `json:"workers"`  // runners that exist
	Parked   int `json:"parked"`   // those that sleep

	Queued      int           `json:"queued"`      // tasks accepted and not started, those held back by SetLimit included
	QueuedLocal int           `json:"queuedLocal"` // those of Queued that are in the slots' own deques
	QueueLimit  int           `json:"queueLimit"`  // bound of the injector
	OldestAge   time.Duration `json:"oldestAge"`   // of the oldest task in the injector, in ns; too low by at most a tick of 10 ms (80 ms while nothing moves) or an eighth
	Waiting     int           `json:"waiting"`     // submitters that wait for room
	Timers      int           `json:"timers"`      // calls of After and Every that wait for their time: no tasks yet

	Submitted uint64 `json:"submitted"` // tasks accepted
	Completed uint64 `json:"completed"` // tasks that returned, the failed ones included
	Failed    uint64 `json:"failed"`    // tasks that returned an error
	Panicked  uint64 `json:"panicked"`  // tasks that panicked or called Goexit
	Canceled  uint64 `json:"canceled"`  // tasks that never started
	Expired   uint64 `json:"expired"`   // those of Canceled whose context's deadline was over
	Rejected  uint64 `json:"rejected"`  // submissions refused, for one of these reasons:

	RejectedFull       uint64 `json:"rejectedFull"`       // ErrQueueFull
	RejectedOverloaded uint64 `json:"rejectedOverloaded"` // ErrOverloaded
	RejectedClosed     uint64 `json:"rejectedClosed"`     // ErrClosed
	RejectedCanceled   uint64 `json:"rejectedCanceled"`   // the context was canceled
	RejectedExpired    uint64 `json:"rejectedExpired"`    // the context's deadline was over

	Dismissed uint64 `json:"dismissed"` // tasks that a group refused because of its own end: an error, or Wait; not in Rejected

	TicksMissed uint64 `json:"ticksMissed"` // of Every: ticks that came while its task was queued or ran, and were left out

	Stolen        uint64 `json:"stolen"`        // tasks taken from another slot's deque
	Parks         uint64 `json:"parks"`         // times a runner went to sleep for want of work
	Handoffs      uint64 `json:"handoffs"`      // slots that blocked or waiting tasks gave away
	Uncompensated uint64 `json:"uncompensated"` // times one could not, for want of a spare
	Compensated   uint64 `json:"compensated"`   // slots lent because tasks blocked without Blocking
	Yields        uint64 `json:"yields"`        // times a task gave up its slot to others and got one back

	StealAttempts uint64        `json:"stealAttempts"` // looks into another slot's deque
	Wakeups       uint64        `json:"wakeups"`       // times a runner was woken or started for work
	HandoffsWait  uint64        `json:"handoffsWait"`  // those of Handoffs whose task waited for another task, or for room
	YieldsBudget  uint64        `json:"yieldsBudget"`  // those of Yields that a Checkpoint made
	BlockedTime   time.Duration `json:"blockedTime"`   // spent inside Blocking by calls that have ended, in ns; short calls are estimated

	// What the monitor of blocking that nobody marked did: see WithStallDetection.
	Lent          int    `json:"lent"`          // slots lent at the moment, beyond Slots
	LentLiveness  uint64 `json:"lentLiveness"`  // those of Compensated that were lent to busy processors, after 5 s
	StallsBusy    uint64 `json:"stallsBusy"`    // ticks in which nothing was lent because the processors were busy
	StallsNoSpare uint64 `json:"stallsNoSpare"` // ticks in which less was lent for want of spares

	Lanes []LaneStats `json:"lanes,omitempty"` // WithLanes, in the order given there, and the one named ""

	Sizing string  `json:"sizing"` // where Slots comes from, in the words of Sizing.Reason
	Quota  float64 `json:"quota"`  // the CPU quota in CPUs, as last seen; 0 if there is none or Slots does not follow it
}

// tally is a counter that one goroutine writes and anybody reads.
type tally struct{ atomic.Uint64 }

func (t *tally) inc()         { t.Store(t.Load() + 1) }
func (t *tally) add(n uint64) { t.Store(t.Load() + n) }
func (t *tally) undo()        { t.Store(t.Load() - 1) }

// counters are a runner's own counts: no task touches a counter that others write.
type counters struct {
	_         [64]byte
	submitted tally
	completed tally
	failed    tally
	panicked  tally
	canceled  tally
	stolen    tally
	parks     tally
	yields    tally

	expired  tally // those of canceled
	budget   tally // those of yields
	attempts tally // of theft
	blocked  tally // time inside Blocking, ns
	_        [64]byte
}

// cancel counts a task that never starts, because of err.
func (c *counters) cancel(err error) {
	if expired(err) {
		c.expired.inc()
	}
	c.canceled.inc()
}

// ended counts a task that returned err.
func (c *counters) ended(err error) {
	if err != nil {
		c.failed.inc()
	}
	c.completed.inc()
}

// progress changes whenever the runner ends a task, yields or parks.
func (c *counters) progress() uint64 {
	return c.completed.Load() + c.panicked.Load() + c.canceled.Load() + c.parks.Load() + c.yields.Load()
}

// addTo adds the counts to s. What ends tasks is read first: see quiescent.
func (c *counters) addTo(s *Stats) {
	s.Completed += c.completed.Load()
	s.Failed += c.failed.Load()
	s.Panicked += c.panicked.Load()
	s.Canceled += c.canceled.Load()
	s.Stolen += c.stolen.Load()
	s.Parks += c.parks.Load()
	s.Yields += c.yields.Load()
	s.Expired += c.expired.Load()
	s.YieldsBudget += c.budget.Load()
	s.StealAttempts += c.attempts.Load()
	s.BlockedTime += time.Duration(c.blocked.Load())
}

// outsideCounters are written by any goroutine, on slow paths only.
type outsideCounters struct {
	canceled, expired, handoffs, waits, uncompensated, compensated atomic.Uint64
	full, overloaded, closed, refused, late                        atomic.Uint64 // submissions: why not
	dismissed                                                      atomic.Uint64 // tasks that a group refused after its own end
	stallBusy, stallSpares, stallLiveness                          atomic.Uint64
}

// cancel counts a task that never starts, because of err.
func (c *outsideCounters) cancel(err error) {
	if expired(err) {
		c.expired.Add(1)
	}
	c.canceled.Add(1)
}

// reject counts a submission that was refused with err: by the executor, or else for its context, whose error may
// carry anybody's cause.
func (c *outsideCounters) reject(err error) {
	if _, ok := err.(*unknownLane); ok { // as any bad argument
		return
	}
	switch {
	case sameError(err, ErrOverloaded):
		c.overloaded.Add(1)
	case sameError(err, ErrQueueFull):
		c.full.Add(1)
	case sameError(err, ErrClosed):
		c.closed.Add(1)
	case expired(err):
		c.late.Add(1)
	default:
		c.refused.Add(1)
	}
}

// registry lists the runners, and keeps the counts of those that have ended.
type registry struct {
	mu        sync.Mutex
	first     *runner
	gone      Stats
	submitted uint64 // by runners that have ended
}

func (g *registry) add(r *runner) {
	g.mu.Lock()
	defer g.mu.Unlock()
	r.sibling = g.first
	if g.first != nil {
		g.first.elder = r
	}
	g.first = r
}

func (g *registry) remove(r *runner) {
	g.mu.Lock()
	defer g.mu.Unlock()
	r.count.addTo(&g.gone)
	g.submitted += r.count.submitted.Load()
	if r.elder != nil {
		r.elder.sibling = r.sibling
	} else {
		g.first = r.sibling
	}
	if r.sibling != nil {
		r.sibling.elder = r.elder
	}
	r.sibling, r.elder = nil, nil
}

// sum adds up all counters: first everything that ends tasks, then Submitted. If the two sides are
// equal, nothing was in flight at the moment between: every task that had been submitted by then had
// ended, and submitted is counted before a task can run (L1, L2).
func (e *Executor) sum() Stats {
	g := &e.registry
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.gone
	s.Canceled += e.outside.canceled.Load()
	for r := g.first; r != nil; r = r.sibling {
		r.count.addTo(&s)
	}
	s.Submitted = g.submitted
	for r := g.first; r != nil; r = r.sibling {
		s.Submitted += r.count.submitted.Load()
		if word := r.word.Load(); word&phaseMask != phaseRunning && word&kindWait == 0 {
			s.Blocked++
		}
	}
	e.inject.mu.Lock()
	s.Submitted += e.inject.submitted
	e.inject.mu.Unlock()
	if o := e.orders(); o != nil {
		accepted, _, _ := o.counts()
		s.Submitted += accepted
	}
	return s
}

// addCounts adds what t has counted. What goes up and down stays.
func (s *Stats) addCounts(t *Stats) {
	s.Submitted += t.Submitted
	s.Completed += t.Completed
	s.Failed += t.Failed
	s.Panicked += t.Panicked
	s.Canceled += t.Canceled
	s.Expired += t.Expired
	s.Rejected += t.Rejected
	s.RejectedFull += t.RejectedFull
	s.RejectedOverloaded += t.RejectedOverloaded
	s.RejectedClosed += t.RejectedClosed
	s.RejectedCanceled += t.RejectedCanceled
	s.RejectedExpired += t.RejectedExpired
	s.Dismissed += t.Dismissed
	s.TicksMissed += t.TicksMissed
	s.Stolen += t.Stolen
	s.Parks += t.Parks
	s.Handoffs += t.Handoffs
	s.Uncompensated += t.Uncompensated
	s.Compensated += t.Compensated
	s.Yields += t.Yields
	s.StealAttempts += t.StealAttempts
	s.Wakeups += t.Wakeups
	s.HandoffsWait += t.HandoffsWait
	s.YieldsBudget += t.YieldsBudget
	s.BlockedTime += t.BlockedTime
	s.LentLiveness += t.LentLiveness
	s.StallsBusy += t.StallsBusy
	s.StallsNoSpare += t.StallsNoSpare
}

func (s *Stats) ended() uint64 { return s.Completed + s.Panicked + s.Canceled }

// Stats returns a snapshot. It takes a few microseconds and disturbs nobody; it may be called at any
// time, after Close too.
func (e *Executor) Stats() Stats {
	if e.missing() != nil {
		return Stats{}
	}
	s := e.sum()
	s.Failed = min(s.Failed, s.Completed) // it is counted first
	s.Expired += e.outside.expired.Load()
	s.RejectedFull, s.RejectedClosed = e.outside.full.Load(), e.outside.closed.Load()
	s.RejectedCanceled, s.RejectedExpired = e.outside.refused.Load(), e.outside.late.Load()
	s.RejectedOverloaded = e.outside.overloaded.Load()
	s.Rejected = s.RejectedFull + s.RejectedOverloaded + s.RejectedClosed + s.RejectedCanceled + s.RejectedExpired
	s.Dismissed = e.outside.dismissed.Load()
	s.HandoffsWait = e.outside.waits.Load() // first: it is a part
	s.Handoffs = e.outside.handoffs.Load()
	s.Uncompensated = e.outside.uncompensated.Load()
	s.Compensated = e.outside.compensated.Load()
	s.LentLiveness = e.outside.stallLiveness.Load()
	s.StallsBusy = e.outside.stallBusy.Load()
	s.StallsNoSpare = e.outside.stallSpares.Load()

	q := &e.inject
	q.mu.Lock()
	s.Queued = q.used - int(q.dead.Load()) + int(q.held.Load())
	s.Waiting = q.waiters.len + q.groups.waiting()
	drains := q.drains
	s.QueueLimit = q.limit
	if q.lanes != nil {
		sum := q.lanes.sum()
		s.Queued += sum.used
		s.Waiting += sum.waiting
		s.QueueLimit = sum.limit
		s.Lanes = q.lanes.stats(time.Since(epoch))
	}
	s.OldestAge = q.oldest(time.Since(epoch))
	q.mu.Unlock()
	e.idle.mu.Lock()
	slots, free, live, surplus := *e.slots.Load(), len(e.idle.free), e.idle.live, e.idle.surplus.len
	s.Lent, s.Wakeups = e.idle.lent, e.idle.wakeups
	s.Workers, s.Parked = live, e.idle.parked.len
	e.idle.mu.Unlock()
	for slot := range slots.all() {
		s.QueuedLocal += slot.len()
	}
	if c := e.timers(); c != nil {
		s.Timers, s.TicksMissed = c.counts()
	}
	if o := e.orders(); o != nil {
		accepted, started, tickets := o.counts()
		s.QueuedLocal = max(0, s.QueuedLocal-(tickets-drains)) // the drain of a strand is no task
		s.Queued += int(accepted - started)
		s.Waiting += o.waiting()
	}
	s.Queued = max(0, s.Queued+s.QueuedLocal)
	s.QueuedLocal = min(s.QueuedLocal, s.Queued)
	s.Slots = e.slotCount()
	sizing := e.sizer.now.Load()
	s.Sizing, s.Quota = sizing.Reason, sizing.Quota
	s.Idle = min(free, s.Slots)
	s.Spares = max(0, live-s.Slots)
	if s.Submitted != s.ended() {
		s.Lendable = e.lazilyBlocked()
		s.Running = max(0, len(slots)-free-searching(e.word.Load())+surplus-s.Lendable)
	}
	return s
}

// lazilyBlocked counts the slots whose holders are blocked and that nobody has needed.
func (e *Executor) lazilyBlocked() int {
	n := 0
	for s := range e.slots.Load().all() {
		if s.blocked() {
			n++
		}
	}
	return n
}

// Throttling says how often the kernel has stopped a cgroup because its quota
// was spent. The numbers count from the making of the group.
type Throttling struct {
	Periods   uint64        `json:"periods"`   // in which the group wanted to run
	Throttled uint64        `json:"throttled"` // of these, in which it was stopped
	Time      time.Duration `json:"time"`      // it was stopped, added up over the CPUs
}

// Throttling asks the kernel how often it has stopped this process because the CPU quota was spent. The
// numbers are those of the cgroup that sets the quota, since that was made; they include every process
// in it. ok is false where there is no quota, or no way to know, and after the end. It takes a few
// microseconds, and works with a fixed number of slots too.
func (e *Executor) Throttling() (t Throttling, ok bool) {
	if e.missing() != nil {
		return Throttling{}, false
	}
	if e.over() {
		return Throttling{}, false
	}
	now, ok := e.sizer.reader.Throttling()
	return Throttling(now), ok
}
