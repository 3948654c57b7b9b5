package debugpage

import (
	"fmt"

	"github.com/seed-97bda89a/executor"
)

// Rules about tasks and submitters that wait for each other, or for others.

// adviseStandstill is about tasks that all wait, and of which none ends.
func adviseStandstill(d *State) *Advice {
	s := &d.Stats
	if s.Queued == 0 || s.Spares < d.MaxSpares || !lately(d, longLasting, func(p *Point) bool { return p.Completed == 0 && p.Queued > 0 }) {
		return nil
	}
	for i := range d.Slots {
		switch at := &d.Slots[i]; {
		case at.State == "blocking", at.State == "waiting":
		case at.State == "running" && waits(at.In):
		default:
			return nil // it runs, or may
		}
	}
	length := d.Time.Sub(d.History[len(d.History)-longLasting].Time)
	all := fmt.Sprintf("All %s tasks that have a slot or a spare wait, and none has ended for %s", numberText(s.Slots+d.MaxSpares), seconds(length))
	if s.Waiting > 0 {
		return &Advice{
			Kind:    AdviceSubmitters,
			Problem: fmt.Sprintf("%s, while %s for room in the queue. The tasks may wait for what these do next.", all, wait(s.Waiting, "submitter")),
			Remedy:  "If who submits also takes the results, let another goroutine take them, or make the queue longer than all there will be.",
			Call:    "WithQueueLimit(n), or executor.Ordered and Unordered",
		}
	}
	return &Advice{
		Kind:    AdviceWaiters,
		Problem: fmt.Sprintf("%s, while %s in the queue. Those that wait may wait for these.", all, wait(s.Queued, "task")),
		Remedy:  "Tasks that wait for each other through channels need a place each: allow more spares, or let them wait for futures and groups.",
		Call:    "WithMaxSpares(n), or executor.Submit and Wait",
	}
}

// waits reports whether in, of a Slot, says that its task waits.
func waits(in string) bool { return in != "" && in != "computing" && in != "cgo" && in != "syscall" }

// wait is how many wait, with the verb.
func wait(n int, noun string) string {
	if n == 1 {
		return "1 " + noun + " waits"
	}
	return numberText(n) + " " + noun + "s wait"
}

// adviseGroup is about a group whose tasks take the places of others.
func adviseGroup(d *State) *Advice {
	if !lately(d, lasting, func(p *Point) bool { return p.Waiting > 0 }) {
		return nil
	}
	for i := range d.Groups {
		g := &d.Groups[i]
		queued := g.Started - d.Stats.Running - d.Stats.Blocked // at least
		if g.Others == 0 || g.Failed || queued <= 0 || queued < d.Stats.QueueLimit/2 {
			continue
		}
		return &Advice{
			Kind: AdviceGroup,
			Problem: fmt.Sprintf("%s has at least %s of the queue's %s places, and with other tasks %s for room.",
				groupText(g), numberText(queued), numberText(d.Stats.QueueLimit), wait(g.Others, "submitter")),
			Remedy: "Bound how many of its tasks run at once: the others then wait in the group, and take no place in the queue.",
			Call:   "group.SetLimit(n)",
		}
	}
	return nil
}

func groupText(g *executor.GroupInfo) string {
	if g.Name == "" {
		return "A group without a name"
	}
	return "The group of tasks named " + g.Name
}

// adviseLoans is about tasks that wait for each other a moment at a time.
func adviseLoans(d *State) *Advice {
	w := &d.Window
	seen := 0 // looks, with some since the one before
	for i := range d.History {
		seen += min(1, int(d.History[i].Returned))
	}
	if w.Returned < enough || !often(w.Returned, w.Ended) || seen < lasting {
		return nil
	}
	return &Advice{
		Kind: AdviceLoans,
		Problem: fmt.Sprintf("In the last %s %s slots were lent for tasks that blocked outside of Blocking, and given back. Each came two ticks of 10 ms late, or more.",
			seconds(w.Length), numberText(w.Returned)),
		Remedy: "Say where tasks wait for channels, locks and each other: their slots then go to others at once.",
		Call:   "executor.Receive, Send, WaitFor, Lock, or executor.Blocking(ctx, fn)",
	}
}

// adviseIdle is about submitters that wait for room although slots are idle: a lane or a Serial holds its tasks back. Callers that
// wait for a group's limit are none: who sets it asks for that.
func adviseIdle(d *State) *Advice {
	waiting := d.Stats.Waiting
	for i := range d.Groups {
		waiting -= d.Groups[i].Waiting
	}
	if waiting <= 0 || d.Stats.Idle == 0 || !lately(d, longLasting, func(p *Point) bool { return p.Waiting > 0 && p.Idle > 0 }) {
		return nil
	}
	length := d.Time.Sub(d.History[len(d.History)-longLasting].Time)
	a := &Advice{
		Kind: AdviceIdle,
		Problem: fmt.Sprintf("%s for room, for %s now, while %s of %s slots are idle: a Serial, or a key of a Keyed, runs one task at a time.",
			wait(waiting, "submitter"), seconds(length), numberText(d.Stats.Idle), numberText(d.Stats.Slots)),
		Remedy: "If only tasks of one customer or file must keep their order, give each a key of its own.",
		Call:   "executor.NewKeyed[K](e)",
	}
	for _, l := range d.Stats.Lanes {
		if l.Waiting > 0 {
			name := "the lane " + l.Name
			if l.Name == "" {
				name = "the default lane"
			}
			a.Problem = fmt.Sprintf("%s for room in %s, for %s now, while %s of %s slots are idle: the lane's Max, or what other lanes have Reserved, holds its tasks back.",
				wait(l.Waiting, "submitter"), name, seconds(length), numberText(d.Stats.Idle), numberText(d.Stats.Slots))
			a.Remedy, a.Call = "Let the lane have more slots, or refuse what it can not do in time.", "Lane{Max: n}, or e.TryGo(ctx, fn)"
			break
		}
	}
	return a
}
