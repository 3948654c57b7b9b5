package executor

import (
	"context"
	"time"

	"github.com/seed-97bda89a/executor/internal/chaos"
	"github.com/seed-97bda89a/executor/internal/lane"
)

// The queues of WithLanes. They stand beside the injector's own, which then has only what tasks of the executor have put
// there, and under the same lock. Which goes next is for internal/lane to say: none beside its Max (N1), first who is below
// its share (N2), then by weight (N3), and of tenants who has run for the shortest time (N4). Invariants, see "Lanes" in docs/ARCHITECTURE.md:
//
//	N5 Class.Running is how many tasks of the lane have a hold and do not lend their slot: a hold is counted when it is
//	   made, not in Blocking or a wait, and no more when the task has ended.
//	N6 injector.beside counts the lanes that have an entry which may start. Whoever makes a lane one of those under the lock
//	   notifies, or looks for work itself, afterwards (P1).
//	N7 Places taken in a lane never exceed its limit for who can wait; as I1, for each lane alone.

// laning is what the injector knows of lanes; a program without them does not link what is behind it. Caller holds mu,
// unless it says otherwise.
type laning interface {
	admit(ctx context.Context, en entry, wait bool) (*waiter, error) // takes mu itself
	spot(parent context.Context) (*spot, error)                      // where a task with this parent waits; without mu
	enlist(w *waiter, stuck bool) (settled bool, err error)          // takes mu itself
	guest(r *runner, parent context.Context) (got bool, err error)   // takes mu itself
	requeue(at *spot, en entry)
	addDrain(at *spot, en entry)
	overloaded(at *spot, en entry) error                              // why WithQueueDelay refuses it, or nil
	countShed(at *spot)                                               // it was refused for that; without mu
	take(d *deque, most, share int) (first entry, ok bool, did taken) // releases mu
	takeSeat() (*seat, holding, *waiter)
	start(ctx context.Context, fn func(context.Context)) bool // the short way in (N9); takes mu itself
	publish(a *account)                                       // its metrics; without mu
	popped() uint64
	pushed() uint64
	sum() laneSums
	dismiss(judge func(*waiter) (bool, error)) *waiter
	unstick() *waiter
	relieve() *waiter
	markAge(now time.Duration, first bool)
	oldest(now time.Duration) time.Duration
	drain() []entry
	purge()
	trim()
	forget()                             // without mu
	forgetParent(parent context.Context) // without mu
	resize(slots int)
	stats(now time.Duration) []LaneStats
}

// laneSums are sums over all lanes.
type laneSums struct {
	len, used, limit int
	waiting, inTask  int
	startable        int // entries of lanes that are ready
}

// lanes are all lanes of an executor.
type lanes struct {
	e      *Executor
	rule   *lane.Rule
	all    []*laneQueue
	recent places
}

func newLanes(e *Executor, list []Lane) *lanes {
	l := &lanes{e: e}
	var classes []lane.Class
	for i, c := range list {
		q := &laneQueue{l: l, name: c.Name, index: i, limit: c.QueueLimit}
		if q.limit == 0 {
			q.limit = e.inject.limit
		}
		if c.Fair {
			q.fair = new(lane.Fair[entry])
		}
		if e.cfg.queueDelay != nil {
			q.delay = e.cfg.queueDelay()
		}
		q.counted = c.Max > 0 || c.Reserved > 0 || c.Fair
		q.at.lane = q
		l.all = append(l.all, q)
		classes = append(classes, lane.Class{Weight: max(1, c.Weight), Reserved: c.Reserved, Max: c.Max})
	}
	l.rule = lane.NewRule(e.slotCount(), classes...)
	for i, q := range l.all {
		q.class = &l.rule.Classes[i]
	}
	return l
}

// spot asks somebody else's code.
func (l *lanes) spot(parent context.Context) (*spot, error) {
	if p := l.recent.find(parent); p != nil {
		return p.at, nil
	}
	name := laneOf(parent, l.e)
	for _, q := range l.all {
		if q.name != name {
			continue
		}
		at := &q.at
		if q.fair != nil {
			tenant, _ := parent.Value(tenantKey{}).(tenantName)
			at = &spot{q, string(tenant)}
		}
		return at, nil
	}
	return nil, &unknownLane{l.e, name}
}

func (l *lanes) forget() {
	l.recent.forget(func(p *placed) bool { return !endless(p.parent) })
}

func (l *lanes) forgetParent(parent context.Context) {
	l.recent.forget(func(p *placed) bool { return sameContext(p.parent, parent) })
}

func (l *lanes) requeue(at *spot, en entry) {
	at.queue().used++
	at.queue().push(at, en)
}

func (l *lanes) addDrain(at *spot, en entry) {
	l.e.inject.drains++
	at.queue().push(at, en)
}

// take takes entries of the lane that goes next: one with a hold, or a batch. A batch is of one lane.
func (l *lanes) take(d *deque, most, share int) (first entry, ok bool, did taken) {
	q := &l.e.inject
	i := l.rule.Next()
	if i < 0 {
		q.unlock()
		return entry{}, false, taken{}
	}
	lq := l.all[i]
	n := 1
	if !lq.counted && lq.seats == 0 {
		n = l.rule.Batch(i, min(most, max(minBatch, lq.queue.len/share+1)))
	}
	lq.leave(n)
	freed := n
	if lq.counted || lq.seats > 0 {
		var tenant *lane.Tenant[entry]
		if first, tenant, freed = lq.pop(); lq.counted {
			first = entry{of: &lq.hold(first, tenant).origin}
		}
	} else {
		before := q.drains
		first = lq.popBare()
		for rest := range uint32(n - 1) {
			d.set(rest, lq.popBare())
		}
		if n > 1 {
			d.advance(uint32(n - 1))
		}
		freed -= before - q.drains // those take no place
	}
	granted := lq.give(freed)
	l.settle()
	low := lq.queue.len < lq.limit/4
	q.unlock()
	chaos.At(chaos.I1Granted)
	wakeAll(granted)
	return first, true, taken{published: n > 1 || granted != nil, woke: granted != nil, low: low}
}

