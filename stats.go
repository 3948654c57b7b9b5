package executor

import (
	"sync"
	"sync/atomic"
)

// Stats is a snapshot of an executor. The values are read one after another while tasks go on, so they
// fit together only at rest: then Submitted == Completed + Panicked + Canceled.
type Stats struct {
	Slots   int `json:"slots"`   // tasks that may run at once
	Running int `json:"running"` // runners in tasks, outside of Blocking
	Idle    int `json:"idle"`    // slots that nobody needs at the moment
	Blocked int `json:"blocked"` // tasks inside Blocking, a Bulkhead's Blocking or OnThread
	Spares  int `json:"spares"`  // runners beyond the slots, parked or standing in for others

	Queued     int `json:"queued"`     // tasks accepted and not started, those held back by SetLimit included
	QueueLimit int `json:"queueLimit"` // bound of the injector
	Waiting    int `json:"waiting"`    // submitters that wait for room

	Submitted uint64 `json:"submitted"` // tasks accepted
	Completed uint64 `json:"completed"` // tasks that returned, the failed ones included
	Failed    uint64 `json:"failed"`    // tasks that returned an error
	Panicked  uint64 `json:"panicked"`  // tasks that panicked or called Goexit
	Canceled  uint64 `json:"canceled"`  // tasks that never started
	Rejected  uint64 `json:"rejected"`  // submissions refused

	Stolen        uint64 `json:"stolen"`        // tasks taken from another slot's deque
	Parks         uint64 `json:"parks"`         // times a runner went to sleep for want of work
	Handoffs      uint64 `json:"handoffs"`      // slots that blocked or waiting tasks gave away
	Uncompensated uint64 `json:"uncompensated"` // times one could not, for want of a spare
	Compensated   uint64 `json:"compensated"`   // slots lent because tasks blocked without Blocking
	Yields        uint64 `json:"yields"`        // times a task gave up its slot to others and got one back

	// What the monitor of blocking that nobody marked did: see WithStallDetection.
	Lent          int    `json:"lent"`          // slots lent at the moment, beyond Slots
	LentLiveness  uint64 `json:"lentLiveness"`  // those of Compensated that were lent to busy processors, after 5 s
	StallsBusy    uint64 `json:"stallsBusy"`    // ticks in which nothing was lent because the processors were busy
	StallsNoSpare uint64 `json:"stallsNoSpare"` // ticks in which less was lent for want of spares

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
	_         [64]byte
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
}

// outsideCounters are written by any goroutine, on slow paths only.
type outsideCounters struct {
	canceled, rejected, handoffs, uncompensated, compensated atomic.Uint64
	stallBusy, stallSpares, stallLiveness                    atomic.Uint64
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
	return s
}

func (s *Stats) ended() uint64 { return s.Completed + s.Panicked + s.Canceled }

// Stats returns a snapshot. It takes a few microseconds and disturbs nobody; it may be called at any
// time, after Close too.
func (e *Executor) Stats() Stats {
	if e == nil {
		return Stats{}
	}
	s := e.sum()
	s.Failed = min(s.Failed, s.Completed) // it is counted first
	s.Rejected = e.outside.rejected.Load()
	s.Handoffs = e.outside.handoffs.Load()
	s.Uncompensated = e.outside.uncompensated.Load()
	s.Compensated = e.outside.compensated.Load()
	s.LentLiveness = e.outside.stallLiveness.Load()
	s.StallsBusy = e.outside.stallBusy.Load()
	s.StallsNoSpare = e.outside.stallSpares.Load()

	q := &e.inject
	q.mu.Lock()
	s.Queued = q.used - int(q.dead.Load())
	s.Waiting = q.waiters.len
	s.QueueLimit = q.limit
	q.mu.Unlock()
	e.idle.mu.Lock()
	slots, free, live, surplus := e.idle.slots, len(e.idle.free), e.idle.live, e.idle.surplus.len
	s.Lent = e.idle.lent
	e.idle.mu.Unlock()
	for _, slot := range slots {
		s.Queued += slot.len()
	}
	s.Queued = max(0, s.Queued)
	s.Slots = e.slotCount()
	sizing := e.sizer.now.Load()
	s.Sizing, s.Quota = sizing.Reason, sizing.Quota
	s.Idle = min(free, s.Slots)
	s.Spares = max(0, live-s.Slots)
	if s.Submitted != s.ended() {
		s.Running = max(0, len(slots)-free-searching(e.word.Load())+surplus-e.lazilyBlocked())
	}
	return s
}

// lazilyBlocked counts the slots whose holders are blocked and that nobody has needed.
func (e *Executor) lazilyBlocked() int {
	n := 0
	for _, s := range *e.slots.Load() {
		if h := s.holder.Load(); h != nil && h.held.Load() == s && h.word.Load()&phaseMask == phaseBlocked {
			n++
		}
	}
	return n
}
