package executor

import (
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
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

// instruments are those of one provider. All its executors share them.
type instruments struct {
	meter  metric.Meter
	list   []metric.Observable
	series []series
	errs   []error

	waits, runs metric.Float64Histogram // see sample.go

	forgotten      metric.Int64Observable // names, see ledger.go
	bulkheadLimit  metric.Int64Observable
	bulkheadCalls  metric.Int64Observable
	bulkheadOldest metric.Float64Observable
}

// series is one value of an instrument, told apart from others by an attribute if key is not empty.
type series struct {
	key, is string
	counter bool // it goes on after the end of an executor
	observe func(metric.Observer, *view, metric.ObserveOption)
}

func newInstruments(meter metric.Meter) *instruments {
	b := &instruments{meter: meter}
	b.slots()
	b.tasks()
	b.scheduling()
	b.cpu()
	b.others()
	b.waits = durations(meter, "executor.queue.wait.duration", "How long tasks waited to be started, of a sample.")
	b.runs = durations(meter, "executor.task.duration", "How long tasks ran, of a sample.")
	return b
}

// attributes returns those of each series, for an executor's name.
func (b *instruments) attributes(name string) []metric.ObserveOption {
	of := make([]metric.ObserveOption, len(b.series))
	for i, s := range b.series {
		attrs := []attribute.KeyValue{executorName(name)}
		if s.key != "" {
			attrs = append(attrs, attribute.String(s.key, s.is))
		}
		of[i] = metric.WithAttributeSet(attribute.NewSet(attrs...))
	}
	return of
}

func executorName(name string) attribute.KeyValue { return attribute.String("executor.name", name) }

func (b *instruments) slots() {
	b.gauge("executor.slot.limit", "{slot}", "Tasks that may run at once.",
		reading{of: func(v *view) int { return v.Slots }})
	lent := func(v *view) int { return min(v.Lendable, v.Slots-v.Idle) }
	b.gauge("executor.slot.count", "{slot}", "Slots by state; together they are the limit.",
		reading{"executor.slot.state", "running", func(v *view) int { return v.Slots - v.Idle - lent(v) }},
		reading{"executor.slot.state", "blocking", lent},
		reading{"executor.slot.state", "idle", func(v *view) int { return v.Idle }})
	blocked := func(v *view) int { return min(v.Blocked, v.Workers-v.Parked) }
	b.gauge("executor.worker.count", "{worker}", "Runners, the goroutines that execute tasks, by state.",
		reading{"executor.worker.state", "active", func(v *view) int { return v.Workers - v.Parked - blocked(v) }},
		reading{"executor.worker.state", "blocked", blocked},
		reading{"executor.worker.state", "idle", func(v *view) int { return v.Parked }})
	b.gauge("executor.worker.limit", "{worker}", "Runners that there may be, spares included.",
		reading{of: func(v *view) int { return v.Slots + v.spares }})
}

func (b *instruments) tasks() {
	b.gauge("executor.queue.size", "{task}", "Tasks accepted and not started.",
		reading{"executor.queue.kind", "shared", func(v *view) int { return v.Queued - v.QueuedLocal }},
		reading{"executor.queue.kind", "local", func(v *view) int { return v.QueuedLocal }})
	b.gauge("executor.queue.capacity", "{task}", "Bound of the shared queue.",
		reading{of: func(v *view) int { return v.QueueLimit }})
	b.seconds("executor.queue.age", "Age of the oldest task in the shared queue.", false,
		func(v *view) (float64, bool) { return v.OldestAge.Seconds(), true })
	b.gauge("executor.submitter.waiting", "{goroutine}", "Callers that wait for room.",
		reading{of: func(v *view) int { return v.Waiting }})
	b.counter("executor.task.submitted", "{task}", "Tasks accepted.",
		count{of: func(v *view) uint64 { return v.Submitted }})
	b.counter("executor.task.completed", "{task}", "Tasks ended.",
		count{of: func(v *view) uint64 { return v.Completed - min(v.Failed, v.Completed) }},
		count{"error.type", "error", func(v *view) uint64 { return v.Failed }},
		count{"error.type", "panic", func(v *view) uint64 { return v.Panicked }},
		count{"error.type", "canceled", func(v *view) uint64 { return v.Canceled - min(v.Expired, v.Canceled) }},
		count{"error.type", "deadline_exceeded", func(v *view) uint64 { return v.Expired }})
	const reason = "executor.rejection.reason"
	b.counter("executor.task.rejected", "{task}", "Submissions refused.",
		count{reason, "full", func(v *view) uint64 { return v.RejectedFull }},
		count{reason, "overloaded", func(v *view) uint64 { return v.RejectedOverloaded }},
		count{reason, "closed", func(v *view) uint64 { return v.RejectedClosed }},
		count{reason, "canceled", func(v *view) uint64 { return v.RejectedCanceled }},
		count{reason, "deadline", func(v *view) uint64 { return v.RejectedExpired }})
}

func (b *instruments) scheduling() {
	b.counter("executor.task.stolen", "{task}", "Tasks taken from another slot's queue.",
		count{of: func(v *view) uint64 { return v.Stolen }})
	b.counter("executor.steal.attempts", "{attempt}", "Looks into another slot's queue.",
		count{of: func(v *view) uint64 { return v.StealAttempts }})
	b.counter("executor.task.yields", "{yield}", "Times a task let others go first.",
		count{"executor.yield.reason", "budget", func(v *view) uint64 { return v.YieldsBudget }},
		count{"executor.yield.reason", "explicit", func(v *view) uint64 { return v.Yields - min(v.YieldsBudget, v.Yields) }})
	b.gauge("executor.blocking.count", "{task}", "Tasks inside Blocking.",
		reading{of: func(v *view) int { return v.Blocked }})
	b.seconds("executor.blocking.time", "Time spent inside Blocking.", true,
		func(v *view) (float64, bool) { return v.BlockedTime.Seconds(), true })
	const reason = "executor.compensation.reason"
	b.counter("executor.blocking.compensations", "{worker}", "Slots that others got because of a blocked task.",
		count{reason, "blocking", func(v *view) uint64 { return v.Handoffs - min(v.HandoffsWait, v.Handoffs) }},
		count{reason, "wait", func(v *view) uint64 { return v.HandoffsWait }},
		count{reason, "stall", func(v *view) uint64 { return v.Compensated - min(v.LentLiveness, v.Compensated) }},
		count{reason, "liveness", func(v *view) uint64 { return v.LentLiveness }})
	b.counter("executor.slot.parks", "{park}", "Times a runner went to sleep for want of work.",
		count{of: func(v *view) uint64 { return v.Parks }})
	b.counter("executor.slot.wakeups", "{wakeup}", "Times a runner was woken or started for work.",
		count{of: func(v *view) uint64 { return v.Wakeups }})
}

func (b *instruments) cpu() {
	b.quota("executor.cpu.quota", "{cpu}", "CPU quota that the slots follow.",
		func(v *view) (float64, bool) { return v.Quota, v.Quota > 0 })
	ok := func(v *view) bool { return v.hasThrottled }
	b.counterIf(ok, "executor.cpu.throttled.periods", "{period}", "Periods in which the kernel stopped the cgroup because its quota was spent.",
		count{of: func(v *view) uint64 { return v.throttled.Throttled }})
	b.seconds("executor.cpu.throttled.time", "How long the kernel stopped the cgroup, added up over its CPUs.", true,
		func(v *view) (float64, bool) { return v.throttled.Time.Seconds(), v.hasThrottled })
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

// reading is one value of an instrument that goes up and down, and count one of a counter. Where key is not
// empty, it is one of several, told apart by that attribute.
type reading struct {
	key, is string
	of      func(*view) int
}

type count struct {
	key, is string
	of      func(*view) uint64
}

func (b *instruments) add(instrument metric.Observable, err error) {
	if err != nil {
		b.errs = append(b.errs, err)
	}
	b.list = append(b.list, instrument)
}

func (b *instruments) gauge(name, unit, description string, readings ...reading) {
	i, err := b.meter.Int64ObservableUpDownCounter(name, metric.WithUnit(unit), metric.WithDescription(description))
	b.add(i, err)
	for _, r := range readings {
		b.series = append(b.series, series{r.key, r.is, false, func(o metric.Observer, v *view, attrs metric.ObserveOption) {
			o.ObserveInt64(i, int64(r.of(v)), attrs)
		}})
	}
}

func (b *instruments) counter(name, unit, description string, counts ...count) {
	b.counterIf(func(*view) bool { return true }, name, unit, description, counts...)
}

// counterIf is a counter that has no value unless ok says so.
func (b *instruments) counterIf(ok func(*view) bool, name, unit, description string, counts ...count) {
	i, err := b.meter.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(description))
	b.add(i, err)
	for _, c := range counts {
		b.series = append(b.series, series{c.key, c.is, true, func(o metric.Observer, v *view, attrs metric.ObserveOption) {
			if ok(v) {
				o.ObserveInt64(i, int64(c.of(v)), attrs)
			}
		}})
	}
}

// seconds adds a duration: one that only grows, or one that goes up and down.
func (b *instruments) seconds(name, description string, grows bool, of func(*view) (float64, bool)) {
	if !grows {
		b.quota(name, "s", description, of)
		return
	}
	i, err := b.meter.Float64ObservableCounter(name, metric.WithUnit("s"), metric.WithDescription(description))
	b.add(i, err)
	b.float(i, true, of)
}

// quota adds a number that is not a sum.
func (b *instruments) quota(name, unit, description string, of func(*view) (float64, bool)) {
	i, err := b.meter.Float64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(description))
	b.add(i, err)
	b.float(i, false, of)
}

