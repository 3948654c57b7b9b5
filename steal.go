package executor

import (
	"math"
	"time"

	"github.com/seed-97bda89a/executor/internal/chaos"
)

// Where a runner looks for work, in which order, and how much it takes.

const (
	// fairness is how often, in picks, a runner looks at the injector first, so that children which start
	// children for ever do not starve the outside. 61 is the Go runtime's number: prime, rare
	// enough to be free. It is jittered by one so that it never falls in step with a task's period.
	fairness = 61

	// fairTime is how long the injector may wait for that, as far as the length of tasks allows: with long
	// ones a runner looks more often, down to leastFair: one pick for the injector, one for another deque, one for its own.
	fairTime  = 200 * time.Microsecond
	leastFair = 3

	// headEvery is how often the owner takes its oldest task instead of the newest, so that it
	// does not starve under a stream of new ones.
	headEvery = 8

	// maxBatch bounds what one runner takes from the injector at once. More would hold the lock
	// for longer and leave less to others.
	maxBatch = 128

	// minBatch is how much a runner takes at least, if it is there and maxBatch and batchTime allow it,
	// however many slots there are to leave the rest to. Those can steal it.
	minBatch = 32

	// batchTime is about how long a runner may be busy with what it takes at once. Tasks in its deque
	// wait behind the one that runs, and behind later arrivals that others take meanwhile, so long
	// tasks are taken one by one. Less would spend more on the lock.
	batchTime = 50 * time.Microsecond

	// firstTaskTime is what a new runner takes a task to last: its first batches are small.
	firstTaskTime = 5 * time.Microsecond

	// maxSteal bounds what one theft takes. Each task costs its own claim.
	maxSteal = 16

	// maxBehind is how many deques beside its lender's the runner of a lent slot looks at before the injector.
	maxBehind = 8

	// searchPasses is how often a searching runner looks at every victim before it parks.
	searchPasses = 2
)

// pick takes a task from the places that need no search: the own deque and the injector.
func (r *runner) pick() (entry, bool) {
	d := &r.slot.deque
	batch := d.onlyBatch()
	if r.picks.count++; r.picks.count >= r.picks.fair {
		if en, ok := r.pickFairly(d, batch); ok {
			return en, true
		}
	}
	if r.picks.pops++; batch || r.picks.pops%headEvery == 0 {
		if en, ok := d.popHead(); ok {
			return en, true
		}
	} else if en, ok := d.pop(); ok {
		return en, true
	}
	if r.slot.loan != nil {
		if en, ok := r.pickBehind(); ok {
			return en, true
		}
	}
	return r.takeInjected(maxBatch)
}

// pickFairly looks where else the oldest tasks are: in the injector, and, at the next pick, in one other deque (P6).
func (r *runner) pickFairly(d *deque, batch bool) (entry, bool) {
	p := &r.picks
	if p.visits {
		p.visits, p.fair = false, p.then
		return r.visit()
	}
	r.tuneFairness()
	p.visits, p.fair, p.then = true, 1, p.fair
	d.forgetBatch()
	if batch && d.len() > 0 { // what the injector has came later
		return entry{}, false
	}
	return r.takeInjected(1)
}

// visit takes the oldest task of one other deque. Each time that is another one's, going round (P6).
func (r *runner) visit() (entry, bool) {
	slots := *r.e.slots.Load()
	r.picks.next++
	victim := slots[r.picks.next%uint32(len(slots))].Load()
	if victim == r.slot || victim.len() == 0 {
		return entry{}, false
	}
	r.count.attempts.inc()
	en, ok, _ := victim.take()
	if ok {
		r.count.stolen.inc()
	}
	return en, ok
}

// pickBehind is for a runner on a lent slot, once its deque is empty: it takes what waits behind the
// task that the slot was lent for, then what waits behind others that may block. Nobody else may look there for long (P6).
func (r *runner) pickBehind() (entry, bool) {
	if s := r.slot.loan.lender.held.Load(); s != nil && s != r.slot && s.len() > 0 {
		if en, ok := r.steal(s); ok {
			return en, true
		}
	}
	slots := *r.e.slots.Load()
	for range min(len(slots), maxBehind) {
		r.picks.next++
		if s := slots[r.picks.next%uint32(len(slots))].Load(); s != r.slot && s.len() > 0 {
			if en, ok := r.steal(s); ok {
				return en, true
			}
		}
	}
	return entry{}, false
}

