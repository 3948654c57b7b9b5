package executor

import (
	"math"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
)

// ScopeName is the instrumentation scope of the executor's metrics and spans.
const ScopeName = "github.com/seed-97bda89a/executor"

// Version is the version of this package, as reported with its metrics and spans.
const Version = "0.1.0"

// view is what one collection sees of an executor.
type view struct {
	Stats
	spares       int
	throttled    Throttling
	hasThrottled bool
}

// metricKind is what a metric's instrument is.
type metricKind int

const (
	upDown  metricKind = iota // a number that goes up and down
	counter                   // one that only grows, and goes on after the end of an executor
	growing                   // seconds that only grow, likewise
	seconds                   // seconds that go up and down
	number                    // neither: no sum
)

// catalog has the metrics, but for the histograms, which are in sample.go. They are a table, and their values a list
// beside it, so that they do not take a function each: every program that imports this package contains them.
var catalog = [...]struct {
	kind                    metricKind
	name, unit, description string
	key                     string // the attribute that tells the values of one metric apart; "" if there is one
	are                     string // its values
}{
	{upDown, "executor.slot.limit", "{slot}", "Tasks that may run at once.", "", ""},
	{upDown, "executor.slot.count", "{slot}", "Slots by state; together they are the limit.", "executor.slot.state", "running blocking idle"},
	{upDown, "executor.worker.count", "{worker}", "Runners, the goroutines that execute tasks, by state.", "executor.worker.state", "active blocked idle"},
	{upDown, "executor.worker.limit", "{worker}", "Runners that there may be, spares included.", "", ""},

	{upDown, "executor.queue.size", "{task}", "Tasks accepted and not started.", "executor.queue.kind", "shared local"},
	{upDown, "executor.queue.capacity", "{task}", "Bound of the shared queue.", "", ""},
	{seconds, "executor.queue.age", "s", "Age of the oldest task in the shared queue.", "", ""},
	{upDown, "executor.submitter.waiting", "{goroutine}", "Callers that wait for room.", "", ""},
	{counter, "executor.task.submitted", "{task}", "Tasks accepted.", "", ""},
	{counter, "executor.task.completed", "{task}", "Tasks ended.", "error.type", " error panic canceled deadline_exceeded"},
	{counter, "executor.task.rejected", "{task}", "Submissions refused.", "executor.rejection.reason", "full overloaded closed canceled deadline"},

	{counter, "executor.task.stolen", "{task}", "Tasks taken from another slot's queue.", "", ""},
	{counter, "executor.steal.attempts", "{attempt}", "Looks into another slot's queue.", "", ""},
	{counter, "executor.task.yields", "{yield}", "Times a task let others go first.", "executor.yield.reason", "budget explicit"},
	{upDown, "executor.blocking.count", "{task}", "Tasks inside Blocking.", "", ""},
	{growing, "executor.blocking.time", "s", "Time spent inside Blocking.", "", ""},
	{counter, "executor.blocking.compensations", "{worker}", "Slots that others got because of a blocked task.", "executor.compensation.reason", "blocking wait stall liveness"},
	{counter, "executor.slot.parks", "{park}", "Times a runner went to sleep for want of work.", "", ""},
	{counter, "executor.slot.wakeups", "{wakeup}", "Times a runner was woken or started for work.", "", ""},

	{number, "executor.cpu.quota", "{cpu}", "CPU quota that the slots follow.", "", ""},
	{counter, "executor.cpu.throttled.periods", "{period}", "Periods in which the kernel stopped the cgroup because its quota was spent.", "", ""},
	{growing, "executor.cpu.throttled.time", "s", "How long the kernel stopped the cgroup, added up over its CPUs.", "", ""},

	forgottenNames: {counter, "executor.names.forgotten", "{name}", "Names of executors whose counts were added to those of the name " + forgottenName + ".", "", ""},
	bulkheadLimit:  {upDown, "executor.bulkhead.limit", "{call}", "Calls that a bulkhead lets in at once.", "", ""},
	bulkheadCalls:  {upDown, "executor.bulkhead.count", "{call}", "Calls inside a bulkhead, and waiting for it.", "", ""},
	bulkheadOldest: {number, "executor.bulkhead.wait.longest", "s", "How long the call has waited that waits longest.", "", ""},
}

