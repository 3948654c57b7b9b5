package debugpage

import (
	"slices"
	"strings"
	"sync"
	"time"
	"weak"

	"github.com/seed-97bda89a/executor"
)

// The overview of many executors: a line each. All viewers share the lines, which are made when somebody asks, once a
// second at most, from counters: a thousand executors take some milliseconds, no goroutine, and some 4 KB each. Only where
// the counters say that something waits for long are the slots and groups looked at too.

// Overview is what the page answers with ?format=list.
type Overview struct {
	Executors []Brief                  `json:"executors"` // by name
	Bulkheads []executor.BulkheadStats `json:"bulkheads"` // of the process
	Tables    []Table                  `json:"tables,omitempty"`
}

// Brief is a line of the overview.
type Brief struct {
	Name     string        `json:"name"`
	State    string        `json:"state"` // idle, busy, full (its queue is, or submitters wait for room) or closed
	Slots    int           `json:"slots"`
	Running  int           `json:"running"`
	Queued   int           `json:"queued"`
	Oldest   time.Duration `json:"oldest"`   // how long the oldest task in the shared queue has waited, in ns
	Waiting  int           `json:"waiting"`  // submitters that wait for room
	Rate     float64       `json:"rate"`     // tasks that ended, per second, over the last 10 to 20 s that somebody looked
	Rejected uint64        `json:"rejected"` // submissions refused since the executor was made
	Advice   []string      `json:"advice"`   // the kinds of advice, but for latency; if nothing waits, those that counters tell
}

// briefWindow is how long the counters of a line go back, at least.
const briefWindow = 10 * time.Second

// briefs are the lines of the process's executors. They keep no executor alive.
var briefs struct {
	mu sync.Mutex // a leaf
	of map[weak.Pointer[executor.Executor]]*briefed
}

// briefed is an executor's line, and the counters that it is made of.
type briefed struct {
	at          time.Time
	brief       Brief
	first, next *counted // at the start of the window, and of the next one
	before      *counted // at the last look
	history     []Point  // of the last looks; the rules need no more than longLasting
}

func overviewOf(all []*executor.Executor) Overview {
	o := Overview{Executors: make([]Brief, 0, len(all)), Bulkheads: bulkheads(), Tables: tables()}
	briefs.mu.Lock()
	defer briefs.mu.Unlock()
	if briefs.of == nil {
		briefs.of = make(map[weak.Pointer[executor.Executor]]*briefed)
	}
	for _, e := range all {
		key := weak.Make(e)
		b := briefs.of[key]
		if b == nil {
			b = new(briefed)
			briefs.of[key] = b
		}
		o.Executors = append(o.Executors, b.look(e))
	}
	for key := range briefs.of {
		if key.Value() == nil {
			delete(briefs.of, key)
		}
	}
	slices.SortStableFunc(o.Executors, func(a, b Brief) int { return strings.Compare(a.Name, b.Name) })
	return o
}

// look returns the line, and makes a new one if it is old.
func (b *briefed) look(e *executor.Executor) Brief {
	if now := time.Now(); now.Sub(b.at) >= period()/2 || e.Ended() {
		b.at = now
		b.make(e, now)
	}
	return b.brief
}

func (b *briefed) make(e *executor.Executor, now time.Time) {
	count := &counted{at: now, stats: e.Stats()}
	quota, limited := e.Throttling()
	count.quota = quota
	switch {
	case b.first == nil:
		b.first, b.next = count, count
	case now.Sub(b.next.at) >= briefWindow:
		b.first, b.next = b.next, count
	}
	d := State{
		Name: e.Name(), Lifecycle: "open", Time: now, Stats: count.stats, MaxSpares: count.stats.Spares, Sizing: e.Sizing(),
		Window: windowOf(b.first, count),
	}
	if limited {
		d.Throttling = &quota
	}
	b.remember(e, &d, count)
	s := &d.Stats
	b.brief = Brief{
		Name: d.Name, State: "idle", Slots: s.Slots, Running: s.Running, Queued: s.Queued, Oldest: s.OldestAge, Waiting: s.Waiting, Rejected: s.Rejected,
		Rate:   float64(since(ended(s), ended(&b.first.stats))) / max(1e-3, now.Sub(b.first.at).Seconds()),
		Advice: []string{},
	}
	switch {
	case e.Ended():
		b.brief.State = closed
	case s.Waiting > 0 || s.Queued >= s.QueueLimit:
		b.brief.State = "full"
	case s.Running+s.Blocked+s.Queued > 0:
		b.brief.State = "busy"
	}
	for _, a := range advise(&d) {
		b.brief.Advice = append(b.brief.Advice, a.Kind)
	}
}

// remember adds a point to the line's history, and looks at slots and groups if a rule may need them.
func (b *briefed) remember(e *executor.Executor, d *State, now *counted) {
	s := &now.stats
	point := Point{Time: now.at, Queued: s.Queued, Running: s.Running, Waiting: s.Waiting, Idle: s.Idle}
	if was := b.before; was != nil {
		point.Returned = returned(was, now)
		point.Completed = float64(since(ended(s), ended(&was.stats))) / max(1e-3, now.at.Sub(was.at).Seconds())
	}
	b.before = now
	if s.Waiting > 0 || s.Queued > 0 && (s.Lendable > 0 || point.Completed == 0) {
		p := e.Report()
		d.MaxSpares, d.Groups = p.MaxSpares, p.Groups
		for _, at := range p.Slots {
			d.Slots = append(d.Slots, Slot(at))
		}
		point.note(d)
	}
	if len(b.history) == longLasting {
		b.history = slices.Delete(b.history, 0, 1)
	}
	b.history = append(b.history, point)
	d.History = b.history
}
