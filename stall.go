package executor

import (
	"bytes"
	"cmp"
	"runtime"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-97bda89a/executor/internal/cgroup"

	"go.opentelemetry.io/otel/attribute"
)

// Blocking that nobody marked. While tasks wait and no slot is free, the keeper looks every tick at how
// far each task has come and how many goroutines of the process run or could run. If more tasks stand
// still than goroutines could be running them, some of those tasks are blocked, and the keeper lends
// extra slots.
//
//	S1 A step lends only if the processors are not busy and more tasks are stuck than goroutines run,
//	   in two ticks in a row, or in four if the keeper itself had the last processor. CPU-bound tasks do
//	   not look like that: each of them runs or could run. There are two exceptions, which is why the
//	   processor time that was used counts too: C code that computes is not in Go, and tasks that have to
//	   assist a garbage collection wait for it, while its workers keep the processors.
//	S2 If every slot, lent ones included, is stuck, a step may lend as many again as there are slots.
//	   If any task moved since the last step, there are never more lent slots than stuck tasks.
//	S3 A lent slot holds one of MaxSpares credits, and goes back at the first task boundary after the
//	   task it was lent for has moved or has lent its own slot, or when it runs out of work.
//	S4 If the processors are busy, but no task has ended and the queue has not moved for livenessAfter,
//	   one slot is lent all the same, and another after each such time.

const livenessAfter = 5 * time.Second

// The ticks of S1. Fewer lend to CPU-bound tasks that the collector holds up; each more costs a tick
// before every step.
const (
	sureTicks   = 2
	unsureTicks = 4
)

// StallInfo tells a handler of WithOnStall what stands still.
type StallInfo struct {
	Executor string          // the executor's name
	Reason   string          // StallBlocked, StallCPU or StallSpares
	QueueAge time.Duration   // how long no task has ended and none was taken from the queue
	Queued   int             // tasks that wait
	Ages     []time.Duration // of the tasks that stand still, oldest first; as far as the monitor knows
	Stack    string          // of the oldest one's goroutine; empty if it moved on meanwhile
}

// The reasons in StallInfo.
const (
	StallBlocked = "blocked" // tasks block outside of Blocking; extra slots are lent for them
	StallCPU     = "cpu"     // a task runs past its budget without a Checkpoint, while others wait
	StallSpares  = "spares"  // tasks block, and no spare is left to stand in for them
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

// goroutineStates is how many goroutines of the process run, and could run.
type goroutineStates struct{ running, runnable, procs int }

// readStates reads the states from the runtime. It takes about 200 ns.
func readStates(samples []metrics.Sample) goroutineStates {
	metrics.Read(samples)
	value := func(i int) int {
		if samples[i].Value.Kind() != metrics.KindUint64 {
			return 0
		}
		return int(samples[i].Value.Uint64())
	}
	return goroutineStates{value(0), value(1), value(2)}
}

func stateSamples() []metrics.Sample {
	return []metrics.Sample{
		{Name: "/sched/goroutines/running:goroutines"},
		{Name: "/sched/goroutines/runnable:goroutines"},
		{Name: "/sched/gomaxprocs:threads"},
	}
}

// sight is what one tick of the monitor sees. decide is a function of it and of the ticks before, so that
// it can be tested without a clock or a scheduler.
type sight struct {
	now    time.Time
	states goroutineStates
	cpus   float64 // processors that the process has used since the tick before; 0 if unknown
	slots  int     // slots in all, lent ones included
	lent   int     // lent ones
	stuck  int     // tasks that have not moved since the tick before
	moved  bool    // some task ended, or the queue moved, since the tick before
	queued int     // tasks that wait
}

// busy reports whether the processors are busy, or all stuck tasks may be running.
func (s *sight) busy() bool {
	working := s.states.running - 1 + s.states.runnable // the monitor itself is running
	return working >= min(s.states.procs, s.stuck) || s.cpus >= float64(s.states.procs)-0.5
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
	decideLiveness = "liveness" // lent: busy, but nothing has moved for long
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
		if s.now.Sub(m.livedAt) < livenessAfter {
			return decision{reason: decideBusy}
		}
		m.livedAt = s.now
		return decision{lend: 1, reason: decideLiveness}
	}
	m.idle++
	if m.idle < sureTicks || m.idle < unsureTicks && s.states.running >= s.states.procs {
		return decision{}
	}
	lend := s.stuck - s.lent
	if s.stuck >= s.slots {
		lend = s.slots
	}
	if lend = min(lend, s.queued); lend <= 0 {
		return decision{}
	}
	return decision{lend: lend, reason: decideStuck}
}

