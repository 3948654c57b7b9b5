package debugpage

import (
	"fmt"
	"slices"
	"time"
)

// The last minute in words: the longest time in which tasks piled up, what held the slots then, and how long tasks waited. Each
// number is one of State's.

// story tells it. It is empty if nothing piled up.
func (o *observer) story(d *State) []string {
	story := []string{}
	from, to := piledUp(d)
	if from == to {
		return story
	}
	var queued, waiting int
	var rejected float64
	var p99 time.Duration
	for i := from; i < to; i++ {
		p := &d.History[i]
		queued, waiting, p99 = max(queued, p.Queued), max(waiting, p.Waiting), max(p99, p.WaitP99)
		rejected += p.Rejected * secondsBefore(d, i)
	}
	text := fmt.Sprintf("Between %s and %s", d.History[from].Time.Format(time.TimeOnly), d.History[to-1].Time.Format(time.TimeOnly))
	if task, share, slots := o.held(len(d.History), from, to); share > 0 {
		slots = max(slots, d.Stats.Slots) // some may have been lent
		text += fmt.Sprintf(" tasks named %s held %.1f of %s %s;", task, share, numberText(slots), plural(slots, "slot"))
	}
	text += fmt.Sprintf(" up to %s %s queued", numberText(queued), were(uint64(max(0, queued)), "task"))
	if waiting > 0 {
		text += fmt.Sprintf(", %s %s waited for room", numberText(waiting), plural(waiting, "submitter"))
	}
	if rejected >= 0.5 {
		text += fmt.Sprintf(", %s %s refused", numberText(uint64(rejected+0.5)), were(uint64(rejected+0.5), "submission"))
	}
	if p99 > 0 {
		text += ", and the p99 of the wait was " + durationText(p99)
	}
	story = append(story, text+".")
	for _, at := range d.Slots {
		if at.In != "" && at.Age >= time.Second {
			story = append(story, fmt.Sprintf("Slot %d has been in %s for %s (%s).", at.Slot, at.Task, durationText(at.Age), at.In))
		}
		if len(story) == maxSentences {
			break
		}
	}
	return story
}

const maxSentences = 4

// secondsBefore is how long the second of a point was.
func secondsBefore(d *State, i int) float64 {
	history := d.History
	switch first := d.Window.Length - history[len(history)-1].Time.Sub(history[0].Time); {
	case i > 0:
		return history[i].Time.Sub(history[i-1].Time).Seconds()
	case first > 0: // the first look came early
		return first.Seconds()
	}
	return 1
}

// piledUp returns the longest run of points at which more was queued than there are slots, submitters waited or were refused.
func piledUp(d *State) (from, to int) {
	start := 0
	for i := 0; i <= len(d.History); i++ {
		if i < len(d.History) {
			if p := &d.History[i]; p.Queued > d.Stats.Slots || p.Waiting > 0 || p.Rejected > 0 {
				continue
			}
		}
		if i-start > to-from {
			from, to = start, i
		}
		start = i + 1
	}
	return from, to
}

// held returns the name seen most often between two points, in how many slots on average, and how many had a task then at most.
func (o *observer) held(points, from, to int) (task string, share float64, slots int) {
	sum := make(map[string]int)
	first := points - len(o.names) // the points before are of WithHistory
	seen := 0
	for i := max(from, first); i < to; i++ {
		all := 0
		for name, n := range o.names[i-first] {
			sum[name] += n
			all += n
		}
		slots = max(slots, all)
		seen++
	}
	delete(sum, "")
	names := make([]string, 0, len(sum))
	for name := range sum {
		names = append(names, name)
	}
	if len(names) == 0 {
		return "", 0, slots
	}
	slices.Sort(names)
	task = slices.MaxFunc(names, func(a, b string) int { return sum[a] - sum[b] })
	return task, float64(sum[task]) / float64(seen), slots
}
