package executor

import (
	"runtime"
	"time"
)

// Letting other goroutines have the processor. A runner that always finds a task never enters Go's scheduler.
// Where there are as many slots as processors, those who wait for results, for timers and for room in the queue
// would get a processor only when the runtime preempts a runner, which takes it 10 to 20 ms. So runners give
// theirs up now and then: docs/decisions/0011-the-processor-goes-round.md.

const (
	// minTurn and maxTurn are how long a runner keeps the processor from others at a stretch, as far as the
	// length of tasks allows. Giving it up costs about 200 ns if nobody wants it. In between it is as long as the
	// runner has waited for its turn, so that it gets no less than goroutines which compute until the runtime
	// preempts them, after 10 ms.
	minTurn = time.Millisecond
	maxTurn = 10 * time.Millisecond

	// paceTime is about how often a Checkpoint reads the clock while no slot is free, and maxPace how many
	// there may be from one time to the next.
	paceTime = 100 * time.Microsecond
	maxPace  = 64
)

// crowded reports whether runners may have all processors: every slot is in use, and there are as many.
func (e *Executor) crowded() bool {
	return freeSlots(e.word.Load()) == 0 && e.slotCount() >= runtime.GOMAXPROCS(0)
}

// shareProcessor lets other goroutines run, if it is time for that. It takes and returns the time since epoch.
func (r *runner) shareProcessor(now time.Duration) time.Duration {
	if r.turnEnds == unread { // it slept, and others had the processor
		r.turnEnds = now + minTurn
	}
	if now < r.turnEnds {
		return now
	}
	back := now
	if r.e.crowded() {
		runtime.Gosched()
		back = time.Since(epoch)
	}
	r.turnEnds = back + min(max(minTurn, back-now), maxTurn)
	return back
}

// letSubmittersRun is for a runner that has woken submitters, when the queue runs low: they can fill it before it is
// empty and all runners park.
func (r *runner) letSubmittersRun() {
	r.woke = false
	if r.e.crowded() {
		runtime.Gosched()
	}
}

// pacer is what a runner knows about the task that it runs from its Checkpoints.
type pacer struct {
	calls, period int           // Checkpoints since the clock was read, and how many there are to be
	readAt        time.Duration // when that was, since epoch
	slice         uint64        // the runner's progress at that time
	since         time.Duration // since when, as far as seen here, the task has had its slot
}

// pace is what a Checkpoint does while no slot is free. It may give up the processor, and the slot if the task's
// budget is spent: the keeper, whose timer waits for a processor like everybody else, may be late.
func (r *runner) pace() {
	p := &r.pacer
	if p.calls++; p.calls < p.period {
		return
	}
	p.calls = 0
	now := time.Since(epoch)
	took := now - p.readAt + 1
	p.period = int(min(maxPace, paceTime*time.Duration(p.period+1)/took))
	if slice := r.count.progress() + r.word.Load()/oneEpoch; slice != p.slice {
		p.slice, p.since = slice, now
	}
	if now-p.since >= r.e.cfg.budget && r.spend() {
		return
	}
	p.readAt = r.shareProcessor(now)
}
