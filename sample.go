package executor

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// How long tasks wait and run. Reading the clock costs more than queueing a task, so only one task in 64
// is measured. Its function is wrapped when it is submitted, and the wrapping remembers when that was: a
// queue entry stays two words, and no other task pays more than a counter.

const (
	// defaultSampling is one task in how many is measured.
	defaultSampling = 64

	// samplingGap is the least time between two measurements, unless WithHistogramSampling is given. Three
	// clock readings, two allocations and two records of an SDK take 0.3 to 0.6 µs: one task in 64 would pay
	// that too often if tasks do nothing at all.
	samplingGap = 20 * time.Microsecond
)

// sampler has the OpenTelemetry histograms of one executor.
type sampler struct {
	waits, runs metric.Float64Histogram
	last        atomic.Int64 // when a task from outside was last measured, since epoch
	owed        atomic.Int64 // turns of tasks that did not start
	tracing     atomic.Int64 // tasks of the execution tracer that have not ended
	recordedAs
	byLane map[string]*recordedAs // of tasks from outside, where there are lanes
}

// recordedAs are the attributes of measurements, made once: of a task that ended well, with an error, by a panic.
type recordedAs struct{ ok, bad, ill []metric.RecordOption }

func recordAs(attrs ...attribute.KeyValue) recordedAs {
	with := func(more ...attribute.KeyValue) []metric.RecordOption {
		return []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(append(more, attrs...)...))}
	}
	return recordedAs{with(), with(errorType("error")), with(errorType("panic"))}
}

// WithHistogramSampling sets which share of the tasks is measured: one in n has its waiting time and its
// run time recorded in the histograms executor.queue.wait.duration and executor.task.duration. 1 measures
// every task, 0 none. Nothing is measured while nobody has use for it: no SDK takes the histograms, and
// nobody looks at the debug page. A measured task costs about 0.5 µs and two small allocations. Default: one in
// 64, but from each runner, and from outside, at most one in 20 µs.
func WithHistogramSampling(n int) Option {
	return option(func(c *config) {
		if n < 0 {
			c.problem("WithHistogramSampling(%d): must be at least 0", n)
		}
		c.sampling, c.paced = uint64(max(0, n)), false
	})
}

func (s *sampler) register(in *instruments, name attribute.KeyValue) {
	s.waits, s.runs = in.waits, in.runs
	s.recordedAs = recordAs(name)
}

// recorded returns how the task of a probe is recorded. A child is in no lane.
func (p *probe) recorded(ctx context.Context) *recordedAs {
	s := &p.e.sampler
	if s.byLane == nil || p.home != nil {
		return &s.recordedAs
	}
	if as := s.byLane[laneOf(ctx, p.e)]; as != nil {
		return as
	}
	return &s.recordedAs
}

// measuring reports whether anybody has use for measurements. An SDK may come and go, so this is asked
// every time; it takes a few nanoseconds.
func (e *Executor) measuring(ctx context.Context) bool {
	s := &e.sampler
	return e.viewers.Load() > 0 || e.figures.wanted.Load() || s.waits.Enabled(ctx) || s.runs.Enabled(ctx)
}

// waited and ran record a measurement.
func (p *probe) waited(ctx context.Context, d time.Duration) {
	e := p.e
	e.waits.Record(d)
	if n := taskOf(ctx).name; n != nil {
		n.figures.waits.Record(d)
	}
	if s := &e.sampler; s.waits.Enabled(ctx) {
		s.waits.Record(ctx, d.Seconds(), p.recorded(ctx).ok...)
	}
}

func (p *probe) ran(ctx context.Context, d time.Duration, returned bool, err error) {
	e := p.e
	e.runs.Record(d)
	if n := taskOf(ctx).name; n != nil {
		n.figures.runs.Record(d)
	}
	s := &e.sampler
	if !s.runs.Enabled(ctx) {
		return
	}
	as := p.recorded(ctx)
	how := as.ok
	switch {
	case !returned:
		how = as.ill
	case err != nil:
		how = as.bad
	}
	s.runs.Record(ctx, d.Seconds(), how...)
}

// inTime reports whether it is time for another measurement, of tasks submitted by r or, if r is nil, from
// outside. Only tasks shorter than a microsecond are so many that it is not.
func (e *Executor) inTime(r *runner) bool {
	if !e.cfg.paced {
		return true
	}
	last := e.lastSample(r)
	now := int64(time.Since(epoch))
	if then := last.Load(); then != 0 && now-then < int64(samplingGap) {
		return false
	}
	last.Store(now)
	return true
}

// lastSample is where it says when a task submitted by r, or from outside, was last measured.
func (e *Executor) lastSample(r *runner) *atomic.Int64 {
	if r != nil {
		return &r.samples.last
	}
	return &e.sampler.last
}

// sampleDue reports whether the task that r submits, or somebody outside, is one to measure, and takes the turn. A turn
// that is owed follows it.
func (e *Executor) sampleDue(r *runner) bool {
	if r != nil {
		return r.sampleDue()
	}
	q := &e.inject
	if !q.due.Load() || q.sampling != 1 && !q.due.Swap(false) {
		return false
	}
	if q.sampling != 1 && e.sampler.pay() {
		q.due.Store(true)
	}
	return true
}

// sampleDue counts a task that a task submits and reports whether it is one to measure.
func (r *runner) sampleDue() bool {
	if r.samples.until--; r.samples.until != 0 {
		return false
	}
	r.samples.until = r.e.cfg.sampling
	if r.e.sampler.pay() {
		r.samples.until = 1
	}
	return true
}

// pay takes a turn that is owed, if there is one.
func (s *sampler) pay() bool {
	n := s.owed.Load()
	return n > 0 && s.owed.CompareAndSwap(n, n-1)
}

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