// tuneFairness starts the next interval between looks at the injector, by how long the last one took.
func (r *runner) tuneFairness() {
	now := time.Since(epoch)
	next := fairness - 1 + uint32(r.random()%3)
	if r.picks.fairAt != 0 {
		each := (now-r.picks.fairAt)/time.Duration(r.picks.count) + 1
		next = uint32(max(leastFair, min(time.Duration(next), fairTime/each)))
	}
	r.picks.count, r.picks.fair, r.picks.fairAt = 0, next, now
	r.processor.turn.over = r.processor.turn.isOver(now)
}

// takeInjected takes up to most tasks from the injector: the first to run now, the others into the
// own deque, where they are published again (P4).
func (r *runner) takeInjected(most int) (entry, bool) {
	q := &r.e.inject
	if !q.filled.Load() {
		return entry{}, false
	}
	if most > 1 {
		most = r.batch()
	}
	d := &r.slot.deque
	en, ok, did := q.take(d, min(most, d.room()+1), r.e.slotCount())
	if did.published {
		r.e.notify()
	}
	if ok {
		r.processor.turn.woke, r.processor.turn.low = r.processor.turn.woke || did.woke, did.low
	}
	return en, ok
}

// batch returns how many tasks are worth taking at once, by how long this runner's tasks have taken since
// it asked last. The estimate rises at once and falls slowly: to be late with long tasks is worse.
func (r *runner) batch() int {
	if r.batches.at == 0 { // just woken: one task, as a rule, and the clock would cost more than taking it
		r.batches.at = unread
		return r.batchSize()
	}
	now := time.Since(epoch)
	r.processor.turn.over = r.processor.turn.isOver(now)
	if n := time.Duration(r.tasks - r.batches.tasks); n > 0 && r.batches.at != unread {
		took := (now - r.batches.at) / n
		r.batches.taskTime = max(took, r.batches.taskTime-r.batches.taskTime/8)
	}
	r.batches.at, r.batches.tasks = now, r.tasks
	return r.batchSize()
}

// batchSize returns how many tasks of the estimated length are a batch.
func (r *runner) batchSize() int { return int(min(maxBatch, batchTime/(r.batches.taskTime+1)+1)) }

// unread says that the clock has not been read since the runner slept.
const unread time.Duration = math.MinInt64

// epoch makes reading the clock cheaper: time.Since reads only the monotonic one.
var epoch = time.Now()

// search looks at every other slot, from a random start, and at the injector between the passes. The
// caller is counted as searching.
func (r *runner) search() (entry, bool) {
	for range searchPasses {
		slots := *r.e.slots.Load()
		stride := chaos.Stride(len(slots))
		start := int(r.random() % uint64(len(slots)))
		for i := range slots {
			victim := slots[(start+i*stride)%len(slots)].Load()
			if victim == r.slot {
				continue
			}
			if en, ok := r.steal(victim); ok {
				return en, true
			}
		}
		if en, ok := r.takeInjected(maxBatch); ok {
			return en, true
		}
	}
	return entry{}, false
}

// steal takes about half of the victim's tasks, oldest first and one claim at a time. The first is to
// run now; the others go into the own deque, which is empty, and are published again (P4).
func (r *runner) steal(victim *slot) (entry, bool) {
	r.count.attempts.inc()
	first, ok, _ := victim.take()
	if !ok {
		return entry{}, false
	}
	own := &r.slot.deque
	stolen := uint64(1)
	for range min(victim.len()/2, maxSteal-1, own.room()) {
		en, ok, _ := victim.take()
		if !ok {
			break
		}
		own.push(en)
		stolen++
	}
	r.count.stolen.add(stolen)
	if stolen > 1 {
		own.batch = own.next // it runs them in the order in which they were there
		r.e.notify()
	}
	return first, true
}

// random is xorshift64*: a runner's own, cheap, and good enough to choose victims.
func (r *runner) random() uint64 {
	r.picks.rng ^= r.picks.rng >> 12
	r.picks.rng ^= r.picks.rng << 25
	r.picks.rng ^= r.picks.rng >> 27
	return r.picks.rng * 0x2545f4914f6cdd1d
}
