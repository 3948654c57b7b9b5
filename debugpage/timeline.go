package debugpage

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/seed-97bda89a/executor"
)

// The timeline: what every slot did over the last minute. It is put together from two sources. Looks at all slots, 20 a
// second, give spans whose ends are known to a look; short tasks of one name, one after another, are one span. Tasks that were
// measured give exact ones, with who submitted them. Page, JSON and Perfetto are made of the same Timeline.

const (
	timelineLength = time.Minute
	timelineLook   = 50 * time.Millisecond

	maxSpans      = 16384 // that a lookout keeps of looks: 1.5 MB
	maxMeasured   = 4096  // and of measured tasks: 0.5 MB
	maxShownSlots = 64
	maxShownSpans = 6000
)

// Timeline is what the page answers with ?format=timeline: what the slots of an executor did over the last minute.
type Timeline struct {
	Executor string    `json:"executor"`
	From     time.Time `json:"from"`
	To       time.Time `json:"to"`
	Slots    []int     `json:"slots"`  // those that are shown: of more than 64, the busiest
	Hidden   int       `json:"hidden"` // how many are not
	Note     string    `json:"note"`   // what is left out, and how exact it is
	Spans    []Span    `json:"spans"`  // by start
	Counts   []Counts  `json:"counts"` // one for each second
}

// Timelines are those of the executors that a request is about; of more than 16, of none.
type Timelines struct {
	Timelines []Timeline `json:"timelines"`
}

// timelinesOf returns the timelines of those that somebody looks at, which this request begins if nobody does.
func timelinesOf(req *http.Request, chosen []*executor.Executor) []Timeline {
	all := []Timeline{}
	if len(chosen) > maxSections {
		return all
	}
	frames(req, chosen)
	for _, e := range chosen {
		lookouts.mu.Lock()
		s := lookouts.of[e]
		lookouts.mu.Unlock()
		if s != nil {
			all = append(all, s.track.timeline(e.Name()))
		}
	}
	return all
}

// Span is what a slot did for a time. Times are nanoseconds since the From of the timeline.
type Span struct {
	Slot  int           `json:"slot"`
	State string        `json:"state"` // running, blocking or waiting
	Task  string        `json:"task"`  // its name, "" if it is not known
	Start time.Duration `json:"start"`
	End   time.Duration `json:"end"`
	Many  bool          `json:"many,omitempty"` // short tasks of that name, one after another
	Lent  bool          `json:"lent,omitempty"` // in a slot lent for unmarked blocking

	// Of a task that was measured: it is exact then, where others are known to 50 ms.
	Exact     bool          `json:"exact,omitempty"`
	Submitted time.Duration `json:"submitted,omitempty"`
	By        int           `json:"by"`               // the slot of the task that submitted it; -1: none, or it is not known
	Failed    bool          `json:"failed,omitempty"` // it returned an error, panicked or called Goexit
}

// Counts is how many tasks had no slot, and how many yielded.
type Counts struct {
	Time     time.Duration `json:"time"` // since From
	Queued   int           `json:"queued"`
	Blocking int           `json:"blocking"`
	Waiting  int           `json:"waiting"`
	Yielded  int           `json:"yielded"` // let others go first, now
	Yields   uint64        `json:"yields"`  // since the point before
	Lent     int           `json:"lent"`    // slots, for unmarked blocking
}

// track remembers what a lookout saw of the slots.
type track struct {
	mu       sync.Mutex // a leaf
	open     []seen     // by slot
	spans    []seen     // by end; at most maxSpans
	measured []executor.TaskSpan
	counts   []countsAt
	since    time.Time // of the first look, or of the oldest that is kept
	last     time.Time // of the latest
	yields   uint64
}

// seen is a span in the making.
type seen struct {
	slot             int
	state, task      string
	start, end       time.Time
	many, lent, real bool // real: there is one
}

type countsAt struct {
	at time.Time
	Counts
}

// look adds a report, and the tasks that were measured since the last one.
func (t *track) look(e *executor.Executor, p *executor.Report) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.since.IsZero() {
		t.since, t.last, t.yields = p.Time, p.Time, p.Stats.Yields
	}
	between := t.last.Add(p.Time.Sub(t.last) / 2) // where a change was, as far as anybody knows
	for len(t.open) < len(p.Slots) {
		t.open = append(t.open, seen{})
	}
	for i := range t.open {
		was := &t.open[i]
		if i >= len(p.Slots) || p.Slots[i].State == "idle" || p.Slots[i].State == "searching" {
			t.close(was, between)
			continue
		}
		at := &p.Slots[i]
		same := p.Time.Sub(t.last) <= at.Age // the task of the last look
		if was.real && was.state == at.State && (was.task == at.Task || same && was.task == "") {
			was.task, was.end, was.many = at.Task, p.Time, was.many || !same
			continue
		}
		start := between
		if was.real && same { // its state has changed
			start = p.Time.Add(-at.Age)
			start = latest(start, was.end)
		}
		t.close(was, start)
		*was = seen{slot: i, state: at.State, task: at.Task, start: start, end: p.Time, lent: at.Lent, real: true}
	}
	if len(t.counts) == 0 || p.Time.Sub(t.counts[len(t.counts)-1].at) >= time.Second {
		t.counts = append(t.counts, countsAt{p.Time, Counts{
			Queued: p.Stats.Queued, Blocking: p.Runners.Blocking, Waiting: p.Runners.Waiting, Yielded: p.Runners.Yielded,
			Yields: since(p.Stats.Yields, t.yields), Lent: p.Stats.Lent,
		}})
		t.yields = p.Stats.Yields
	}
	after := t.since
	if n := len(t.measured); n > 0 {
		after = t.measured[n-1].Ended
	}
	t.measured = append(t.measured, e.Measured(after)...)
	t.last = p.Time
	t.drop(p.Time.Add(-timelineLength))
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// close ends a span.
func (t *track) close(s *seen, at time.Time) {
	if s.real {
		s.end = at
		t.spans = append(t.spans, *s)
	}
	*s = seen{}
}

