package executor

import (
	"context"
	"sync"
	"time"
)

// What an executor did lately: a point each second if it was made WithHistory, and the tasks that were measured while
// somebody watches. Neither is reached from New or from the keeper but through the pointers that WithHistory and Watch set.

// HistoryPoint is one second of an executor that was made [WithHistory].
type HistoryPoint struct {
	Time      time.Time     `json:"time"`      // the end of that second
	Submitted uint64        `json:"submitted"` // tasks accepted in it
	Completed uint64        `json:"completed"` // tasks that ended in it, however
	Rejected  uint64        `json:"rejected"`  // submissions refused in it
	Slots     int           `json:"slots"`     // here and below: at its end
	Running   int           `json:"running"`
	Blocked   int           `json:"blocked"`
	Queued    int           `json:"queued"`
	Waiting   int           `json:"waiting"` // submitters that wait for room
	Oldest    time.Duration `json:"oldest"`  // how long the oldest task in the shared queue has waited, in ns

	// Task is the name that was in most slots, and Holds in how many; "" and 0 if no task there had a name. Names are
	// those of TaskStats: those beyond the 64 that are kept apart are "other".
	Task  string `json:"task,omitempty"`
	Holds int    `json:"holds,omitempty"`
}

const (
	historySeconds = 600
	historyPeriod  = time.Second
)

// WithHistory makes the executor remember its last 10 minutes, a point each second, so that whoever comes after a stall or a
// panic sees what was before it: History returns it, and the live page and its JSON begin with it. It takes 44 KB and a timer
// that fires once a second, which takes a few microseconds. In a testing/synctest bubble nothing is remembered. Default: off.
func WithHistory() Option {
	return option(func(c *config) { c.history = startHistory })
}

// History returns the last 10 minutes of an executor that was made WithHistory, oldest first, and nil of another. It
// works after the end too, and may be called at any time.
func (e *Executor) History() []HistoryPoint {
	if e.missing() != nil || e.history == nil {
		return nil
	}
	return e.history.points()
}

// pastSeconds is a ring of moments.
type pastSeconds struct {
	mu    sync.Mutex // a leaf
	ring  []moment
	count int // of moments so far
	was   Stats
	timer *time.Timer
}

// moment is a HistoryPoint in 72 bytes.
type moment struct {
	at, oldest                   time.Duration // since epoch, and an age
	task                         string
	submitted, ended, rejected   uint32
	queued, waiting              uint32
	slots, running, blocked, has int32
}

func startHistory(e *Executor) {
	if e.bubble != 0 {
		return // its time would go on for ever, and a deadlock would not be seen
	}
	h := &pastSeconds{ring: make([]moment, historySeconds), was: e.Stats()}
	e.history = h
	h.mu.Lock()
	defer h.mu.Unlock()
	h.timer = time.AfterFunc(historyPeriod, func() {
		over := e.Ended()
		h.add(e, time.Now())
		if !over {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.timer.Reset(historyPeriod)
		}
	})
}

// add remembers what happened since the last time.
func (h *pastSeconds) add(e *Executor, now time.Time) {
	s := e.Stats()
	m := moment{
		at: now.Sub(epoch), oldest: s.OldestAge, queued: uint32(s.Queued), waiting: uint32(s.Waiting),
		slots: int32(s.Slots), running: int32(s.Running), blocked: int32(s.Blocked),
	}
	m.task, m.has = e.mostSeen()
	h.mu.Lock()
	defer h.mu.Unlock()
	ended := func(s *Stats) uint64 { return s.Completed + s.Panicked + s.Canceled }
	m.submitted, m.ended, m.rejected = grown(s.Submitted, h.was.Submitted), grown(ended(&s), ended(&h.was)), grown(s.Rejected, h.was.Rejected)
	h.was = s
	h.ring[h.count%historySeconds] = m
	h.count++
}

func grown(now, before uint64) uint32 { return uint32(now - min(before, now)) }

