package debugpage

import (
	"fmt"
	"slices"
	"time"
)

// What the page says when something is wrong. Each rule reads the state that is shown, nothing else.
//
// A machine that stands still for a moment makes tasks late, uses up spares and fills queues, and nothing is wrong with the program
// then. So a rule speaks of what lasts, or of a noticeable share:
//
//   - A state of the slots or queues has to be seen at each of the last looks: 3 of them, 3 s, or 10 where it is about waiting.
//   - What is counted has to be over 5 % of what could have happened, and to have happened often enough for a share to mean something.

const (
	lasting     = 3  // looks that all see a state, for it to be more than a moment
	longLasting = 10 // for tasks that wait, or wait long: load comes and goes
	noticeable  = 20 // one in so many
	enough      = 20 // events, for their share to mean something
	enoughTicks = 50 // periods of a quota: 5 s
)

// often reports whether n of all are a noticeable share.
func often(n, all uint64) bool { return n*noticeable > all }

// lately reports whether all of the last n points are so.
func lately(d *State, n int, so func(*Point) bool) bool {
	for i := range min(n, len(d.History)) {
		if !so(&d.History[len(d.History)-1-i]) {
			return false
		}
	}
	return len(d.History) >= n
}

// moreAbout is where each kind has a page.
const moreAbout = "https://github.com/seed-97bda89a/executor/blob/main/docs/advice/"

// advise applies the rules.
func advise(d *State) []Advice {
	advice := []Advice{}
	for _, rule := range []func(*State) *Advice{
		adviseThrottled, adviseRejections, adviseSpares, adviseCheckpoint, adviseCgo, adviseSyscall, adviseBlocked, adviseLatency,
		adviseStandstill, adviseGroup, adviseLoans, adviseIdle,
	} {
		if a := rule(d); a != nil {
			a.More = moreAbout + a.Kind + ".md"
			advice = append(advice, *a)
		}
	}
	return advice
}

func adviseThrottled(d *State) *Advice {
	w := &d.Window
	if w.Periods < enoughTicks || !often(w.Throttled, w.Periods) {
		return nil
	}
	a := &Advice{
		Kind:    AdviceThrottled,
		Problem: fmt.Sprintf("The kernel stopped the process in %s of %s periods, because its CPU quota was spent.", numberText(w.Throttled), numberText(w.Periods)),
		Remedy:  "Something else in the process or its cgroup computes too: move that work into tasks, or raise the quota.",
		Call:    "e.Go(ctx, fn)",
	}
	if d.Sizing.Fixed {
		a.Remedy = "The number of slots is fixed, whatever the quota is. Let it follow the quota, rounded down."
		a.Call = "e.Resize(0), or New without WithSlots"
	}
	return a
}

func adviseRejections(d *State) *Advice {
	w := &d.Window
	if !often(w.Rejected, w.Submitted+w.Rejected) || d.Lifecycle != "open" {
		return nil
	}
	refused := fmt.Sprintf("%s %s refused in the last %s", numberText(w.Rejected), were(w.Rejected, "submission"), seconds(w.Length))
	if w.RejectedFull == 0 {
		if !slices.ContainsFunc(d.History, func(p Point) bool { return p.Waiting > 0 }) {
			return nil // nobody waited for room: their contexts, or their groups, were over before
		}
		return &Advice{
			Kind:    AdviceRejections,
			Problem: refused + ": their contexts ended before there was room.",
			Remedy:  "Give them more time, let more wait in the queue, or answer at once that you are busy.",
			Call:    "WithQueueLimit(n), or e.TryGo(ctx, fn)",
		}
	}
	if w.RejectedFull < w.Rejected {
		refused += ", " + numberText(w.RejectedFull) + " of them"
	}
	return &Advice{
		Kind:    AdviceRejections,
		Problem: fmt.Sprintf("%s because the queue was full (limit %s).", refused, numberText(d.Stats.QueueLimit)),
		Remedy:  "If callers can wait, let Go hold them back until there is room. If not, answer at once that you are busy. A longer queue only helps with bursts.",
		Call:    "e.Go(ctx, fn) instead of TryGo, or WithQueueLimit(n)",
	}
}

