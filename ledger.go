package executor

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
	"unsafe"
	"weak"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// ledger keeps the counts of a provider's executors, by name: those of the live one, and what the ended ones of the same
// name have left. So the provider reads final counts for as long as it lives, and no counter ever falls:
//
//	M1 What an executor counted is in every collection of its provider after it, as part of its name's series; or, if
//	   its name was forgotten, of the series of forgottenName.
//	M2 Nothing but the provider keeps a ledger that has no live executor, and a ledger keeps maxEndedNames names at most.
//
// One callback reads all of it, and stays: ending an executor calls nothing of the provider.
type ledger struct {
	provider metric.MeterProvider
	once     sync.Once
	tasks    sync.Once // for WithTaskMetrics
	lanes    sync.Once // for WithLanes
	in       *instruments

	mu        sync.Mutex
	accounts  map[string]*account // by the executors' names
	ends      uint64              // how many there were
	forgotten Stats
	names     int64 // forgotten ones

	forgottenTasks namedCounts // by name of the task
	forgottenLanes laneCounts  // by name of the lane
}

// account is what is known of one name.
type account struct {
	name      string
	live      *Executor
	attrs     []metric.ObserveOption // while there is a live one, from the first collection on: they are large
	past      Stats                  // the counts of those that have ended
	throttled throttleCount
	endedAt   uint64 // which end it was

	named  namedCounts     // by name of the task, of ended executors; nil without WithTaskMetrics
	ending func(*Executor) // adds those of the live one; likewise
	lanes  laneCounts      // by name of the lane, of ended executors; nil without WithLanes
}

const (
	// maxEndedNames is how many names of ended executors a provider remembers, at some 500 bytes each. When there are
	// more, the counts of the one that ended first are added to those of forgottenName.
	maxEndedNames = 256

	forgottenName = "(forgotten)"
)

// ledgers are those that there are. Only their providers, and live executors, keep them (M2).
var ledgers struct {
	mu  sync.Mutex
	all []weak.Pointer[ledger]
}

// ledgerOf returns the ledger of a provider. Two that give the same meter are one: such are the global provider before
// and after SetMeterProvider.
func ledgerOf(provider metric.MeterProvider) *ledger {
	meter := meterOf(provider)
	for {
		all := liveLedgers()
		for _, l := range all {
			if sameProvider(l.provider, provider) || sameWords(meterOf(l.provider), meter) {
				return l.ready()
			}
		}
		if l := addLedger(provider, len(all)); l != nil {
			return l.ready()
		}
	}
}

func liveLedgers() (all []*ledger) {
	ledgers.mu.Lock()
	defer ledgers.mu.Unlock()
	ledgers.all = slices.DeleteFunc(ledgers.all, func(w weak.Pointer[ledger]) bool {
		l := w.Value()
		if l != nil {
			all = append(all, l)
		}
		return l == nil
	})
	return all
}

// addLedger makes a ledger, unless there are more than known by now.
func addLedger(provider metric.MeterProvider, known int) *ledger {
	ledgers.mu.Lock()
	defer ledgers.mu.Unlock()
	if len(ledgers.all) > known {
		return nil
	}
	l := &ledger{provider: provider, accounts: make(map[string]*account)}
	ledgers.all = append(ledgers.all, weak.Make(l))
	return l
}

// ready registers the ledger with its provider, which keeps it from then on.
func (l *ledger) ready() *ledger {
	l.once.Do(func() {
		l.in = newInstruments(meterOf(l.provider))
		if _, err := l.in.meter.RegisterCallback(l.observe, l.in.list...); err != nil {
			l.in.errs = append(l.in.errs, err)
		}
		for _, err := range l.in.errs {
			otel.Handle(err) // as instrumentation is asked to: metrics are not worth failing for
		}
	})
	return l
}

func meterOf(provider metric.MeterProvider) metric.Meter {
	return provider.Meter(ScopeName, metric.WithInstrumentationVersion(Version))
}

func sameProvider(a, b metric.MeterProvider) bool {
	if sameWords(a, b) {
		return true
	}
	defer func() { _ = recover() }() // it can not be compared
	return a == b
}

// sameWords reports whether two interface values of the same kind are the same, word for word.
func sameWords[T any](a, b T) bool {
	return *(*[2]uintptr)(unsafe.Pointer(&a)) == *(*[2]uintptr)(unsafe.Pointer(&b))
}

