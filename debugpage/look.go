package debugpage

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/seed-97bda89a/executor"
)

// What is shown of an executor, made from reports of it: rates, waiting times, and what the slots were seen
// running, over the last minute.

const (
	historyLength = 60
	recentPoints  = 5 // for the quantiles of one point: few tasks are measured

	maxSlots     = 512
	maxTasks     = 10
	maxNamesSeen = 64 // told apart in one second; the others count as one

	// stuckAfter is how long a task must have stood still to be worth advice.
	stuckAfter = 20 * time.Millisecond
)

// closed is the lifecycle of an executor that has nothing in flight, nor ever will.
const closed = "closed"

// observer remembers what it saw of an executor.
type observer struct {
	before  *counted
	history []Point
	counts  []*counted       // those at the start of each point
	names   []map[string]int // tasks seen in the second of each point
	ended   []endedByName    // the last recentPoints
}

// counted is what rates, times and the window are made of.
type counted struct {
	at          time.Time
	stats       executor.Stats
	quota       executor.Throttling
	waits, runs executor.DurationCounts
}

// start makes rates possible in the first look.
func (o *observer) start(p *executor.Report) { o.before = countsOf(p) }

func countsOf(p *executor.Report) *counted {
	return &counted{at: p.Time, stats: p.Stats, quota: p.Throttling, waits: p.Waits, runs: p.Runs}
}

// see takes a report of e and makes a state of it.
func (o *observer) see(e *executor.Executor) State {
	p := e.Report()
	return o.seeReport(e, &p)
}

// seeReport makes a state of a report of e.
func (o *observer) seeReport(e *executor.Executor, p *executor.Report) State {
	past := e.History()
	if o.history == nil {
		o.history = pointsOf(past[max(0, len(past)-historyLength+1):])
	}
	d := o.look(p)
	d.Past, d.Named = past, o.named(e, d.Time)
	return d
}

// pointsOf makes points of what was remembered, one of each.
func pointsOf(past []executor.HistoryPoint) []Point {
	var points []Point
	for _, p := range past {
		points = append(points, Point{
			Time: p.Time, Submitted: float64(p.Submitted), Completed: float64(p.Completed), Rejected: float64(p.Rejected),
			Queued: p.Queued, Running: p.Running, Waiting: p.Waiting,
		})
	}
	return points
}

// tens makes one point of ten seconds: the rates on average, the others at their highest.
func tens(points []Point) []Point {
	var all []Point
	for ten := range slices.Chunk(points, 10) {
		sum := Point{Time: ten[len(ten)-1].Time}
		for _, p := range ten {
			sum.Submitted += p.Submitted / float64(len(ten))
			sum.Completed += p.Completed / float64(len(ten))
			sum.Rejected += p.Rejected / float64(len(ten))
			sum.Queued, sum.Running, sum.Waiting = max(sum.Queued, p.Queued), max(sum.Running, p.Running), max(sum.Waiting, p.Waiting)
		}
		all = append(all, sum)
	}
	return all
}

// look makes a state of a report. Somebody who wants to see which tasks stand still has made another one a moment ago.
func (o *observer) look(p *executor.Report) State {
	d := State{
		Name: p.Name, Lifecycle: p.Lifecycle, Time: p.Time, Since: p.Since, Budget: p.Budget, MaxSpares: p.MaxSpares,
		Stats: p.Stats, Sizing: p.Sizing, Runners: Runners(p.Runners),
		Slots: make([]Slot, 0, len(p.Slots)), States: make(map[string]int), Groups: append([]executor.GroupInfo{}, p.Groups...), Panics: []Event{}, Stalls: []Event{},
	}
	if p.Limited {
		d.Throttling = &p.Throttling
	}
	names := make(map[string]int)
	for _, at := range p.Slots {
		d.Slots = append(d.Slots, Slot(at))
		d.States[at.State]++
		if at.State == "idle" || at.State == "searching" {
			continue
		}
		if names[at.Task] > 0 || len(names) < maxNamesSeen {
			names[at.Task]++
		} else {
			names[""]++
		}
	}
	o.remember(&d, countsOf(p), names)
	for _, ev := range p.Panics {
		d.Panics = append(d.Panics, eventOf(ev, ev.Panic))
	}
	for _, ev := range p.Stalls {
		d.Stalls = append(d.Stalls, eventOf(ev, stallText(&ev)))
	}
	d.Advice, d.Story = advise(&d), o.story(&d)
	d.Slots = busiest(d.Slots)
	return d
}

// busiest leaves out idle slots, and then those whose tasks are the youngest, beyond maxSlots. Those that it keeps stay in order.
func busiest(slots []Slot) []Slot {
	if len(slots) <= maxSlots {
		return slots
	}
	busy := func(s *Slot) int {
		return min(1, len(strings.TrimPrefix(strings.TrimPrefix(s.State, "idle"), "searching")))
	}
	slices.SortStableFunc(slots, func(a, b Slot) int { return cmp.Or(busy(&b)-busy(&a), cmp.Compare(b.Age, a.Age)) })
	slots = slices.Clone(slots[:maxSlots])
	slices.SortFunc(slots, func(a, b Slot) int { return a.Slot - b.Slot })
	return slots
}

