package executor

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/seed-97bda89a/executor/internal/lane"
)

// Lane is a queue of its own for some of the tasks that come from outside: see WithLanes.
type Lane struct {
	// Name is what WithLane says. The lane named "" is that of tasks whose context says none.
	Name string

	// Weight is the lane's part of what is started while several lanes have tasks: of two with the weights 3 and 1 the
	// first one starts three of four tasks. 1 to 1,000,000; 0 is 1.
	Weight int

	// Reserved is how many tasks of the lane run at least, if it has so many: while fewer do, the next task that is taken
	// from the queues is the lane's. No slot is kept free for that, so it takes as long as it takes until some task ends. The sum over
	// all lanes may not exceed the slots that there are when the executor is made. One slot is always left to lanes without
	// a reservation: with fewer slots the largest reservations shrink first. Default: 0.
	Reserved int

	// Max is how many tasks of the lane run at most. 0: no bound.
	Max int

	// QueueLimit bounds the lane's queue, which no other lane's tasks fill. 0: as WithQueueLimit says.
	QueueLimit int

	// Fair shares the lane between tenants (WithTenant), whatever they have queued: who has used less run time goes next.
	// Tasks without a tenant are one. It costs two readings of the clock for each task.
	Fair bool
}

// maxLanes is how many lanes can be listed.
const maxLanes = 8

// WithLanes gives the tasks that come from outside several queues in place of one: at most 8, and the one
// named "", which there always is. WithLane says in which a task waits. Each has its own bound. When a slot is free for a task from
// outside, the lanes' reservations and weights decide whose it is: see Lane.
//
// Lanes are for what comes from outside. What tasks start themselves runs wherever a slot is free, before the lanes if it has
// left a slot's own queue, taking turns with them; a Future, a child or a group's task that a task waits for is run
// in its place, whatever lane it is in. Reserved, Max and Fair count a task while it has a slot: one that lends its slot, in
// Blocking or in a wait, does not count, and may be one too many when it comes back. They cost a lock more for each task of
// the lane, and while one lane has a reservation, tasks of all others are taken one by one. Default: one lane.
func WithLanes(lanes ...Lane) Option {
	return option(func(c *config) {
		if len(lanes) > maxLanes {
			c.problem("WithLanes: %d lanes: must be at most %d", len(lanes), maxLanes)
			return
		}
		seen := make(map[string]bool)
		for _, l := range lanes {
			c.checkLane(l, seen)
		}
		lanes = append([]Lane(nil), lanes...)
		if !seen[""] {
			lanes = append(lanes, Lane{})
		}
		c.reserved = 0
		for _, l := range lanes {
			c.reserved += max(0, l.Reserved)
		}
		c.lanes = func(e *Executor) laning { return newLanes(e, lanes) }
	})
}

func (c *config) checkLane(l Lane, seen map[string]bool) {
	if seen[l.Name] {
		c.problem("WithLanes: Lane{Name: %q}: must not be listed twice", l.Name)
	}
	seen[l.Name] = true
	for _, f := range []struct {
		name       string
		value, max int
	}{
		{"Weight", l.Weight, lane.MaxWeight}, {"Reserved", l.Reserved, maxSlots}, {"Max", l.Max, 0}, {"QueueLimit", l.QueueLimit, 0},
	} {
		switch {
		case f.value < 0:
			c.problem("WithLanes: Lane{Name: %q, %s: %d}: must not be negative", l.Name, f.name, f.value)
		case f.max > 0 && f.value > f.max:
			c.problem("WithLanes: Lane{Name: %q, %s: %d}: must be at most %d", l.Name, f.name, f.value, f.max)
		}
	}
	if l.Max > 0 && l.Reserved > l.Max {
		c.problem("WithLanes: Lane{Name: %q, Reserved: %d}: must be at most its Max, which is %d", l.Name, l.Reserved, l.Max)
	}
}

// checkReserved returns why the lanes have reserved too much for that many slots, or nil.
func (c *config) checkReserved(slots int) error {
	if c.reserved <= slots {
		return nil
	}
	return fmt.Errorf("executor: WithLanes: Reserved is %d in all lanes together: must be at most the slots, which are %d", c.reserved, slots)
}

// WithLane returns a copy of ctx with which tasks wait in a lane of the executor (WithLanes): those that are submitted from outside
// with it, or with a context made from it. Their children inherit it, for what they submit from outside in their turn. With a
// name that the executor does not know, submitting is an error. A task that submits to another executor is in that one's lane
// "" until it says otherwise. It panics if ctx is nil.
func WithLane(ctx context.Context, name string) context.Context {
	n := marked(ctx, marks{said: saysLane, lane: name})
	anyLane.Store(true)
	anyRule.Store(true)
	return n
}

// LaneOf returns the name of the lane that tasks with ctx wait in when they come to e from outside: what WithLane has said, or "". It
// need not be a lane that e has. It returns "" if e or ctx is nil.
func (e *Executor) LaneOf(ctx context.Context) string {
	if e == nil || ctx == nil {
		return ""
	}
	return laneOf(ctx, e)
}

// WithTenant returns a copy of ctx with which tasks belong to a tenant: a customer, an account, a user. In a lane that is Fair, tenants get the same run
// time. There may be any number of them; no metric has their names. It panics if ctx is nil.
func WithTenant(ctx context.Context, tenant string) context.Context {
	return marked(ctx, marks{said: saysTenant, tenant: tenant})
}