func (b *instruments) float(i metric.Float64Observable, counter bool, of func(*view) (float64, bool)) {
	b.series = append(b.series, series{"", "", counter, func(o metric.Observer, v *view, attrs metric.ObserveOption) {
		if value, ok := of(v); ok {
			o.ObserveFloat64(i, value, attrs)
		}
	}})
}

// others adds what does not belong to one executor.
func (b *instruments) others() {
	names, err := b.meter.Int64ObservableCounter("executor.names.forgotten", metric.WithUnit("{name}"),
		metric.WithDescription("Names of executors whose counts were added to those of the name "+forgottenName+"."))
	b.add(names, err)
	limit, err := b.meter.Int64ObservableUpDownCounter("executor.bulkhead.limit", metric.WithUnit("{call}"),
		metric.WithDescription("Calls that a bulkhead lets in at once."))
	b.add(limit, err)
	calls, err := b.meter.Int64ObservableUpDownCounter("executor.bulkhead.count", metric.WithUnit("{call}"),
		metric.WithDescription("Calls inside a bulkhead, and waiting for it."))
	b.add(calls, err)
	oldest, err := b.meter.Float64ObservableGauge("executor.bulkhead.wait.longest", metric.WithUnit("s"),
		metric.WithDescription("How long the call has waited that waits longest."))
	b.add(oldest, err)
	b.forgotten, b.bulkheadLimit, b.bulkheadCalls, b.bulkheadOldest = names, limit, calls, oldest
}

func errorType(v string) attribute.KeyValue { return attribute.String("error.type", v) }