// mostSeen returns the name of the tasks in most slots, and in how many.
func (e *Executor) mostSeen() (name string, most int32) {
	counts := make(map[string]int32)
	for s := range e.slots.Load().all() {
		r := s.owner()
		if r == nil {
			continue
		}
		if n := r.name.Load(); n != nil {
			counts[n.figures.name]++
			if counts[n.figures.name] > most {
				name, most = n.figures.name, counts[n.figures.name]
			}
		}
	}
	return name, most
}

func (h *pastSeconds) points() []HistoryPoint {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]HistoryPoint, 0, min(h.count, historySeconds))
	for i := max(0, h.count-historySeconds); i < h.count; i++ {
		m := &h.ring[i%historySeconds]
		all = append(all, HistoryPoint{
			Time: epoch.Add(m.at), Submitted: uint64(m.submitted), Completed: uint64(m.ended), Rejected: uint64(m.rejected),
			Slots: int(m.slots), Running: int(m.running), Blocked: int(m.blocked), Queued: int(m.queued), Waiting: int(m.waiting),
			Oldest: m.oldest, Task: m.task, Holds: int(m.has),
		})
	}
	return all
}

// TaskSpan is a task that was measured: from its submission to its end.
type TaskSpan struct {
	Task      string // its name
	Slot      int    // where it started, from 0; -1 if that slot has gone
	From      int    // the slot of the task that submitted it; -1: from outside, or that slot has gone
	Submitted time.Time
	Started   time.Time
	Ended     time.Time
	OK        bool // it returned, and no error
}

const maxTaskSpans = 512

// taskSpans are the last tasks that were measured while somebody watches.
type taskSpans struct {
	mu   sync.Mutex // a leaf
	last []taskSpan // oldest first
}

type taskSpan struct {
	task                      string
	at, from                  *slot
	submitted, started, ended time.Duration // since epoch
	ok                        bool
}

// spanNoter notes a measured task that has ended, for whoever watches.
type spanNoter func(p *probe, ctx context.Context, ok bool)

func noteSpan(p *probe, ctx context.Context, ok bool) {
	e := p.e
	if e.viewers.Load() == 0 {
		return
	}
	s := taskSpan{at: p.at, from: p.home, submitted: p.submitted, started: p.started, ended: time.Since(epoch), ok: ok}
	if n := taskOf(ctx).name; n != nil {
		s.task = cutOff(n.name, maxNameShown)
	}
	e.spans.mu.Lock()
	defer e.spans.mu.Unlock()
	if len(e.spans.last) == maxTaskSpans {
		e.spans.last = append(e.spans.last[:0], e.spans.last[maxTaskSpans/2:]...)
	}
	e.spans.last = append(e.spans.last, s)
}

// forget lets go of them.
func (t *taskSpans) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = nil
}

// Measured returns the tasks that were measured and ended after a time, of the last 512, in the order in which they ended.
// Tasks are measured, one in 64 unless WithHistogramSampling says otherwise, and kept, while somebody watches: see Watch.
func (e *Executor) Measured(after time.Time) []TaskSpan {
	if e.missing() != nil {
		return nil
	}
	since := after.Sub(epoch)
	e.spans.mu.Lock()
	var last []taskSpan
	for _, s := range e.spans.last {
		if s.ended > since {
			last = append(last, s)
		}
	}
	e.spans.mu.Unlock()
	if len(last) == 0 {
		return nil
	}
	slots := e.slots.Load()
	index := make(map[*slot]int, len(*slots))
	for s := range slots.all() {
		index[s] = len(index)
	}
	where := func(s *slot) int {
		if i, ok := index[s]; ok {
			return i
		}
		return -1
	}
	all := make([]TaskSpan, len(last))
	for i, s := range last {
		all[i] = TaskSpan{Task: s.task, Slot: where(s.at), From: where(s.from), Submitted: epoch.Add(s.submitted), Started: epoch.Add(s.started), Ended: epoch.Add(s.ended), OK: s.ok}
	}
	return all
}