// anyLane tells whether WithLane was ever called: without it nobody has to look for lanes.
var anyLane atomic.Bool

// anyRule tells whether there is anything in the process, a lane, an executor with lanes or with WithQueueDelay, for which
// a task from outside has to be looked at.
var anyRule atomic.Bool

// laneKey asks a context for the lane of tasks of an executor.
type laneKey struct{ of *Executor }

// laneOf returns the lane that tasks of e with this parent wait in.
func laneOf(parent context.Context, e *Executor) string {
	if !anyLane.Load() {
		return ""
	}
	name, _ := parent.Value(laneKey{e}).(laneName)
	return string(name)
}

// Values have types of their own: there are contexts that answer whatever they are asked.
type laneName string
type tenantName string

// unknownLane is the error of a submission with the name of a lane that the executor does not have.
type unknownLane struct {
	e    *Executor
	name string
}

func (u *unknownLane) Error() string {
	return fmt.Sprintf("executor: WithLane(%q): the executor %q has no such lane", u.name, u.e.name)
}

// LaneStats is what Stats says of one lane.
type LaneStats struct {
	Name       string `json:"name"`
	Queued     int    `json:"queued"`     // tasks that wait in the lane
	QueueLimit int    `json:"queueLimit"` // its bound
	Waiting    int    `json:"waiting"`    // callers that wait for room in it
	Running    int    `json:"running"`    // tasks that run, of a lane with Reserved, Max or Fair; else 0
	Share      int    `json:"share"`      // what is reserved for it with the slots that there are

	Submitted uint64 `json:"submitted"` // tasks that came
	Taken     uint64 `json:"taken"`     // those that have left the queue for a slot, or were canceled before
	Rejected  uint64 `json:"rejected"`  // submissions refused because the lane was full
	Shed      uint64 `json:"shed"`      // submissions refused by WithQueueDelay

	OldestAge time.Duration `json:"oldestAge"` // age of the oldest task that waits, in ns
}

// hold is what a task of a lane with Reserved, Max or Fair has while it runs (N5). It stands for the task in the moment between the
// queue and the runner, and is the runner's, or the guest's, until the task has ended.
type hold struct {
	origin // its job
	lane   *laneQueue
	en     entry
	tenant *lane.Tenant[entry] // in a fair lane
	charge time.Duration
	began  time.Duration
	blocks uint64 // the runner's time in Blocking, before it
	next   *hold  // a free one
}

// holding is what a runner knows of a hold, whose type runner does not name: see unbegun.
type holding interface {
	start(r *runner)
	end(r *runner) // the task has ended
	count(n int) (ready bool)
}

// unhold takes the runner's task off the count of its lane, while it lends its slot, whether somebody takes that or not. What
// it returns puts it back.
func (r *runner) unhold() (back func()) {
	h := r.hold
	if h.count(-1) {
		r.e.notify() // who blocks looks for work after that (B2)
	}
	return func() { h.count(1) }
}

// hold makes a hold for an entry that has just been popped. Caller holds the injector's lock.
func (q *laneQueue) hold(en entry, t *lane.Tenant[entry]) *hold {
	h := q.free
	if h == nil {
		h = &hold{lane: q}
		h.job = h
	} else {
		q.free, h.next = h.next, nil
	}
	h.en, h.tenant = en, t
	if t != nil {
		h.charge = q.fair.Charge()
		h.began = 0
	}
	q.l.rule.Runs(q.index, 1)
	return h
}

// execute runs the task on r, or hands the slot to the guest whose entry it is.
func (h *hold) execute(r *runner) {
	en := h.en
	h.en = entry{}
	if en.alone() {
		w := en.of.job.(*seat)
		if !w.claim(seatGranted) {
			r.e.inject.dead.Add(-1)
			h.end(r)
			return
		}
		h.start(w.r)
		w.hand(r)
		return
	}
	h.start(r)
	defer h.end(r)
	if en.fn != nil {
		r.bare(en)
	} else {
		en.of.job.execute(r)
	}
}

// start makes h the hold of r.
func (h *hold) start(r *runner) {
	if h.tenant != nil {
		h.began, h.blocks = time.Since(epoch), r.count.blocked.Load()
	}
	r.hold, r.block.short = h, false // each Blocking is measured, and counted
}

func (h *hold) end(r *runner) {
	r.hold = nil
	lq, ran := h.lane, time.Duration(0)
	if h.tenant != nil && h.began != 0 {
		ran = max(1, time.Since(epoch)-h.began-time.Duration(r.count.blocked.Load()-h.blocks))
	}
	q := &lq.l.e.inject
	q.mu.Lock()
	if h.tenant != nil {
		lq.fair.Ended(h.tenant, h.charge, ran)
	}
	h.tenant = nil
	h.next, lq.free = lq.free, h
	more := lq.runs(-1)
	q.unlock()
	if more {
		lq.l.e.notify()
	}
}

// runs changes how many tasks of the lane run, and reports whether that makes it ready (N6). Caller holds the injector's
// lock.
func (q *laneQueue) runs(n int) (ready bool) {
	c := q.class
	before := c.Ready()
	q.l.rule.Runs(q.index, n)
	q.l.settle()
	return c.Ready() && !before
}

func (h *hold) count(n int) (ready bool) {
	q := &h.lane.l.e.inject
	q.mu.Lock()
	defer q.unlock()
	return h.lane.runs(n)
}

func (h *hold) drop(*Executor, error) bool { return false }
func (h *hold) dead() bool                 { return false }
func (h *hold) left(*runner)               {}
