package executor

import (
	"math"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/seed-97bda89a/executor/internal/cgroup"
	"github.com/seed-97bda89a/executor/internal/kernel"
)

// Blocking that nobody marked. While tasks wait and no slot is free, the keeper looks every tick at how
// far each task has come and how many goroutines of the process run or could run. If more tasks stand
// still than goroutines could be running them, some of those tasks are blocked, and the keeper lends
// extra slots.
//
//	S1 A step lends only if the processors are not busy and more tasks are stuck than goroutines run,
//	   in two ticks in a row, or in four if the keeper itself had the last processor. CPU-bound tasks do
//	   not look like that: each of them runs or could run. There are two exceptions: C code that computes
//	   is not in Go, and tasks that have to assist a garbage collection wait for it, while its workers
//	   keep the processors. So the threads of the process that run, or would, count as well, where the
//	   system tells (Linux), and the processor time that was used. The processors are those that the
//	   process may use: GOMAXPROCS, its affinity, its quota. Where the threads are not known, a task that
//	   may be in C or in a system call counts as computing.
//	S2 If every slot, lent ones included, is stuck, a step may lend as many again as there are slots.
//	   If any task moved since the last step, there are never more lent slots than stuck tasks.
//	S3 A lent slot holds one of MaxSpares credits, and goes back at the first task boundary after the
//	   task it was lent for has moved or has lent its own slot, or when it runs out of work.
//	S4 If the processors are busy, but no task has ended and the queue has not moved for livenessAfter,
//	   the stacks of the stuck tasks are looked at, and slots are lent for those that certainly wait, as
//	   by S2; and again after each such time.

const livenessAfter = 5 * time.Second

// The ticks of S1. Fewer lend to CPU-bound tasks that the collector holds up; each more costs a tick
// before every step.
const (
	sureTicks   = 2
	unsureTicks = 4
)

// loan is what a lent slot was lent for.
type loan struct {
	lender *runner
	seen   uint64 // its progress at the time
	epoch  uint64 // of its Blocking word
}

// over reports whether the task that the slot was lent for has moved.
//
//go:noinline
func (l *loan) over() bool { // rare: not inlined, so that slot.leaves is
	return l.lender.count.progress() != l.seen || l.lender.word.Load()/oneEpoch != l.epoch
}

// sight is what one tick of the monitor sees. decide is a function of it and of the ticks before, so that
// it can be tested without a clock or a scheduler.
type sight struct {
	now      time.Time
	patience time.Duration // of S4
	states   goroutineStates
	cpus     float64 // processors that the process has used since the tick before; 0 if unknown
	slots    int     // slots in all, lent ones included
	lent     int     // lent ones
	stuck    int     // tasks that have not moved since the tick before
	moved    bool    // some task ended, or the queue moved, since the tick before
	queued   int     // tasks that wait
	held     int     // submitters that wait for room
	bubble   bool    // fake time: it moves only while everybody waits, so what has not moved does

	// What only weigh knows.
	limit   float64      // processors that affinity and quota allow; 0: no limit
	threads kernel.Count // that run, whatever they run, without the monitor's
	blind   bool         // the system does not tell about threads
}

// processors is how many processors the process may use.
func (s *sight) processors() float64 {
	if s.limit > 0 {
		return min(float64(s.states.procs), s.limit)
	}
	return float64(s.states.procs)
}

// working is how many goroutines run or could run, or, if there are more, threads that run.
func (s *sight) working() int {
	goroutines := s.states.running - 1 // without the monitor itself
	if s.threads.Known {
		goroutines = max(goroutines, s.threads.Running)
	}
	return goroutines + s.states.runnable
}

// waiting is how many of the stuck tasks certainly do not compute.
func (s *sight) waiting() int {
	if s.blind {
		return s.stuck - s.working() - s.states.calls
	}
	return s.stuck
}

// busy reports whether the processors are busy, or all stuck tasks may be running.
func (s *sight) busy() bool {
	if s.bubble {
		return false
	}
	procs := s.processors()
	return s.working() >= min(int(math.Ceil(procs)), s.stuck) || s.waiting() <= 0 || s.cpus >= procs-min(0.5, procs/4)
}

// step is how many slots a step lends for n stuck tasks (S2).
func (s *sight) step(n int) int {
	if n >= s.slots {
		return min(s.slots, s.queued)
	}
	return max(0, min(n-s.lent, s.queued))
}

// stallState is the monitor's memory.
type stallState struct {
	idle    int       // ticks in a row in which processors were idle although tasks were stuck
	movedAt time.Time // when something last moved
	livedAt time.Time // when a slot was last lent for liveness
}

// decision is what the monitor does in one tick.
type decision struct {
	lend   int
	reason string // of the decision, as counted in Stats
}