// open makes e the live executor of its name.
func (l *ledger) open(e *Executor) *account {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.accounts[e.name]
	if a == nil {
		a = &account{name: e.name}
		l.accounts[e.name] = a
	}
	a.live = e
	return a
}

// close takes over the counts of e, which has ended (M1).
func (l *ledger) close(e *Executor) {
	final := e.Stats()
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.accounts[e.name]
	a.past.addCounts(&final)
	a.lanes.add(final.Lanes)
	if a.ending != nil {
		a.ending(e)
	}
	a.live, a.attrs, a.ending = nil, nil, nil
	l.ends++
	a.endedAt = l.ends
	var oldest *account
	ended := 0
	for _, a := range l.accounts {
		if a.live != nil {
			continue
		}
		ended++
		if oldest == nil || a.endedAt < oldest.endedAt {
			oldest = a
		}
	}
	if ended > maxEndedNames {
		l.forgotten.addCounts(&oldest.past)
		l.names++
		if oldest.named != nil {
			if l.forgottenTasks == nil {
				l.forgottenTasks = make(namedCounts)
			}
			l.forgottenTasks.addAll(oldest.named)
		}
		if oldest.lanes != nil {
			if l.forgottenLanes == nil {
				l.forgottenLanes = make(laneCounts)
			}
			l.forgottenLanes.addAll(oldest.lanes)
		}
		delete(l.accounts, oldest.name)
	}
}

// observe is called at each collection, for each reader. No lock is held while it calls others.
func (l *ledger) observe(_ context.Context, o metric.Observer) error {
	l.mu.Lock()
	type seen struct {
		*account
		live  *Executor
		attrs []metric.ObserveOption
		past  Stats
	}
	all := make([]seen, 0, len(l.accounts))
	for _, a := range l.accounts {
		all = append(all, seen{a, a.live, a.attrs, a.past})
	}
	forgotten, names := l.forgotten, l.names
	l.mu.Unlock()

	for i := range all {
		s := &all[i]
		v := view{Stats: s.past}
		if s.live != nil {
			v.Stats, v.spares = s.live.Stats(), s.live.cfg.maxSpares
			v.Stats.addCounts(&s.past)
			v.throttled, v.hasThrottled = s.throttled.add(s.live.Throttling())
		} else {
			v.throttled, v.hasThrottled = s.throttled.add(Throttling{}, false)
		}
		if s.attrs == nil {
			s.attrs = attributesOf(s.name)
			l.keep(s.account, s.live, s.attrs)
		}
		l.in.observe(o, &v, s.attrs, s.live != nil)
	}
	if names > 0 {
		l.in.observe(o, &view{Stats: forgotten}, attributesOf(forgottenName), false)
	}
	l.in.int(o, forgottenNames, names, metric.WithAttributes(executorName(forgottenName)))
	if observe := bulkheads.Load(); observe != nil {
		(*observe)(l.in, o)
	}
	return nil
}

// keep keeps the attributes of a live executor for the next collection.
func (l *ledger) keep(a *account, live *Executor, attrs []metric.ObserveOption) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if live != nil && a.live == live {
		a.attrs = attrs
	}
}

// laneCounts are the counts of lanes of ended executors. Beyond maxLaneNames lanes are counted as one, named forgottenName (M2).
type laneCounts map[string]laneCount

const maxLaneNames = 64

type laneCount struct{ submitted, full, overloaded uint64 }

func (c laneCounts) addOne(name string, n laneCount) {
	was, known := c[name]
	if !known && len(c) >= maxLaneNames {
		name = forgottenName
		was = c[name]
	}
	c[name] = laneCount{was.submitted + n.submitted, was.full + n.full, was.overloaded + n.overloaded}
}

func (c laneCounts) add(all []LaneStats) {
	for _, s := range all {
		c.addOne(s.Name, laneCount{s.Submitted, s.Rejected, s.Shed})
	}
}

func (c laneCounts) addAll(others laneCounts) {
	for name, n := range others {
		c.addOne(name, n)
	}
}