// The metrics that do not belong to one executor. They come last.
const (
	forgottenNames = iota + 22
	bulkheadLimit
	bulkheadCalls
	bulkheadOldest
)

// noValue is the value of a series that has none.
const noValue = math.MinInt64

// values returns the value of each series of the metrics of an executor, in the order of the table. Durations are in
// nanoseconds; what is no whole number is in its bits.
func (v *view) values() []int64 {
	lent := min(v.Lendable, v.Slots-v.Idle)
	blocked := min(v.Blocked, v.Workers-v.Parked)
	quota, periods, throttled := int64(noValue), int64(noValue), int64(noValue)
	if v.Quota > 0 {
		quota = int64(math.Float64bits(v.Quota))
	}
	if v.hasThrottled {
		periods, throttled = int64(v.throttled.Throttled), int64(v.throttled.Time)
	}
	return []int64{
		int64(v.Slots),
		int64(v.Slots - v.Idle - lent), int64(lent), int64(v.Idle),
		int64(v.Workers - v.Parked - blocked), int64(blocked), int64(v.Parked),
		int64(v.Slots + v.spares),

		int64(v.Queued - v.QueuedLocal), int64(v.QueuedLocal),
		int64(v.QueueLimit),
		int64(v.OldestAge),
		int64(v.Waiting),
		int64(v.Submitted),
		int64(v.Completed - min(v.Failed, v.Completed)), int64(v.Failed), int64(v.Panicked), int64(v.Canceled - min(v.Expired, v.Canceled)), int64(v.Expired),
		int64(v.RejectedFull), int64(v.RejectedOverloaded), int64(v.RejectedClosed), int64(v.RejectedCanceled), int64(v.RejectedExpired),

		int64(v.Stolen),
		int64(v.StealAttempts),
		int64(v.YieldsBudget), int64(v.Yields - min(v.YieldsBudget, v.Yields)),
		int64(v.Blocked),
		int64(v.BlockedTime),
		int64(v.Handoffs - min(v.HandoffsWait, v.Handoffs)), int64(v.HandoffsWait), int64(v.Compensated - min(v.LentLiveness, v.Compensated)), int64(v.LentLiveness),
		int64(v.Parks),
		int64(v.Wakeups),

		quota,
		periods,
		throttled,
	}
}

// instruments are those of one provider. All its executors share them.
type instruments struct {
	meter metric.Meter
	list  []metric.Observable // of catalog
	errs  []error

	waits, runs metric.Float64Histogram // see sample.go
}

func newInstruments(meter metric.Meter) *instruments {
	b := &instruments{meter: meter}
	for i := range catalog {
		m := &catalog[i]
		in, err := newInstrument(meter, m.kind, m.name, m.unit, m.description)
		if err != nil {
			b.errs = append(b.errs, err)
		}
		b.list = append(b.list, in)
	}
	b.waits = durations(meter, "executor.queue.wait.duration", "How long tasks waited to be started, of a sample.")
	b.runs = durations(meter, "executor.task.duration", "How long tasks ran, of a sample.")
	return b
}

func newInstrument(meter metric.Meter, kind metricKind, name, unit, description string) (metric.Observable, error) {
	in, is := metric.WithUnit(unit), metric.WithDescription(description)
	switch kind {
	case upDown:
		return meter.Int64ObservableUpDownCounter(name, in, is)
	case counter:
		return meter.Int64ObservableCounter(name, in, is)
	case growing:
		return meter.Float64ObservableCounter(name, in, is)
	default:
		return meter.Float64ObservableGauge(name, in, is)
	}
}

// series calls f for each series of the metrics of an executor, with what tells it apart from others of its metric.
func series(f func(n, at int, is string)) {
	n := 0
	for at := range catalog[:forgottenNames] {
		for is := range strings.SplitSeq(catalog[at].are, " ") {
			f(n, at, is)
			n++
		}
	}
}