const (
	decideNothing  = ""
	decideStuck    = "stuck"    // lent: tasks block
	decideLiveness = "liveness" // lent, if confirm agrees: busy, but nothing has moved for long
	decideBusy     = "busy"     // not lent: the processors are busy
)

// decide applies S1, S2 and S4.
func (m *stallState) decide(s sight) decision {
	if s.moved || m.movedAt.IsZero() {
		m.movedAt, m.livedAt = s.now, s.now
	}
	if s.stuck == 0 {
		m.idle = 0
		return decision{}
	}
	if s.busy() {
		m.idle = 0
		if s.now.Sub(m.livedAt) < s.patience {
			return decision{reason: decideBusy}
		}
		m.livedAt = s.now
		return decision{lend: 1, reason: decideLiveness}
	}
	if s.threads.Partial { // the look at the threads goes on
		return decision{}
	}
	m.idle++
	if unsure := s.states.running >= s.states.procs && !s.bubble; m.idle < sureTicks || unsure && m.idle < unsureTicks {
		return decision{}
	}
	if lend := s.step(s.waiting()); lend > 0 {
		return decision{lend: lend, reason: decideStuck}
	}
	return decision{}
}

// threadTime is how long a tick may read the states of threads, and maxThreads of how many it is tried: one takes 8 µs,
// so a look at as many takes four ticks.
const (
	threadTime = time.Millisecond
	maxThreads = 500
)

// weigh adds what is dear to know. It is asked only while a slot would be lent otherwise.
func (k *keeper) weigh(s *sight) {
	if s.bubble || s.stuck == 0 || s.queued == 0 || !k.e.cfg.detect {
		return
	}
	if k.allowedAt.IsZero() || s.now.Sub(k.allowedAt) >= quotaInterval {
		k.allowed, k.allowedAt = k.allowance(), s.now
	}
	if s.limit = k.allowed; s.busy() || !k.mayLend() {
		k.looking = false
		return
	}
	if !k.looking {
		k.threads.Restart()
	}
	s.threads = k.readThreads(&k.threads, s, min(int(math.Ceil(s.processors())), s.stuck)-s.states.runnable)
	k.looking, s.blind = s.threads.Partial, !s.threads.Known && !s.threads.Partial
}

// readThreads looks for threads that run until enough are found.
func (k *keeper) readThreads(c *kernel.Counter, s *sight, enough int) kernel.Count {
	if k.e.cfg.blind || s.states.threads > maxThreads {
		return kernel.Count{}
	}
	return c.Look(max(1, enough), threadTime)
}

// allowance is how many processors the quota and the affinity allow; 0 if neither is known.
func (k *keeper) allowance() float64 {
	limit := float64(kernel.Allowed())
	if quota := k.e.sizer.reader.Read().CPUs; quota > 0 && (limit == 0 || quota < limit) {
		limit = quota
	}
	return limit
}

// confirm decides S4: which of the stuck tasks certainly wait, and whether a slot is lent for them. Those in C or in
// system calls do if fewer threads run than there are of them.
func (k *keeper) confirm(s *sight, d decision) (decision, []*runner) {
	running := k.readThreads(&k.census, s, math.MaxInt)
	if running.Partial { // go on in the next tick
		k.stalls.livedAt = s.now.Add(-s.patience)
		return decision{reason: decideBusy}, nil
	}
	var waiting, calling []*runner
	stacks := dump()
	for _, r := range k.stuck {
		switch certainty := certaintyOf(stackIn(stacks, r.goid.Load())); {
		case r.count.progress() != r.seen.progress:
		case certainty == waits:
			waiting = append(waiting, r)
		case certainty == inCall:
			calling = append(calling, r)
		}
	}
	inC := len(calling) // that compute
	switch {
	case running.Known:
		inC = max(0, running.Running-max(0, s.states.running-1))
	case s.cpus < 0.25:
		inC = 0
	}
	waiting = append(waiting, calling[min(inC, len(calling)):]...)
	if d.lend = s.step(len(waiting)); d.lend == 0 {
		return decision{reason: decideBusy}, nil
	}
	return d, waiting
}

// watchStalls is the monitor's part of a tick. It reports whether anything has moved since the last one, or was
// made to.
func (k *keeper) watchStalls(now time.Time) (moved bool) {
	e := k.e
	s := k.look(now)
	k.weigh(&s)
	d, lenders := k.stalls.decide(s), k.stuck
	if d.reason == decideLiveness && e.cfg.detect {
		d, lenders = k.confirm(&s, d)
	}
	short := e.cfg.detect && e.lend(d, lenders)
	k.mark(&s)
	if report := e.report.Load(); report != nil && (e.cfg.onStall != nil || e.viewers.Load() > 0) {
		(*report)(k, &s, short)
	}
	return s.moved || e.cfg.detect && d.lend > 0 && !short
}