// laneMeters are the metrics of lanes: a number of a lane, or, with the name of an attribute for why, of rejections.
var laneMeters = []struct {
	kind                    metricKind
	name, unit, description string
	of                      func(s *LaneStats) int64
	reason                  string
}{
	{upDown, "executor.lane.queue.size", "{task}", "Tasks that wait in the lane.", func(s *LaneStats) int64 { return int64(s.Queued) }, ""},
	{upDown, "executor.lane.queue.capacity", "{task}", "Bound of the lane's queue.", func(s *LaneStats) int64 { return int64(s.QueueLimit) }, ""},
	{seconds, "executor.lane.queue.age", "s", "Age of the oldest task that waits in the lane.", func(s *LaneStats) int64 { return int64(s.OldestAge) }, ""},
	{upDown, "executor.lane.submitter.waiting", "{goroutine}", "Callers that wait for room in the lane.", func(s *LaneStats) int64 { return int64(s.Waiting) }, ""},
	{upDown, "executor.lane.running", "{task}", "Tasks of the lane that run, if it has Reserved, Max or Fair.", func(s *LaneStats) int64 { return int64(s.Running) }, ""},
	{counter, "executor.lane.task.submitted", "{task}", "Tasks that came to the lane.", func(s *LaneStats) int64 { return int64(s.Submitted) }, ""},
	{counter, "executor.lane.task.rejected", "{task}", "Submissions that the lane refused.", func(s *LaneStats) int64 { return int64(s.Rejected) }, "full"},
	{counter, "executor.lane.task.rejected", "{task}", "Submissions that the lane refused.", func(s *LaneStats) int64 { return int64(s.Shed) }, "overloaded"},
}

// inLane is the attribute for a lane. The one named "" has a name there: to many systems an empty value is as none.
func inLane(name string) attribute.KeyValue {
	if name == "" {
		name = "(default)"
	}
	return text("executor.lane", name)
}

// publish registers the metrics of lanes once for each provider, and has those of e, whose account is given, counted.
func (l *lanes) publish(a *account) {
	s, ledger := &l.e.sampler, l.e.ledger
	s.byLane = make(map[string]*recordedAs)
	for _, q := range l.all {
		as := recordAs(executorName(l.e.name), inLane(q.name))
		s.byLane[q.name] = &as
	}
	ledger.mu.Lock()
	if a.lanes == nil {
		a.lanes = make(laneCounts)
	}
	ledger.mu.Unlock()
	ledger.lanes.Do(func() {
		var list []metric.Observable
		for i := range laneMeters {
			m := &laneMeters[i]
			if m.reason == "overloaded" { // the one before
				list = append(list, list[i-1])
				continue
			}
			in, err := newInstrument(ledger.in.meter, m.kind, m.name, m.unit, m.description)
			if err != nil {
				otel.Handle(err)
			}
			list = append(list, in)
		}
		if _, err := ledger.in.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
			ledger.observeLanes(o, list)
			return nil
		}, list...); err != nil {
			otel.Handle(err)
		}
	})
}

// observeLanes is called at each collection. No lock is held while it calls others.
func (l *ledger) observeLanes(o metric.Observer, list []metric.Observable) {
	type seen struct {
		name string
		live *Executor
		past laneCounts
	}
	var all []seen
	l.mu.Lock()
	for name, a := range l.accounts {
		if a.lanes != nil {
			all = append(all, seen{name, a.live, maps.Clone(a.lanes)})
		}
	}
	if l.forgottenLanes != nil {
		all = append(all, seen{forgottenName, nil, maps.Clone(l.forgottenLanes)})
	}
	l.mu.Unlock()
	for _, x := range all {
		var live []LaneStats
		if x.live != nil {
			live = x.live.Stats().Lanes
		}
		for i := range live {
			past := x.past[live[i].Name]
			delete(x.past, live[i].Name)
			live[i].Submitted, live[i].Rejected, live[i].Shed = live[i].Submitted+past.submitted, live[i].Rejected+past.full, live[i].Shed+past.overloaded
			observeLane(o, list, x.name, &live[i], true)
		}
		for name, n := range x.past {
			observeLane(o, list, x.name, &LaneStats{Name: name, Submitted: n.submitted, Rejected: n.full, Shed: n.overloaded}, false)
		}
	}
}

func observeLane(o metric.Observer, list []metric.Observable, executor string, s *LaneStats, live bool) {
	for i := range laneMeters {
		m := &laneMeters[i]
		if !live && m.kind != counter {
			continue
		}
		attrs := []attribute.KeyValue{executorName(executor), inLane(s.Name)}
		if m.reason != "" {
			attrs = append(attrs, text("executor.rejection.reason", m.reason))
		}
		switch in := list[i].(type) {
		case metric.Int64Observable:
			o.ObserveInt64(in, m.of(s), metric.WithAttributes(attrs...))
		case metric.Float64Observable:
			o.ObserveFloat64(in, time.Duration(m.of(s)).Seconds(), metric.WithAttributes(attrs...))
		}
	}
}