// attributesOf returns those of each series, for an executor's name.
//
//go:noinline
func attributesOf(name string) (of []metric.ObserveOption) {
	series(func(_, at int, is string) {
		attrs := []attribute.KeyValue{executorName(name)}
		if is != "" {
			attrs = append(attrs, text(attribute.Key(catalog[at].key), is))
		}
		of = append(of, metric.WithAttributeSet(attribute.NewSet(attrs...)))
	})
	return of
}

func executorName(name string) attribute.KeyValue { return text("executor.name", name) }

// text is attribute.String, not inlined: that is for small programs.
//
//go:noinline
func text(key attribute.Key, value string) attribute.KeyValue { return key.String(value) }

// observe tells the values of an executor, or what one has left.
func (b *instruments) observe(o metric.Observer, v *view, attrs []metric.ObserveOption, live bool) {
	values := v.values()
	series(func(n, at int, _ string) {
		kind, value := catalog[at].kind, values[n]
		switch {
		case value == noValue || !live && kind != counter && kind != growing:
		case kind == upDown || kind == counter:
			b.int(o, at, value, attrs[n])
		case kind == number:
			b.float(o, at, math.Float64frombits(uint64(value)), attrs[n])
		default:
			b.float(o, at, time.Duration(value).Seconds(), attrs[n])
		}
	})
}

func (b *instruments) int(o metric.Observer, at int, value int64, attrs metric.ObserveOption) {
	if in, ok := b.list[at].(metric.Int64Observable); ok {
		o.ObserveInt64(in, value, attrs)
	}
}

func (b *instruments) float(o metric.Observer, at int, value float64, attrs metric.ObserveOption) {
	if in, ok := b.list[at].(metric.Float64Observable); ok {
		o.ObserveFloat64(in, value, attrs)
	}
}

// throttleCount adds up what the kernel counts. Its numbers start over when another group sets the quota;
// a counter must not go down.
type throttleCount struct {
	mu         sync.Mutex
	last, sum  Throttling
	everything bool // something was read
}

func (c *throttleCount) add(now Throttling, ok bool) (Throttling, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !ok {
		return c.sum, c.everything
	}
	if now.Throttled < c.last.Throttled || now.Time < c.last.Time {
		c.last = Throttling{}
	}
	c.sum.Throttled += now.Throttled - c.last.Throttled
	c.sum.Time += now.Time - c.last.Time
	c.last, c.everything = now, true
	return c.sum, true
}

func errorType(v string) attribute.KeyValue { return text("error.type", v) }

func (b *instruments) observeBulkheads(o metric.Observer) {
	byName := make(map[string]BulkheadStats)
	for _, s := range Bulkheads() {
		sum := byName[s.Name]
		byName[s.Name] = BulkheadStats{s.Name, sum.Limit + s.Limit, sum.Inside + s.Inside, sum.Waiting + s.Waiting, max(sum.LongestWait, s.LongestWait)}
	}
	for _, s := range byName {
		name := attribute.String("executor.bulkhead.name", s.Name)
		state := func(is string) metric.ObserveOption {
			return metric.WithAttributes(name, attribute.String("executor.bulkhead.state", is))
		}
		b.int(o, bulkheadLimit, int64(s.Limit), metric.WithAttributes(name))
		b.int(o, bulkheadCalls, int64(s.Inside), state("inside"))
		b.int(o, bulkheadCalls, int64(s.Waiting), state("waiting"))
		b.float(o, bulkheadOldest, s.LongestWait.Seconds(), metric.WithAttributes(name))
	}
}

// bounds of the buckets in seconds: those of the SDK are made for milliseconds.
var bounds = []float64{10e-6, 50e-6, 100e-6, 500e-6, 1e-3, 5e-3, 10e-3, 50e-3, 0.1, 0.5, 1, 5, 10}

func durations(meter metric.Meter, name, description string) metric.Float64Histogram {
	h, err := meter.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(description),
		metric.WithExplicitBucketBoundaries(bounds...))
	if err != nil {
		otel.Handle(err)
	}
	if h == nil {
		return noop.Float64Histogram{}
	}
	return h
}