func eventOf(ev executor.EventInfo, what string) Event {
	return Event{Time: ev.Time, What: what, Task: ev.Task, Count: ev.Count, Stack: ev.Stack, place: ev.Place}
}

// stallText is what happened, in words.
func stallText(ev *executor.EventInfo) string {
	text := map[string]string{
		executor.StallCPU:        "computes past the budget",
		executor.StallBlocked:    "blocks outside of Blocking",
		executor.StallSpares:     "blocks, and there is no spare",
		executor.StallSubmitters: "blocks, there is no spare, and submitters wait for room",
	}[ev.Reason]
	if ev.Still > 0 {
		text += fmt.Sprintf(" for %s; %d stood still, %s waited", durationText(ev.Age), ev.Still, numberText(ev.Queued))
	}
	return text
}

// remember adds a point to the history, and puts the history into d.
func (o *observer) remember(d *State, now *counted, names map[string]int) {
	if was := o.before; was != nil {
		o.counts = appendBounded(o.counts, was)
		o.names = appendBounded(o.names, names)
		recent := o.counts[max(0, len(o.counts)-recentPoints)]
		waits := now.waits.Since(recent.waits)
		rate := func(n uint64) float64 { return float64(n) / max(1e-3, now.at.Sub(was.at).Seconds()) }
		point := Point{
			Time:      d.Time,
			Submitted: rate(since(now.stats.Submitted, was.stats.Submitted)),
			Completed: rate(since(ended(&now.stats), ended(&was.stats))),
			Rejected:  rate(since(now.stats.Rejected, was.stats.Rejected)),
			Queued:    now.stats.Queued, Running: now.stats.Running, Waiting: now.stats.Waiting,
			WaitP50: waits.Quantile(0.5), WaitP99: waits.Quantile(0.99), Measured: waits.Count,
			Idle: now.stats.Idle, Returned: returned(was, now),
		}
		point.note(d)
		o.history = appendBounded(o.history, point)
	}
	o.before = now

	d.History = append([]Point{}, o.history...)
	if len(o.counts) > 0 {
		first := o.counts[0]
		d.Wait, d.Run = timesOf(now.waits.Since(first.waits)), timesOf(now.runs.Since(first.runs))
		d.Window = windowOf(first, now)
	}
	d.Tasks = o.topTasks()
}

// windowOf is what was counted from first to now.
func windowOf(first, now *counted) Window {
	return Window{
		Length:        now.at.Sub(first.at),
		Submitted:     since(now.stats.Submitted, first.stats.Submitted),
		Ended:         since(ended(&now.stats), ended(&first.stats)),
		Rejected:      since(now.stats.Rejected, first.stats.Rejected),
		RejectedFull:  since(now.stats.RejectedFull, first.stats.RejectedFull),
		Uncompensated: since(now.stats.Uncompensated, first.stats.Uncompensated),
		Handoffs:      since(now.stats.Handoffs, first.stats.Handoffs),
		Returned:      returned(first, now),
		NoSpare:       since(now.stats.StallsNoSpare, first.stats.StallsNoSpare),
		Periods:       since(now.quota.Periods, first.quota.Periods),
		Throttled:     since(now.quota.Throttled, first.quota.Throttled),
	}
}

// returned is how many slots that were lent were given back.
func returned(first, now *counted) uint64 {
	return since(now.stats.Compensated+uint64(first.stats.Lent), first.stats.Compensated+uint64(now.stats.Lent))
}

func ended(s *executor.Stats) uint64 { return s.Completed + s.Panicked + s.Canceled }

// since is how much a counter has grown. Those of a quota start again when another cgroup sets it.
func since(now, before uint64) uint64 { return now - min(before, now) }

func timesOf(c executor.DurationCounts) Times {
	return Times{Count: c.Count, Mean: c.Mean(), P50: c.Quantile(0.5), P90: c.Quantile(0.9), P99: c.Quantile(0.99)}
}

// topTasks lists the names seen most often.
func (o *observer) topTasks() []Task {
	total, sum := 0, make(map[string]int)
	for _, names := range o.names {
		for name, n := range names {
			sum[name] += n
			total += n
		}
	}
	names := slices.SortedFunc(maps.Keys(sum), func(a, b string) int {
		if sum[a] != sum[b] {
			return sum[b] - sum[a]
		}
		return strings.Compare(a, b)
	})
	top := []Task{}
	for _, name := range names {
		if name == "" || len(top) == maxTasks {
			continue
		}
		top = append(top, Task{Name: name, Share: float64(sum[name]) / float64(total)})
	}
	return top
}

// appendBounded appends, and drops the oldest beyond historyLength.
func appendBounded[T any](to []T, v T) []T {
	if len(to) == historyLength {
		to = slices.Delete(to, 0, 1)
	}
	return append(to, v)
}
