package executor

import (
	"context"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// ScopeName is the instrumentation scope of the executor's metrics.
const ScopeName = "github.com/seed-97bda89a/executor"

// Version is the version of this package, as reported with its metrics.
const Version = "0.1.0"

// observation is one value of an instrument: read from the snapshot, with its attributes.
type observation struct {
	instrument metric.Int64Observable
	attributes metric.ObserveOption
	value      func(*Stats) int64
}

// registerMetrics creates the instruments and the callback that reads them from Stats. Nothing happens
// per task: all values are counted anyway, and are added up when somebody collects. It returns what
// unregisters the callback; a callback left behind would keep the executor alive, and a second one under
// the same name would be added to it.
func (e *Executor) registerMetrics() (unregister func() error) {
	meter := e.cfg.meters.Meter(ScopeName, metric.WithInstrumentationVersion(Version))
	b := &metricBuilder{meter: meter, name: attribute.String("executor.name", e.name)}
	e.sampler.register(meter, b.name)

	b.gauge("executor.slot.limit", "{slot}", "Tasks that may run at once.", func(s *Stats) int { return s.Slots })
	b.states("executor.slot.count", "{slot}", "Slots by state.", "executor.slot.state", map[string]func(*Stats) int{
		"running": func(s *Stats) int {
			return max(0, s.Slots-s.Idle-min(s.Blocked, s.Slots-s.Idle-min(s.Running, s.Slots-s.Idle)))
		},
		"idle":     func(s *Stats) int { return s.Idle },
		"blocking": func(s *Stats) int { return min(s.Blocked, s.Slots-s.Idle-min(s.Running, s.Slots-s.Idle)) },
	})
	b.gauge("executor.worker.count", "{worker}", "Runners: goroutines that execute tasks, parked ones included.",
		func(s *Stats) int { return s.Slots + s.Spares })
	b.gauge("executor.queue.size", "{task}", "Tasks accepted and not started.", func(s *Stats) int { return s.Queued })
	b.gauge("executor.queue.capacity", "{task}", "Bound of the queue.", func(s *Stats) int { return s.QueueLimit })
	b.gauge("executor.submitter.waiting", "{goroutine}", "Callers that wait for room.", func(s *Stats) int { return s.Waiting })
	b.gauge("executor.blocking.count", "{task}", "Tasks inside Blocking.", func(s *Stats) int { return s.Blocked })

	b.counter("executor.task.submitted", "{task}", "Tasks accepted.", func(s *Stats) uint64 { return s.Submitted })
	completed := b.observable("executor.task.completed", "{task}", "Tasks ended.")
	b.observe(completed, func(s *Stats) uint64 { return s.Completed - min(s.Failed, s.Completed) })
	b.observe(completed, func(s *Stats) uint64 { return s.Failed }, errorType("error"))
	b.observe(completed, func(s *Stats) uint64 { return s.Panicked }, errorType("panic"))
	b.observe(completed, func(s *Stats) uint64 { return s.Canceled }, errorType("canceled"))
	b.counter("executor.task.rejected", "{task}", "Submissions refused.", func(s *Stats) uint64 { return s.Rejected })
	b.counter("executor.task.stolen", "{task}", "Tasks taken from another slot's deque.", func(s *Stats) uint64 { return s.Stolen })
	b.counter("executor.task.yields", "{yield}", "Times a task let others go first.", func(s *Stats) uint64 { return s.Yields })
	b.counter("executor.blocking.compensations", "{worker}", "Slots that blocked tasks gave to others.",
		func(s *Stats) uint64 { return s.Handoffs + s.Compensated })
	b.counter("executor.slot.parks", "{park}", "Times a runner went to sleep for want of work.", func(s *Stats) uint64 { return s.Parks })

	registration, err := meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		s := e.Stats()
		for _, ob := range b.observations {
			o.ObserveInt64(ob.instrument, ob.value(&s), ob.attributes)
		}
		return nil
	}, b.instruments...)
	if err != nil {
		b.errs = append(b.errs, err)
	}
	for _, err := range b.errs {
		otel.Handle(err) // as instrumentation is asked to: metrics are not worth failing for
	}
	if registration == nil {
		return func() error { return nil }
	}
	return registration.Unregister
}

// metricBuilder collects the instruments of one executor.
type metricBuilder struct {
	meter        metric.Meter
	name         attribute.KeyValue
	instruments  []metric.Observable
	observations []observation
	errs         []error
}

func (b *metricBuilder) add(instrument metric.Int64Observable, err error) metric.Int64Observable {
	if err != nil {
		b.errs = append(b.errs, err)
	}
	b.instruments = append(b.instruments, instrument)
	return instrument
}

func (b *metricBuilder) set(instrument metric.Int64Observable, value func(*Stats) int64, attrs ...attribute.KeyValue) {
	all := attribute.NewSet(append(attrs, b.name)...)
	b.observations = append(b.observations, observation{instrument, metric.WithAttributeSet(all), value})
}

func (b *metricBuilder) gauge(name, unit, description string, value func(*Stats) int) {
	b.states(name, unit, description, "", map[string]func(*Stats) int{"": value})
}

// states adds an up-down counter, with one value for each state if there are several.
func (b *metricBuilder) states(name, unit, description, key string, values map[string]func(*Stats) int) {
	instrument := b.add(b.meter.Int64ObservableUpDownCounter(name, metric.WithUnit(unit), metric.WithDescription(description)))
	for state, value := range values {
		var attrs []attribute.KeyValue
		if key != "" {
			attrs = append(attrs, attribute.String(key, state))
		}
		b.set(instrument, func(s *Stats) int64 { return int64(value(s)) }, attrs...)
	}
}

func (b *metricBuilder) counter(name, unit, description string, value func(*Stats) uint64) {
	b.observe(b.observable(name, unit, description), value)
}

func (b *metricBuilder) observable(name, unit, description string) metric.Int64Observable {
	return b.add(b.meter.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(description)))
}

func (b *metricBuilder) observe(instrument metric.Int64Observable, value func(*Stats) uint64, attrs ...attribute.KeyValue) {
	b.set(instrument, func(s *Stats) int64 { return int64(value(s)) }, attrs...)
}

func errorType(v string) attribute.KeyValue { return attribute.String("error.type", v) }