// mark puts an event into the spans of tasks that are past their budget without a Checkpoint.
func (k *keeper) mark(s *sight) {
	e := k.e
	reason := StallBlocked
	if s.busy() {
		reason = StallCPU
	}
	for _, r := range k.stuck {
		if p := r.probe.Load(); r.seen.overdue && p != nil && p.marked.CompareAndSwap(false, true) {
			e.errand(func() {
				p.event("executor.stall", attribute.String("executor.stall.reason", reason))
				p.stalled.Store(true)
			})
		}
	}
}

// look takes stock: which runners have not moved since the tick before, and for how long.
func (k *keeper) look(now time.Time) sight {
	e := k.e
	s := sight{now: now, patience: e.cfg.liveness, states: readStates(k.samples), bubble: e.bubble != 0}
	used := cgroup.ProcessTime()
	if elapsed := now.Sub(k.usedAt); elapsed > 0 {
		s.cpus = float64(used-k.used) / float64(elapsed)
	}
	k.used, k.usedAt = used, now
	total := uint64(0)
	k.stuck, k.denied = k.stuck[:0], k.denied[:0]
	g := &e.registry
	g.mu.Lock()
	for r := g.first; r != nil; r = r.sibling {
		p := r.count.progress()
		total += p
		word := r.word.Load()
		if word&phaseMask != phaseRunning || r.seen.since.IsZero() || r.seen.progress != p {
			before := r.seen
			r.seen = sighting{progress: p, epoch: word / oneEpoch, since: now, budgetFrom: now}
			if word&(phaseMask|deniedBit) == phaseBlocked|deniedBit {
				if r.seen.denied = before.denied; before.epoch != r.seen.epoch || before.denied.IsZero() {
					r.seen.denied = now
				}
				k.denied = append(k.denied, r)
			}
			continue
		}
		if now.Sub(r.seen.budgetFrom) >= e.cfg.budget {
			r.seen.overdue = r.flagged.Swap(p+1) == p+1 // still there from the last time: no Checkpoint
			r.seen.budgetFrom = now
		}
		if r.seen.epoch != word/oneEpoch { // it was inside Blocking and is back
			r.seen.epoch, r.seen.since = word/oneEpoch, now
			continue
		}
		if r.has(r.held.Load()) { // its own, a gift, or a lent one
			k.stuck = append(k.stuck, r)
		}
	}
	g.mu.Unlock()

	e.idle.mu.Lock()
	s.slots, s.lent = len(*e.slots.Load()), e.idle.lent
	k.stuck = slices.DeleteFunc(k.stuck, func(r *runner) bool { return r.list == &e.idle.parked })
	e.idle.mu.Unlock()
	s.stuck = len(k.stuck)

	e.inject.mu.Lock()
	total += e.inject.moved
	s.queued, s.held = e.inject.len(), e.inject.waiters.len
	e.inject.markAge(time.Since(epoch), false)
	e.inject.mu.Unlock()
	for slot := range e.slots.Load().all() {
		s.queued += slot.len()
	}
	s.moved = total != k.total
	k.total = total
	return s
}

// lend carries out a decision: extra slots, each for one of the stuck runners in turn. It reports
// whether there were too few spares for it.
func (e *Executor) lend(d decision, stuck []*runner) (short bool) {
	switch d.reason {
	case decideNothing:
		return false
	case decideBusy:
		e.outside.stallBusy.Add(1)
		return false
	}
	var lent []*slot
	for i := range d.lend {
		if !e.tryCredit() {
			e.outside.stallSpares.Add(1)
			short = true
			break
		}
		lender := stuck[i%len(stuck)]
		lent = append(lent, &slot{loan: &loan{lender, lender.seen.progress, lender.seen.epoch}})
	}
	if len(lent) == 0 {
		return short
	}
	e.idle.mu.Lock()
	if e.word.Load()&ended != 0 { // the stuck tasks were the last ones, and are over
		e.idle.mu.Unlock()
		e.credits.Release(int64(len(lent)))
		return false
	}
	e.setSlots(append(e.slots.Load().list(), lent...))
	e.idle.lent += len(lent)
	e.idle.mu.Unlock()
	e.outside.compensated.Add(uint64(len(lent)))
	if d.reason == decideLiveness {
		e.outside.stallLiveness.Add(uint64(len(lent)))
	}
	for _, s := range lent {
		e.staff(s, true)
	}
	n, all := len(lent), len(stuck)
	e.errand(func() {
		e.cfg.log.Debug("executor: slots lent", "executor", e.name, "reason", d.reason, "slots", n, "stuck", all)
	})
	return short
}