func adviseSpares(d *State) *Advice {
	w := &d.Window
	spares := fmt.Sprintf("all %s spares stood in for others", numberText(d.MaxSpares))
	a := &Advice{
		Kind:   AdviceSpares,
		Remedy: "Allow more spares, or bound the calls that block, so that they wait for their turn with the slot lent.",
		Call:   "WithMaxSpares(n), or executor.NewBulkhead(name, limit)",
	}
	if d.MaxSpares == 0 {
		spares = "spares are turned off"
		a.Remedy, a.Call = "Allow spares, so that somebody can stand in for a blocked task.", "WithMaxSpares(n)"
	}
	switch at := longKept(d); {
	case at != nil: // one that lasts
		a.Problem = fmt.Sprintf("%s has blocked for at least %s and kept its slot, while %s: %s.", taskIn(at), durationText(at.Age),
			wait(d.Stats.Queued, "other"), spares)
	case w.Uncompensated >= enough && often(w.Uncompensated, w.Uncompensated+w.Handoffs): // many calls
		a.Problem = fmt.Sprintf("%s %s in the last %s a task that blocked kept its slot, because %s.",
			numberText(w.Uncompensated), plural(w.Uncompensated, "time"), seconds(w.Length), spares)
	case time.Duration(w.NoSpare)*stallTick >= lasting*samplePeriod && often(w.NoSpare, uint64(w.Length/stallTick)): // ticks, however many tasks there were
		a.Problem = fmt.Sprintf("For %s of the last %s tasks that block outside of Blocking kept their slots while others waited, because %s.",
			durationText(time.Duration(w.NoSpare)*stallTick), seconds(w.Length), spares)
	default:
		return nil
	}
	return a
}

// keeps reports whether the task in a slot blocks, and others wait that have no spare to run them.
func keeps(d *State, s *Slot) bool {
	return (s.State == "blocking" || s.State == "waiting") && d.Stats.Queued > 0 && d.Stats.Spares >= d.MaxSpares
}

// longKept returns the slot of the oldest task that keeps it so, and has done so over the last looks.
func longKept(d *State) *Slot {
	if !lately(d, lasting, func(p *Point) bool { return p.Kept > 0 }) {
		return nil
	}
	first := d.Time.Sub(d.History[len(d.History)-lasting].Time)
	return oldest(d, func(s *Slot) bool { return keeps(d, s) && s.Age >= first })
}

// stallTick is how often the stall detection looks.
const stallTick = 10 * time.Millisecond

func adviseCheckpoint(d *State) *Advice {
	at := longest(d, overdue, func(p *Point) int { return p.Overdue })
	if at == nil || d.Stats.Queued == 0 {
		return nil
	}
	a := &Advice{
		Kind: AdviceCheckpoint,
		Problem: fmt.Sprintf("%s has computed for at least %s, over its budget of %s, while %s others wait.",
			taskIn(at), durationText(at.Age), durationText(d.Budget), numberText(d.Stats.Queued)),
		Remedy: "Call Checkpoint in its loop, so that it lets others go first once the budget is spent.",
		Call:   "executor.Checkpoint(ctx)",
	}
	if at.In == "" { // its stack was not taken
		a.Problem = fmt.Sprintf("%s has kept its slot for at least %s, over its budget of %s, while %s others wait.",
			taskIn(at), durationText(at.Age), durationText(d.Budget), numberText(d.Stats.Queued))
		a.Remedy = "If it computes, call Checkpoint in its loop. If it waits for something, do that in Blocking."
		a.Call = "executor.Checkpoint(ctx), executor.Blocking(ctx, fn)"
	}
	return a
}

func adviseCgo(d *State) *Advice {
	at := longest(d, inCgo, func(p *Point) int { return p.Cgo })
	if at == nil {
		return nil
	}
	return &Advice{
		Kind:    AdviceCgo,
		Problem: fmt.Sprintf("%s has been in a C call for at least %s and keeps its slot.", taskIn(at), durationText(at.Age)),
		Remedy:  "If the call waits, wrap it in Blocking. Bound such calls with a Bulkhead, for each holds a thread.",
		Call:    "bulkhead.Blocking(ctx, fn)",
	}
}

