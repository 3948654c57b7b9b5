package jobs

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// ScopeName is the instrumentation scope of the metrics and spans of jobs.
const ScopeName = "github.com/seed-97bda89a/executor/jobs"

// The messaging conventions are not stable yet: their names stand here, once.
const (
	attrOperation     = "messaging.operation.name"
	attrOperationType = "messaging.operation.type"
	attrDestination   = "messaging.destination.name"
	attrMessageID     = "messaging.message.id"
	attrErrorType     = "error.type"
	metricProcess     = "messaging.process.duration"
)

var traceContext propagation.TraceContext

// startSend puts the trace of ctx into the message, below a span of its own if ctx is traced. end ends it.
func startSend(ctx context.Context, m *Message) (end func(error)) {
	parent := trace.SpanFromContext(ctx)
	if !parent.SpanContext().IsValid() {
		return func(error) {}
	}
	ctx, span := parent.TracerProvider().Tracer(ScopeName).Start(ctx, "send "+m.Kind, trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithAttributes(attribute.String(attrOperation, "send"), attribute.String(attrOperationType, "send"),
			attribute.String(attrDestination, m.Kind), attribute.String(attrMessageID, m.ID)))
	m.Header = make(map[string]string, 2)
	traceContext.Inject(ctx, propagation.MapCarrier(m.Header))
	return func(err error) { endSpan(span, err) }
}

func endSpan(span trace.Span, err error) {
	if err != nil {
		span.SetStatus(codes.Error, short(err))
	}
	span.End()
}

// telemetry is what a worker tells OpenTelemetry. Without providers it does nothing.
type telemetry struct {
	tracer   trace.Tracer
	duration metric.Float64Histogram
	ends     metric.Int64Counter
	again    metric.Int64Counter
	errors   metric.Int64Counter
	stop     func() error
}

var durationBounds = metric.WithExplicitBucketBoundaries(.005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10)

// newTelemetry makes the instruments. stats is read at each collection.
func newTelemetry(tp trace.TracerProvider, mp metric.MeterProvider, stats func() Stats) (*telemetry, error) {
	t := &telemetry{stop: func() error { return nil }}
	if tp != nil {
		t.tracer = tp.Tracer(ScopeName)
	}
	if mp == nil {
		return t, nil
	}
	meter := mp.Meter(ScopeName)
	var err error
	failed := func(e error) {
		if err == nil {
			err = e
		}
	}
	counter := func(name, unit, what string) metric.Int64Counter {
		c, e := meter.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(what))
		failed(e)
		return c
	}
	t.duration, err = meter.Float64Histogram(metricProcess, metric.WithUnit("s"), durationBounds, metric.WithDescription("How long handlers ran."))
	t.ends = counter("executor.jobs.settled", "{job}", "Deliveries that ended, by how: ack, retry, return, dead.")
	t.again = counter("executor.jobs.redelivered", "{job}", "Deliveries that were not a job's first attempt.")
	t.errors = counter("executor.jobs.settle.errors", "{error}", "Ends that the broker could not be told.")
	type gauge struct {
		of   metric.Int64ObservableGauge
		read func(Stats) int64
	}
	var gauges []gauge
	var all []metric.Observable
	add := func(name, unit, what string, read func(Stats) int64) {
		g, e := meter.Int64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(what))
		failed(e)
		gauges, all = append(gauges, gauge{g, read}), append(all, g)
	}
	add("executor.jobs.in_flight", "{job}", "Deliveries that this worker holds.", func(s Stats) int64 { return int64(s.Held) })
	add("executor.jobs.lag", "{job}", "Jobs in the queue that nobody has yet.", func(s Stats) int64 { return int64(s.Depth.Waiting) })
	add("executor.jobs.dead", "{job}", "Dead letters that the queue keeps.", func(s Stats) int64 { return int64(s.Depth.Dead) })
	add("executor.jobs.overdue", "{job}", "Jobs whose handler went on after their deadline, since the start.", func(s Stats) int64 { return int64(s.Overdue) })
	age, e := meter.Float64ObservableGauge("executor.jobs.oldest.age", metric.WithUnit("s"), metric.WithDescription("Age of the oldest job in the queue."))
	failed(e)
	if err != nil {
		return nil, err
	}
	registration, err := meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		s := stats()
		for _, g := range gauges {
			o.ObserveInt64(g.of, g.read(s))
		}
		o.ObserveFloat64(age, s.Depth.Oldest.Seconds())
		return nil
	}, append(all, age)...)
	if err != nil {
		return nil, err
	}
	t.stop = registration.Unregister
	return t, nil
}

// process opens the span of one attempt: a trace of its own, linked to the sender's, for many attempts may belong to one sending.
func (t *telemetry) process(ctx context.Context, d Delivery) (context.Context, func(error, verdict)) {
	m := d.Message()
	if t == nil || t.tracer == nil && t.duration == nil {
		return ctx, func(error, verdict) {}
	}
	began := time.Now()
	var span trace.Span
	if t.tracer != nil {
		opts := []trace.SpanStartOption{trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(
			attribute.String(attrOperation, "process"), attribute.String(attrOperationType, "process"),
			attribute.String(attrDestination, m.Kind), attribute.String(attrMessageID, m.ID), attribute.Int("executor.jobs.attempt", d.Attempt()))}
		from := trace.SpanContextFromContext(traceContext.Extract(context.Background(), propagation.MapCarrier(m.Header)))
		if from.IsValid() {
			opts = append(opts, trace.WithLinks(trace.Link{SpanContext: from}))
		}
		ctx, span = t.tracer.Start(ctx, "process "+m.Kind, opts...)
	}
	return ctx, func(err error, v verdict) {
		if t.duration != nil {
			attrs := []attribute.KeyValue{attribute.String(attrDestination, m.Kind), attribute.String(attrOperation, "process")}
			if err != nil {
				attrs = append(attrs, attribute.String(attrErrorType, v.String()))
			}
			t.duration.Record(ctx, time.Since(began).Seconds(), metric.WithAttributes(attrs...))
			if d.Attempt() > 1 {
				t.again.Add(ctx, 1, metric.WithAttributes(attribute.String(attrDestination, m.Kind)))
			}
		}
		if span != nil {
			span.SetAttributes(attribute.String("executor.jobs.end", v.String()))
			endSpan(span, err)
		}
	}
}

// settled counts an end. The name of an unknown kind is a stranger's, and is no label.
func (t *telemetry) settled(kind string, v verdict, err error) {
	if t == nil || t.ends == nil {
		return
	}
	ctx := context.Background()
	if err != nil {
		t.errors.Add(ctx, 1, metric.WithAttributes(attribute.String("executor.jobs.end", v.String())))
		return
	}
	t.ends.Add(ctx, 1, metric.WithAttributes(attribute.String(attrDestination, kind), attribute.String("executor.jobs.end", v.String())))
}
