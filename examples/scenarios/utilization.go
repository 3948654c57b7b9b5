package main

import (
	"cmp"
	"slices"
	"time"
)

// busy is the part of the time of so many workers, or slots, in which they were in the middle of a task: 0 to 1. Tasks
// beyond their number count for nothing, for they only divide the same processors.
func (p picture) busy(workers int) float64 {
	type change struct {
		at time.Duration
		by int
	}
	var changes []change
	for _, lane := range p.lanes {
		for _, s := range lane {
			if s.kind >= 0 {
				changes = append(changes, change{s.begin, 1}, change{s.end, -1})
			}
		}
	}
	slices.SortFunc(changes, func(a, b change) int { return cmp.Compare(a.at, b.at) })
	var sum, from time.Duration
	active := 0
	for _, c := range changes {
		sum += time.Duration(min(active, workers)) * (c.at - from)
		active += c.by
		from = c.at
	}
	if p.took == 0 {
		return 0
	}
	return float64(sum) / float64(workers) / float64(p.took)
}

// after is the rest of a picture from that time on.
func (p picture) after(from time.Duration) picture {
	rest := picture{labels: p.labels, took: max(0, p.took-from)}
	for _, lane := range p.lanes {
		var spans []span
		for _, s := range lane {
			if s.end > from {
				spans = append(spans, span{s.kind, max(0, s.begin-from), s.end - from})
			}
		}
		rest.lanes = append(rest.lanes, spans)
	}
	return rest
}