func adviseSyscall(d *State) *Advice {
	at := longest(d, inSyscall, func(p *Point) int { return p.Syscall })
	if at == nil {
		return nil
	}
	return &Advice{
		Kind:    AdviceSyscall,
		Problem: fmt.Sprintf("%s has been in a system call for at least %s and keeps its slot.", taskIn(at), durationText(at.Age)),
		Remedy:  "Wrap the call in Blocking: its slot then runs other tasks until it returns.",
		Call:    "executor.Blocking(ctx, fn)",
	}
}

func adviseBlocked(d *State) *Advice {
	at := longest(d, standsStill, func(p *Point) int { return p.Blocked })
	if at == nil {
		return nil
	}
	return &Advice{
		Kind:    AdviceBlocked,
		Problem: fmt.Sprintf("%s has stood still for at least %s (%s) and keeps its slot.", taskIn(at), durationText(at.Age), at.In),
		Remedy:  "Wrap what it waits for in Blocking: its slot then runs other tasks meanwhile.",
		Call:    "executor.Blocking(ctx, fn)",
	}
}

// enoughMeasured is how many tasks must have been measured for their p99 to mean something.
const enoughMeasured = 30

func adviseLatency(d *State) *Advice {
	long := func(p99 time.Duration) bool { return p99 > 10*d.Run.P50 && p99 >= time.Millisecond }
	if min(d.Wait.Count, d.Run.Count) < enoughMeasured || !long(d.Wait.P99) || !lately(d, longLasting, func(p *Point) bool { return long(p.WaitP99) }) {
		return nil
	}
	return &Advice{
		Kind:    AdviceLatency,
		Problem: fmt.Sprintf("One task in a hundred waits %s or more to be started, while half of them run for less than %s.", durationText(d.Wait.P99), durationText(d.Run.P50)),
		Remedy:  "Some tasks take far longer than others, or more comes than the slots can do. Call Checkpoint in the long ones, put what blocks into Blocking, or refuse early with TryGo.",
		Call:    "executor.Checkpoint(ctx), executor.Blocking(ctx, fn), e.TryGo(ctx, fn)",
	}
}

// What a task in a slot does that keeps others from it.
func overdue(s *Slot) bool     { return s.runs() && s.Overdue && (s.In == "computing" || s.In == "") }
func inCgo(s *Slot) bool       { return s.runs() && s.In == "cgo" && s.Age >= stuckAfter }
func inSyscall(s *Slot) bool   { return s.runs() && s.In == "syscall" && s.Age >= stuckAfter }
func standsStill(s *Slot) bool { return s.runs() && waits(s.In) && s.Age >= stuckAfter }

func (s *Slot) runs() bool { return s.State == "running" }

// note counts the slots of d that do so, in a point of its history.
func (p *Point) note(d *State) {
	for i := range d.Slots {
		switch s := &d.Slots[i]; {
		case keeps(d, s):
			p.Kept++
		case overdue(s) && d.Stats.Queued > 0:
			p.Overdue++
		case inCgo(s):
			p.Cgo++
		case inSyscall(s):
			p.Syscall++
		case standsStill(s):
			p.Blocked++
		}
	}
}

// longest returns the oldest task that matches, if some did at each of the last looks.
func longest(d *State, match func(*Slot) bool, count func(*Point) int) *Slot {
	if !lately(d, lasting, func(p *Point) bool { return count(p) > 0 }) {
		return nil
	}
	return oldest(d, match)
}

// oldest returns the slot whose task has been there for the longest, among those that match.
func oldest(d *State, match func(*Slot) bool) *Slot {
	var found *Slot
	for i := range d.Slots {
		if s := &d.Slots[i]; match(s) && (found == nil || s.Age > found.Age) {
			found = s
		}
	}
	return found
}

func taskIn(s *Slot) string {
	if s.Task == "" {
		return fmt.Sprintf("The task in slot %d", s.Slot)
	}
	return fmt.Sprintf("The task %s in slot %d", s.Task, s.Slot)
}

// were is a noun and its verb.
func were(n uint64, noun string) string {
	if n == 1 {
		return noun + " was"
	}
	return noun + "s were"
}

func seconds(d time.Duration) string { return durationText(max(time.Second, d.Round(time.Second))) }