// takeSeat is Executor.takeSeat, with what wakes the waiters that have got room.
func (l *lanes) takeSeat() (*seat, holding, *waiter) {
	i := l.rule.Next()
	if i < 0 || l.all[i].seats == 0 || !l.all[i].peek().alone() {
		return nil, nil, nil
	}
	lq := l.all[i]
	lq.leave(1)
	en, tenant, freed := lq.pop()
	var h holding // nil, not a nil *hold
	if lq.counted {
		h = lq.hold(en, tenant)
	}
	granted := lq.give(freed)
	l.settle()
	return en.of.job.(*seat), h, granted
}

// guest gets a slot for a Do if one is free and nothing from outside waits that could have it (H2).
func (l *lanes) guest(r *runner, parent context.Context) (got bool, err error) {
	at, err := l.spot(parent)
	if err != nil {
		return false, err
	}
	q, e, lq := &l.e.inject, l.e, at.queue()
	q.mu.Lock()
	defer q.unlock()
	if err = q.refusal(false); err != nil {
		return false, err
	}
	c := lq.class
	if q.queue.len > 0 || q.beside > 0 || lq.queue.len > 0 || lq.waiters.len > 0 || c.Max > 0 && c.Running >= c.Max {
		return false, nil
	}
	if e.word.Load()&freeMask == 0 {
		return false, nil
	}
	e.idle.mu.Lock()
	if len(e.idle.free) == 0 {
		e.idle.mu.Unlock()
		return false, nil
	}
	free := e.freeShare(e.word.Load())
	s := e.popFree()
	e.idle.mu.Unlock()
	if lq.delay != nil {
		lq.delay.idled(free)
	}
	q.note()
	lq.submitted++
	lq.taken++
	if lq.counted {
		var t *lane.Tenant[entry]
		if lq.fair != nil {
			lq.fair.Push(at.tenant, entry{})
			_, t = lq.fair.Pop()
		}
		lq.hold(entry{}, t).start(r)
	}
	r.adopt(s)
	return true, nil
}

// unstick is the keeper's, for each lane.
func (l *lanes) unstick() (served *waiter) {
	for _, q := range l.all {
		if q.waiters.inTask == 0 || q.moved != q.seen {
			q.seen, q.still = q.moved, 0
			continue
		}
		if q.still++; q.still < stillTicks {
			continue
		}
		q.stood = q.moved + 1
		served = q.waiters.dismiss(served, func(w *waiter) (bool, error) {
			switch {
			case !w.inTask:
				return false, nil
			case q.acceptOver(w):
				return true, nil
			}
			return true, ErrQueueFull
		})
	}
	return served
}

func (l *lanes) dismiss(judge func(*waiter) (bool, error)) (served *waiter) {
	for _, q := range l.all {
		served = q.waiters.dismiss(served, judge)
	}
	return served
}

// relieve gives the places of dead entries to those who wait for room.
func (l *lanes) relieve() (served *waiter) {
	for _, q := range l.all {
		if q.waiters.len == 0 {
			continue
		}
		q.sweep()
		for w := q.give(0); w != nil; {
			next := w.next
			w.next, served = served, w
			w = next
		}
	}
	return served
}

// drain takes everything out.
func (l *lanes) drain() (all []entry) {
	for _, q := range l.all {
		for q.queue.len > 0 {
			en, t, freed := q.pop()
			if t != nil {
				q.fair.Ended(t, q.fair.Charge(), 0)
			}
			q.used -= freed
			q.taken++
			q.l.rule.Gone(q.index, 1)
			all = append(all, en)
		}
	}
	l.settle()
	return all
}

func (l *lanes) purge() {
	for _, q := range l.all {
		q.clean()
	}
	l.recent.forget(func(*placed) bool { return true })
}

func (l *lanes) trim() {
	for _, q := range l.all {
		q.queue.trim()
	}
}

func (l *lanes) resize(slots int) {
	l.rule.Resize(slots)
}

// settle tells the injector how many lanes have an entry that may start (N6).
func (l *lanes) settle() {
	if n, q := l.rule.Ready(), &l.e.inject; n != q.ready {
		q.ready = n
		q.recount()
	}
}

func (l *lanes) pushed() (n uint64) {
	for _, q := range l.all {
		n += q.queue.pushed
	}
	return n
}

func (l *lanes) popped() (n uint64) {
	for _, q := range l.all {
		n += q.queue.pushed - uint64(q.queue.len)
	}
	return n
}

func (l *lanes) sum() (s laneSums) {
	for _, q := range l.all {
		s.len += q.queue.len
		s.used += q.used
		s.limit += q.limit
		s.waiting += q.waiters.len
		s.inTask += q.waiters.inTask
		if q.class.Ready() {
			s.startable += q.queue.len
		}
	}
	return s
}

func (l *lanes) markAge(now time.Duration, first bool) {
	for _, q := range l.all {
		q.ages.Mark(q.queue.pushed, q.queue.len, now, first)
	}
}

func (l *lanes) oldest(now time.Duration) (age time.Duration) {
	for _, q := range l.all {
		age = max(age, q.ages.Oldest(q.queue.pushed, q.queue.len, now))
	}
	return age
}
