package debugpage

import (
	"fmt"
	"slices"
	"time"
)

// What the page says when something is wrong. Each rule reads the state that is shown, nothing else.

// moreAbout is where each kind has a page.
const moreAbout = "https://github.com/seed-97bda89a/executor/blob/main/docs/advice/"

// advise applies the rules.
func advise(d *State) []Advice {
	advice := []Advice{}
	for _, rule := range []func(*State) *Advice{
		adviseThrottled, adviseRejections, adviseSpares, adviseCheckpoint, adviseCgo, adviseSyscall, adviseBlocked, adviseLatency,
		adviseStandstill, adviseGroup, adviseLoans,
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
	if w.Periods == 0 || w.Throttled*20 <= w.Periods {
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
	if w.Rejected == 0 || d.Lifecycle != "open" {
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
	if w.Uncompensated+w.NoSpare == 0 {
		return nil
	}
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
	if w.Uncompensated > 0 { // calls
		a.Problem = fmt.Sprintf("%s %s in the last %s a task that blocked kept its slot, because %s.",
			numberText(w.Uncompensated), plural(w.Uncompensated, "time"), seconds(w.Length), spares)
	} else { // ticks, however many tasks there were
		a.Problem = fmt.Sprintf("For %s of the last %s tasks that block outside of Blocking kept their slots while others waited, because %s.",
			durationText(time.Duration(w.NoSpare)*stallTick), seconds(w.Length), spares)
	}
	return a
}

// stallTick is how often the stall detection looks.
const stallTick = 10 * time.Millisecond

func adviseCheckpoint(d *State) *Advice {
	at := oldest(d, func(s *Slot) bool { return s.Overdue && (s.In == "computing" || s.In == "") })
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
	at := oldest(d, func(s *Slot) bool { return s.In == "cgo" && s.Age >= stuckAfter })
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
	at := oldest(d, func(s *Slot) bool { return s.In == "syscall" && s.Age >= stuckAfter })
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
	at := oldest(d, func(s *Slot) bool {
		return s.In != "" && s.In != "computing" && s.In != "cgo" && s.In != "syscall" && s.Age >= stuckAfter
	})
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
	if min(d.Wait.Count, d.Run.Count) < enoughMeasured || d.Wait.P99 <= 10*d.Run.P50 || d.Wait.P99 < time.Millisecond {
		return nil
	}
	return &Advice{
		Kind:    AdviceLatency,
		Problem: fmt.Sprintf("One task in a hundred waits %s or more to be started, while half of them run for less than %s.", durationText(d.Wait.P99), durationText(d.Run.P50)),
		Remedy:  "Some tasks take far longer than others, or more comes than the slots can do. Call Checkpoint in the long ones, put what blocks into Blocking, or refuse early with TryGo.",
		Call:    "executor.Checkpoint(ctx), executor.Blocking(ctx, fn), e.TryGo(ctx, fn)",
	}
}

// oldest returns the slot whose task has been there for the longest, among those that match.
func oldest(d *State, match func(*Slot) bool) *Slot {
	var found *Slot
	for i := range d.Slots {
		if s := &d.Slots[i]; s.State == "running" && match(s) && (found == nil || s.Age > found.Age) {
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
