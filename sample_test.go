package executor

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor/internal/meter"
	"github.com/seed-97bda89a/executor/internal/testkit"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// newMeasured makes an executor that is closed when the test ends.
func newMeasured(t testing.TB, opts ...Option) *Executor {
	t.Helper()
	e, err := New(append([]Option{WithSlots(1), WithName("measured")}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	return e
}

// newReader makes a provider with a reader that a test collects from.
func newReader(t testing.TB, opts ...metric.Option) (*metric.ManualReader, *metric.MeterProvider) {
	r := metric.NewManualReader()
	mp := metric.NewMeterProvider(append([]metric.Option{metric.WithReader(r)}, opts...)...)
	t.Cleanup(func() { require.NoError(t, mp.Shutdown(context.Background())) })
	return r, mp
}

// collect returns the metrics of this package, by name.
func collect(t testing.TB, r metric.Reader) map[string]metricdata.Metrics {
	t.Helper()
	var rm metricdata.ResourceMetrics
	require.NoError(t, r.Collect(context.Background(), &rm))
	all := map[string]metricdata.Metrics{}
	for _, scope := range rm.ScopeMetrics {
		require.Equal(t, ScopeName, scope.Scope.Name)
		require.Equal(t, Version, scope.Scope.Version)
		for _, m := range scope.Metrics {
			all[m.Name] = m
		}
	}
	return all
}

// histogramOf returns the points of a histogram by the error.type of each.
func histogramOf(t testing.TB, m metricdata.Metrics) map[string]metricdata.HistogramDataPoint[float64] {
	t.Helper()
	require.Equal(t, "s", m.Unit)
	points := map[string]metricdata.HistogramDataPoint[float64]{}
	for _, p := range m.Data.(metricdata.Histogram[float64]).DataPoints {
		kind, _ := p.Attributes.Value("error.type")
		points[kind.AsString()] = p
	}
	return points
}

// runSome runs tasks of every kind that can be measured: 6 that end well, one with an error, one by a panic
// and one by Goexit. Those of Go and TryGo come first, as a panic of theirs would crash.
func runSome(t testing.TB, e *Executor) {
	t.Helper()
	ctx := context.Background()
	require.NoError(t, e.Go(ctx, func(context.Context) {}))
	require.NoError(t, e.TryGo(ctx, func(context.Context) {}))
	f, err := Submit(ctx, e, func(ctx context.Context) (int, error) {
		if err := e.Go(ctx, func(context.Context) {}); err != nil {
			return 0, err
		}
		return Fork(ctx, func(context.Context) int { return 7 }).Join(ctx), nil
	})
	require.NoError(t, err)
	v, err := f.Wait(ctx)
	require.NoError(t, err)
	require.Equal(t, 7, v)
	g := e.NewGroup(ctx)
	g.Go(func(context.Context) error { return nil })
	require.NoError(t, g.Wait())
	for _, fn := range []func(context.Context) error{
		func(context.Context) error { return errors.New("ordinary") },
		func(context.Context) error { panic("boom") },
		func(context.Context) error { runtime.Goexit(); return nil },
	} {
		g.Go(fn)
		require.Error(t, g.Wait())
	}
	require.NoError(t, e.Quiesce(ctx))
}

func TestSampling_EveryTaskOfEveryKind(t *testing.T) {
	r, mp := newReader(t)
	e := newMeasured(t, WithMeterProvider(mp), WithHistogramSampling(1))
	runSome(t, e)
	s := e.Stats()
	require.EqualValues(t, 9, s.Submitted)

	all := collect(t, r)
	waits := histogramOf(t, all["executor.queue.wait.duration"])
	require.Len(t, waits, 1, "how a task ends is not known when it starts")
	require.EqualValues(t, s.Submitted, waits[""].Count)
	require.Equal(t, bounds, waits[""].Bounds)
	name := attribute.String("executor.name", e.name)
	require.Equal(t, attribute.NewSet(name), waits[""].Attributes)
	runs := histogramOf(t, all["executor.task.duration"])
	require.EqualValues(t, 6, runs[""].Count)
	require.EqualValues(t, 1, runs["error"].Count)
	require.EqualValues(t, 2, runs["panic"].Count, "a panic, and a Goexit")
	require.Equal(t, attribute.NewSet(name, attribute.String("error.type", "panic")), runs["panic"].Attributes)

	for _, h := range []*meter.Histogram{&e.waits, &e.runs} {
		c := durationCounts(h)
		require.EqualValues(t, s.Submitted, c.Count)
	}
}

// TestSampling_MeasuresTimes holds a task back behind another one, for a while, and lets it run for a while.
func TestSampling_MeasuresTimes(t *testing.T) {
	const pause = 20 * time.Millisecond
	e := newMeasured(t, WithHistogramSampling(1), WithStallDetection(false))
	e.viewers.Add(1)
	ctx := context.Background()
	for range 2 {
		require.NoError(t, e.Go(ctx, func(context.Context) { time.Sleep(pause) }))
	}
	require.NoError(t, e.Quiesce(ctx))
	waits, runs := durationCounts(&e.waits), durationCounts(&e.runs)
	require.GreaterOrEqual(t, waits.Quantile(1), pause/2, "the second waited for the first, but for the time it took to submit it")
	require.GreaterOrEqual(t, runs.Quantile(0), pause)
}

func TestSampling_OneInN(t *testing.T) {
	const every, tasks = 8, 8000
	for name, from := range map[string]func(t *testing.T, e *Executor){
		"outside": func(t *testing.T, e *Executor) {
			for range tasks {
				require.NoError(t, e.Go(context.Background(), func(context.Context) {}))
			}
		},
		"inside": func(t *testing.T, e *Executor) {
			require.NoError(t, e.Go(context.Background(), func(ctx context.Context) {
				for range tasks {
					_ = e.Go(ctx, func(context.Context) {})
				}
			}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := newMeasured(t, WithHistogramSampling(every))
			e.viewers.Add(1)
			from(t, e)
			require.NoError(t, e.Quiesce(context.Background()))
			c := durationCounts(&e.runs)
			require.InDelta(t, tasks/every, float64(c.Count), 2)
		})
	}
}

// By default tasks that do nothing are not measured all the time.
func TestSampling_IsPaced(t *testing.T) {
	e := newMeasured(t)
	e.viewers.Add(1)
	start := time.Now()
	require.NoError(t, e.Go(context.Background(), func(ctx context.Context) {
		for range 50_000 {
			_ = e.Go(ctx, func(context.Context) {})
			_ = e.Go(context.Background(), func(context.Context) {})
		}
	}))
	require.NoError(t, e.Quiesce(context.Background()))
	c := durationCounts(&e.runs)
	require.NotZero(t, c.Count)
	require.LessOrEqual(t, c.Count, 2+2*uint64(time.Since(start)/samplingGap), "two sources")
}

// Nobody looks: nothing is measured. Mutants: to measure as long as the option is on; to ask only once.
func TestSampling_OnlyWhileSomebodyLooks(t *testing.T) {
	run := func(e *Executor) uint64 {
		before := durationCounts(&e.runs)
		runSome(t, e)
		after := durationCounts(&e.runs)
		return after.Count - before.Count
	}
	t.Run("the debug page", func(t *testing.T) {
		e := newMeasured(t, WithHistogramSampling(1))
		require.Zero(t, run(e))
		e.viewers.Add(1)
		require.EqualValues(t, 9, run(e))
		e.viewers.Add(-1)
		require.Zero(t, run(e))
	})
	t.Run("a view drops the histograms", func(t *testing.T) {
		_, mp := newReader(t, metric.WithView(metric.NewView(metric.Instrument{Name: "executor.*.duration"}, metric.Stream{Aggregation: metric.AggregationDrop{}})))
		e := newMeasured(t, WithMeterProvider(mp), WithHistogramSampling(1))
		require.Zero(t, run(e))
	})
	t.Run("switched off", func(t *testing.T) {
		r, mp := newReader(t)
		e := newMeasured(t, WithMeterProvider(mp), WithHistogramSampling(0))
		e.viewers.Add(1)
		require.Zero(t, run(e))
		require.NotContains(t, collect(t, r), "executor.task.duration")
	})
}

func TestSampling_RefusesNonsense(t *testing.T) {
	_, err := New(WithHistogramSampling(-1))
	require.ErrorContains(t, err, "WithHistogramSampling(-1)")
	e := newMeasured(t, WithHistogramSampling(math.MaxInt))
	e.viewers.Add(1)
	runSome(t, e) // the first is measured, whatever the share
	c := durationCounts(&e.runs)
	require.EqualValues(t, 1, c.Count)
}

// Submitting allocates nothing, whatever is plugged in, but for tasks that are measured or have a span.
func TestSampling_AllocatesNothingOtherwise(t *testing.T) {
	if testkit.RaceDetector {
		t.Skip("the race detector allocates")
	}
	_, mp := newReader(t)
	_, tp := newTracing(t)
	const tasks = 10_000
	for name, e := range map[string]*Executor{
		"no providers": newMeasured(t, WithQueueLimit(tasks)),
		"providers":    newMeasured(t, WithQueueLimit(tasks), WithMeterProvider(mp), WithTracerProvider(tp)),
	} {
		t.Run(name, func(t *testing.T) {
			fn := func(context.Context) {}
			child := func(context.Context) int { return 1 }
			each := testing.AllocsPerRun(10, func() {
				for range tasks {
					_ = e.Go(context.Background(), fn)
				}
				_ = e.Quiesce(context.Background())
			}) / tasks
			require.Less(t, each, 0.2, "Go from outside")
			each = testing.AllocsPerRun(10, func() {
				_ = e.Go(context.Background(), func(ctx context.Context) {
					for range tasks {
						_ = e.Go(ctx, fn)
						_ = Fork(ctx, child).Join(ctx)
					}
				})
				_ = e.Quiesce(context.Background())
			}) / tasks
			require.Less(t, each, 0.2, "Go and Fork from inside")
		})
	}
}

// Mutant: a submission that is refused, or a task that is canceled or dropped, takes its turn to be measured with it.
func TestSampling_WhatDoesNotStartTakesNoTurn(t *testing.T) {
	r, mp := newReader(t)
	const every, n = 8, 40
	e := newMeasured(t, WithMeterProvider(mp), WithHistogramSampling(every), WithQueueLimit(every), WithStallDetection(false))
	var accepted int
	for range n {
		release, in := make(chan struct{}), make(chan struct{})
		require.NoError(t, e.Go(context.Background(), func(context.Context) { close(in); <-release }))
		<-in
		accepted++
		g := e.NewGroup(context.Background())
		for i := range 8 * every { // most are refused
			task := func(context.Context) {}
			switch i % 3 {
			case 0:
				if e.TryGo(context.Background(), task) == nil {
					accepted++
				}
			case 1:
				if f, err := TrySubmit(context.Background(), e, func(context.Context) (int, error) { return 0, nil }); err == nil {
					f.cancel(ErrClosed) // as the end of its context would
				}
			case 2:
				if g.TryGo(func(context.Context) error { return nil }) {
					accepted++
				}
			}
		}
		close(release)
		require.NoError(t, g.Wait())
		require.NoError(t, e.Quiesce(context.Background()))
	}
	var rm metricdata.ResourceMetrics
	require.NoError(t, r.Collect(context.Background(), &rm))
	measured := 0
	for _, m := range rm.ScopeMetrics[0].Metrics {
		if h, ok := m.Data.(metricdata.Histogram[float64]); ok && m.Name == "executor.queue.wait.duration" {
			measured = int(h.DataPoints[0].Count)
		}
	}
	require.GreaterOrEqual(t, measured, accepted/every, "of %d tasks", accepted)
}

// lanePoints returns the values of a metric of lanes by executor, lane and reason.
func lanePoints(t testing.TB, m metricdata.Metrics) map[string]float64 {
	t.Helper()
	all := map[string]float64{}
	add := func(attrs attribute.Set, v float64) {
		e, _ := attrs.Value("executor.name")
		l, _ := attrs.Value("executor.lane")
		why, _ := attrs.Value("executor.rejection.reason")
		key := strings.TrimSuffix(e.AsString()+"/"+l.AsString()+"/"+why.AsString(), "/")
		require.NotContains(t, all, key, "twice in one collection")
		all[key] = v
	}
	switch d := m.Data.(type) {
	case metricdata.Sum[int64]:
		for _, p := range d.DataPoints {
			add(p.Attributes, float64(p.Value))
		}
	case metricdata.Gauge[float64]:
		for _, p := range d.DataPoints {
			add(p.Attributes, p.Value)
		}
	case metricdata.Histogram[float64]:
		for _, p := range d.DataPoints {
			add(p.Attributes, float64(p.Count))
		}
	}
	return all
}

// Each lane has its metrics, and no tenant has; what an ended executor has counted stays. Mutants seen to fail: the counts of ended ones
// are lost, or told beside those of the live one; a child is recorded in a lane; the default lane has no name.
func TestSampling_LanesHaveTheirMetrics(t *testing.T) {
	r, mp := newReader(t)
	lanes := []Option{WithMeterProvider(mp), WithHistogramSampling(1), WithLanes(Lane{Name: "a", QueueLimit: 2}, Lane{Name: "one", Max: 1, Fair: true})}
	a, one := WithLane(context.Background(), "a"), WithTenant(WithLane(context.Background(), "one"), "customer 17")
	for round := 1.0; round <= 2; round++ {
		e, err := New(append(lanes, WithSlots(1), WithName("laned"))...)
		require.NoError(t, err)
		release, in := make(chan struct{}), make(chan struct{})
		require.NoError(t, e.Go(one, func(ctx context.Context) {
			require.NoError(t, e.Go(ctx, func(context.Context) {}))
			close(in)
			<-release
		}))
		<-in
		for range 2 {
			require.NoError(t, e.TryGo(a, func(context.Context) {}))
		}
		require.ErrorIs(t, e.TryGo(a, func(context.Context) {}), ErrQueueFull)
		all := collect(t, r)
		require.Equal(t, map[string]float64{"laned/a": 2, "laned/one": 0, "laned/(default)": 0}, lanePoints(t, all["executor.lane.queue.size"]))
		require.Equal(t, map[string]float64{"laned/a": 2, "laned/one": 1024, "laned/(default)": 1024}, lanePoints(t, all["executor.lane.queue.capacity"]))
		require.Equal(t, map[string]float64{"laned/a": 0, "laned/one": 1, "laned/(default)": 0}, lanePoints(t, all["executor.lane.running"]))
		require.Equal(t, map[string]float64{"laned/a": 0, "laned/one": 0, "laned/(default)": 0}, lanePoints(t, all["executor.lane.submitter.waiting"]))
		require.Len(t, lanePoints(t, all["executor.lane.queue.age"]), 3)
		close(release)
		require.NoError(t, e.Quiesce(context.Background()))
		for range 2 {
			all = collect(t, r)
			require.Equal(t, map[string]float64{"laned/a": 2 * round, "laned/one": round, "laned/(default)": 0}, lanePoints(t, all["executor.lane.task.submitted"]))
			require.Equal(t, map[string]float64{
				"laned/a/full": round, "laned/one/full": 0, "laned/(default)/full": 0, "laned/a/overloaded": 0, "laned/one/overloaded": 0, "laned/(default)/overloaded": 0,
			}, lanePoints(t, all["executor.lane.task.rejected"]))
			for _, name := range []string{"executor.queue.wait.duration", "executor.task.duration"} { // the child is in none
				require.Equal(t, map[string]float64{"laned/a": 2 * round, "laned/one": round, "laned/": round}, lanePoints(t, all[name]))
			}
			require.NoError(t, e.Close())
		}
		require.Empty(t, lanePoints(t, all["executor.lane.queue.size"]), "what goes up and down ends with the executor")
	}
	for name, m := range collect(t, r) {
		require.NotContains(t, fmt.Sprint(m), "customer", name)
	}
}
