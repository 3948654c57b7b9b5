package executor

import (
	"context"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
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

// bounds of the buckets in seconds: those of the SDK are made for milliseconds.
var bounds = []float64{10e-6, 50e-6, 100e-6, 500e-6, 1e-3, 5e-3, 10e-3, 50e-3, 0.1, 0.5, 1, 5, 10}

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