// drop lets go of what is too old or too much. What is too much makes the timeline shorter.
func (t *track) drop(before time.Time) {
	old := 0
	for old < len(t.spans) && t.spans[old].end.Before(before) {
		old++
	}
	if over := len(t.spans) - maxSpans; over > old {
		old = over + maxSpans/8 // not for one at each look
	}
	if old > 0 {
		if last := t.spans[old-1].end; last.After(before) {
			t.since = latest(t.since, last)
		}
		t.spans = slices.Delete(t.spans, 0, old)
	}
	t.since = latest(t.since, before)
	t.measured = slices.Delete(t.measured, 0, max(0, len(t.measured)-maxMeasured))
	t.measured = slices.DeleteFunc(t.measured, func(s executor.TaskSpan) bool { return s.Ended.Before(before) })
	t.counts = slices.DeleteFunc(t.counts, func(c countsAt) bool { return c.at.Before(before) })
}

// timeline makes one of what was seen.
func (t *track) timeline(name string) Timeline {
	t.mu.Lock()
	defer t.mu.Unlock()
	tl := Timeline{Executor: name, From: t.since, To: t.last, Slots: []int{}, Spans: []Span{}, Counts: []Counts{}}
	all := slices.Clone(t.spans)
	for _, s := range t.open {
		if s.real {
			all = append(all, s)
		}
	}
	ns := func(at time.Time) time.Duration { return max(0, at.Sub(t.since)) }
	busy := make(map[int]time.Duration)
	for _, s := range all {
		busy[s.slot] += ns(s.end) - ns(s.start)
	}
	for slot := range t.open {
		tl.Slots = append(tl.Slots, slot)
	}
	if tl.Hidden = len(tl.Slots) - maxShownSlots; tl.Hidden > 0 {
		slices.SortStableFunc(tl.Slots, func(a, b int) int { return cmp.Compare(busy[b], busy[a]) })
		tl.Slots = tl.Slots[:maxShownSlots]
		slices.Sort(tl.Slots)
	}
	tl.Hidden = max(0, tl.Hidden)
	for _, s := range all {
		tl.Spans = append(tl.Spans, Span{Slot: s.slot, State: s.state, Task: s.task, Start: ns(s.start), End: ns(s.end), Many: s.many, Lent: s.lent, By: -1})
	}
	for _, m := range t.measured {
		if m.Slot >= 0 {
			tl.Spans = append(tl.Spans, Span{Slot: m.Slot, State: "running", Task: m.Task, Start: ns(m.Started), End: ns(m.Ended), Exact: true, Submitted: ns(m.Submitted), By: m.From, Failed: !m.OK})
		}
	}
	for _, c := range t.counts {
		c.Time = ns(c.at)
		tl.Counts = append(tl.Counts, c.Counts)
	}
	tl.shorten()
	return tl
}

// shorten leaves out slots that are not shown and, of too many spans, the shortest; and says so.
func (tl *Timeline) shorten() {
	tl.Spans = slices.DeleteFunc(tl.Spans, func(s Span) bool {
		_, shown := slices.BinarySearch(tl.Slots, s.Slot)
		return !shown
	})
	tl.Note = fmt.Sprintf("Slots are looked at every %s: short tasks of one name are one bar. Outlined are tasks that were measured, with who submitted them.", durationText(timelineLook))
	if tl.Hidden > 0 {
		tl.Note += fmt.Sprintf(" Of %d slots the %d busiest are shown.", len(tl.Slots)+tl.Hidden, len(tl.Slots))
	}
	if over := len(tl.Spans) - maxShownSpans; over > 0 {
		slices.SortFunc(tl.Spans, func(a, b Span) int { return cmp.Compare(b.End-b.Start, a.End-a.Start) })
		tl.Spans = tl.Spans[:maxShownSpans]
		tl.Note += fmt.Sprintf(" The %s shortest spans are left out.", numberText(over))
	}
	slices.SortFunc(tl.Spans, func(a, b Span) int { return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.Slot, b.Slot)) })
}