// watchStalls is the monitor's part of a tick. It reports whether anything has moved since the last one, or was
// made to.
func (k *keeper) watchStalls(now time.Time) (moved bool) {
	e := k.e
	s := k.look(now)
	d := k.stalls.decide(s)
	short := e.cfg.detect && e.lend(d, k.stuck)
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
	s := sight{now: now, states: readStates(k.samples)}
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
	s.slots, s.lent = len(e.idle.slots), e.idle.lent
	k.stuck = slices.DeleteFunc(k.stuck, func(r *runner) bool { return r.list == &e.idle.parked })
	e.idle.mu.Unlock()
	s.stuck = len(k.stuck)

	e.inject.mu.Lock()
	total += e.inject.moved
	s.queued = e.inject.queue.len
	e.inject.markAge(time.Since(epoch), false)
	e.inject.mu.Unlock()
	for _, slot := range *e.slots.Load() {
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
	e.setSlots(slices.Concat(e.idle.slots, lent))
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

// stallReport is keeper.report. WithOnStall and Watch make it known, so that other programs do not link it.
type stallReport func(k *keeper, s *sight, short bool)

// report tells the handler, at most once a second, what stands still.
func (k *keeper) report(s *sight, short bool) {
	e := k.e
	info := StallInfo{Executor: e.name, QueueAge: s.now.Sub(k.stalls.movedAt), Queued: s.queued}
	var oldest *runner
	var most time.Duration
	stands := func(r *runner, since time.Time) {
		age := s.now.Sub(since)
		if info.Ages = append(info.Ages, age); oldest == nil || age > most {
			oldest, most = r, age
		}
	}
	for _, r := range k.stuck {
		if r.seen.overdue {
			stands(r, r.seen.since)
		}
	}
	marked := oldest == nil && info.QueueAge >= 2*e.cfg.tick() // all of it is inside Blocking, or waits
	if marked {
		for _, r := range k.denied {
			stands(r, r.seen.denied)
		}
	}
	if oldest == nil || s.now.Sub(k.reported) < time.Second || !e.reporting.CompareAndSwap(false, true) {
		return
	}
	k.reported = s.now
	info.Reason = StallBlocked
	switch {
	case marked || short && !s.busy():
		info.Reason = StallSpares
	case s.busy():
		info.Reason = StallCPU
	}
	slices.SortFunc(info.Ages, func(a, b time.Duration) int { return cmp.Compare(b, a) })
	progress := oldest.seen.progress
	e.group.Add(1)
	go func() {
		defer e.reporting.Store(false)
		task := oldest.taskName()
		if e.cfg.onStall == nil && runtime.NumGoroutine() > maxTraced {
			e.group.Done()
			return
		}
		if stack := stackOf(oldest.goid); oldest.count.progress() == progress {
			info.Stack = stack
			info.Reason = reasonOf(stack, info.Reason)
			e.events.stalled(task, &info)
		}
		e.group.Done() // what follows is not the executor's: nobody waits for it
		if e.cfg.onStall != nil {
			e.cfg.onStall(info)
		}
	}()
}

// reasonOf corrects the reason, which is about all tasks that stand still, by the state of the oldest.
func reasonOf(stack, reason string) string {
	_, state, _ := strings.Cut(stack, "[")
	has := func(prefix string) bool { return strings.HasPrefix(state, prefix) }
	switch {
	case has("running"), has("runnable"), has("preempted"), has("GC "):
		return StallCPU
	case reason != StallCPU, state == "", has("syscall"): // the last may be C code that computes
		return reason
	}
	return StallBlocked
}

// stackOf returns the stack of one goroutine. It stops the world for as long as it takes to print all
// stacks, which is why reports are rare.
func stackOf(goid int64) string {
	const most = 16 << 20
	head := []byte("goroutine " + strconv.FormatInt(goid, 10) + " ")
	for size := 64 << 10; size <= most; size *= 4 {
		buf := make([]byte, size)
		n := runtime.Stack(buf, true)
		at := bytes.Index(buf[:n], append([]byte("\n\n"), head...))
		if at < 0 && n < size {
			return ""
		}
		if at < 0 {
			continue
		}
		one := buf[at+2 : n]
		if end := bytes.Index(one, []byte("\n\n")); end >= 0 {
			return string(one[:end])
		}
		if n < size {
			return string(one)
		}
	}
	return ""
}
