package executor

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
	"weak"

	"github.com/seed-97bda89a/executor/internal/testkit"
	"github.com/stretchr/testify/require"
	otelmetric "go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// work makes an executor, runs n tasks on it, two of which fail, and ends it.
func work(t testing.TB, mp otelmetric.MeterProvider, name string, n int) {
	t.Helper()
	e, err := New(WithMeterProvider(mp), WithName(name), WithSlots(1))
	require.NoError(t, err)
	require.Equal(t, name, e.name)
	g := e.NewGroup(background)
	for i := range n {
		g.Go(func(context.Context) error {
			if i >= n-2 {
				return errors.New("failed")
			}
			return nil
		})
		_ = g.Wait()
	}
	require.NoError(t, e.Shutdown(background))
}

// byName returns the values of a sum by the executors' names; several of a name are added up.
func byName(m metricdata.Metrics) map[string]int64 {
	sums := map[string]int64{}
	if data, ok := m.Data.(metricdata.Sum[int64]); ok {
		for _, p := range data.DataPoints {
			name, _ := p.Attributes.Value("executor.name")
			sums[name.AsString()] += p.Value
		}
	}
	return sums
}

func delta(metric.InstrumentKind) metricdata.Temporality { return metricdata.DeltaTemporality }

// Mutants: the callback goes with the executor (everything since the last collection is lost); the next executor of the
// name starts at zero (a delta reader sees -10); final counts are observed once (the delta reader starts anew); gauges of
// an executor that has ended are reported.
func TestLedger_CountsNeverFallAndAreNeverLost(t *testing.T) {
	cumulative, changes := metric.NewManualReader(), metric.NewManualReader(metric.WithTemporalitySelector(delta))
	mp := metric.NewMeterProvider(metric.WithReader(cumulative), metric.WithReader(changes))
	t.Cleanup(func() { require.NoError(t, mp.Shutdown(background)) })
	sum := 0
	for _, n := range []int{10, 0, 3, 7} {
		if n > 0 {
			work(t, mp, "job", n)
		}
		sum += n
		all := collect(t, cumulative)
		require.EqualValues(t, sum, byName(all["executor.task.submitted"])["job"])
		require.EqualValues(t, sum, byName(all["executor.task.completed"])["job"])
		require.Empty(t, byName(all["executor.slot.limit"]), "gauges of an ended executor")
		change := collect(t, changes)
		require.EqualValues(t, n, byName(change["executor.task.submitted"])["job"])
		require.EqualValues(t, n, byName(change["executor.task.completed"])["job"])
	}
	// A live one goes on from there, and what its Shutdown leaves running is still counted.
	e, err := New(WithMeterProvider(mp), WithName("job"), WithSlots(1))
	require.NoError(t, err)
	in, out := make(chan struct{}), make(chan struct{})
	f, err := Submit(background, e, func(context.Context) (int, error) { close(in); <-out; return 0, nil })
	require.NoError(t, err)
	<-in
	overdue, cancel := context.WithCancel(background)
	cancel()
	var u *UnfinishedError
	require.ErrorAs(t, e.Shutdown(overdue), &u)
	all := collect(t, cumulative)
	require.EqualValues(t, sum+1, byName(all["executor.task.submitted"])["job"])
	require.EqualValues(t, sum, byName(all["executor.task.completed"])["job"])
	require.NotEmpty(t, byName(all["executor.slot.limit"]), "it has not ended")
	close(out)
	_, err = f.Wait(background)
	require.NoError(t, err)
	require.NoError(t, e.Close())
	require.EqualValues(t, sum+1, byName(collect(t, cumulative)["executor.task.completed"])["job"])
	require.EqualValues(t, 1, byName(collect(t, changes)["executor.task.completed"])["job"])
}

// Mutant, and a bug that there was: one of the counts is left out, and its metric falls when the executor ends.
func TestLedger_EveryCountIsTakenOver(t *testing.T) {
	var of, sum Stats
	from, to := reflect.ValueOf(&of).Elem(), reflect.ValueOf(&sum).Elem()
	for i := range from.NumField() {
		if f := from.Field(i); f.Kind() == reflect.Uint64 {
			f.SetUint(uint64(i + 1))
		}
	}
	of.BlockedTime = 1
	sum.addCounts(&of)
	sum.addCounts(&of)
	require.EqualValues(t, 2, sum.BlockedTime)
	for i := range from.NumField() {
		if f := to.Field(i); f.Kind() == reflect.Uint64 {
			require.EqualValues(t, 2*(i+1), f.Uint(), from.Type().Field(i).Name)
		}
	}
}

// An executor that is made again and again, each time with other lanes, does not make its ledger grow for ever (M2), and no count is lost.
func TestLedger_ForgetsNamesOfLanes(t *testing.T) {
	r := metric.NewManualReader()
	mp := metric.NewMeterProvider(metric.WithReader(r))
	t.Cleanup(func() { require.NoError(t, mp.Shutdown(background)) })
	const n = 3 * maxLaneNames
	for i := range n {
		name := fmt.Sprint("lane", i)
		e, err := New(WithMeterProvider(mp), WithName("job"), WithSlots(1), WithLanes(Lane{Name: name}))
		require.NoError(t, err)
		require.NoError(t, e.Go(WithLane(background, name), func(context.Context) {}))
		require.NoError(t, e.Shutdown(background))
	}
	points := lanePoints(t, collect(t, r)["executor.lane.task.submitted"])
	require.Len(t, points, maxLaneNames+1)
	sum := 0
	for _, v := range points {
		sum += int(v)
	}
	require.Equal(t, n, sum)
}

// exporter keeps what it gets.
type exporter struct {
	metric.Exporter
	mu   sync.Mutex
	sums map[string]int64
}

func (x *exporter) Temporality(k metric.InstrumentKind) metricdata.Temporality { return delta(k) }
func (x *exporter) Aggregation(k metric.InstrumentKind) metric.Aggregation {
	return metric.DefaultAggregationSelector(k)
}
func (x *exporter) ForceFlush(context.Context) error { return nil }
func (x *exporter) Shutdown(context.Context) error   { return nil }
func (x *exporter) Export(_ context.Context, rm *metricdata.ResourceMetrics) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, scope := range rm.ScopeMetrics {
		for _, m := range scope.Metrics {
			for _, n := range byName(m) {
				x.sums[m.Name] += n
			}
		}
	}
	return nil
}

// A job that is shorter than the interval is exported once, at the end of the provider. Mutant: as above.
func TestLedger_AShortJobUnderAPeriodicReader(t *testing.T) {
	x := &exporter{sums: map[string]int64{}}
	mp := metric.NewMeterProvider(metric.WithReader(metric.NewPeriodicReader(x, metric.WithInterval(time.Hour))))
	for range 3 {
		work(t, mp, "short", 20)
	}
	require.NoError(t, mp.Shutdown(background))
	require.EqualValues(t, 60, x.sums["executor.task.submitted"])
	require.EqualValues(t, 60, x.sums["executor.task.completed"])
}

// Mutants: names pile up; what is forgotten is lost; the one that ended last is forgotten.
func TestLedger_ForgetsNamesButNoCounts(t *testing.T) {
	r, mp := newReader(t)
	const names = maxEndedNames + 10
	for i := range names {
		work(t, mp, fmt.Sprintf("name %d", i), 2)
	}
	all := collect(t, r)
	submitted := byName(all["executor.task.submitted"])
	require.Len(t, submitted, maxEndedNames+1)
	require.EqualValues(t, 20, submitted[forgottenName])
	require.NotContains(t, submitted, "name 9")
	require.EqualValues(t, 2, submitted["name 10"])
	require.EqualValues(t, 10, byName(all["executor.names.forgotten"])[forgottenName])
	sum := int64(0)
	for _, n := range submitted {
		sum += n
	}
	require.EqualValues(t, 2*names, sum)
}

// Mutants: the table holds ledgers; a ledger is found although its provider is another one.
func TestLedger_KeepsNoProvider(t *testing.T) {
	var seen []weak.Pointer[metric.MeterProvider]
	for range 5 {
		mp := metric.NewMeterProvider(metric.WithReader(metric.NewManualReader()))
		work(t, mp, "job", 2)
		seen = append(seen, weak.Make(mp))
	}
	for _, p := range seen {
		gone(t, "the provider", p)
	}
	runtime.GC()
	r, mp := newReader(t)
	work(t, mp, "job", 2)
	require.EqualValues(t, 2, byName(collect(t, r)["executor.task.submitted"])["job"])
}

// oddProvider can not be compared, and is another value each time.
type oddProvider struct {
	otelmetric.MeterProvider
	_ []int
}

// Mutants: providers are compared with ==, or are keys of a map: that panics; two values that lead to one SDK have a
// ledger each.
func TestLedger_OddProviders(t *testing.T) {
	r, mp := newReader(t)
	for range 3 {
		work(t, oddProvider{MeterProvider: mp}, "odd", 5)
		work(t, struct{ otelmetric.MeterProvider }{mp}, "odd", 5)
	}
	require.EqualValues(t, 30, byName(collect(t, r)["executor.task.submitted"])["odd"])
	all := liveLedgers()
	n := 0
	for _, l := range all {
		if sameWords(meterOf(l.provider), meterOf(mp)) {
			n++
		}
	}
	require.Equal(t, 1, n)
}

// Mutant: New and the end of an executor, seen by a reader that collects all the time: a count falls in between.
func TestLedger_CollectionsWhileExecutorsComeAndGo(t *testing.T) {
	r, mp := newReader(t)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		last := int64(0)
		for {
			now := byName(collect(t, r)["executor.task.submitted"])["busy"]
			if now < last {
				t.Errorf("%d after %d", now, last)
			}
			last = now
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	for range 40 {
		work(t, mp, "busy", 5)
	}
	close(stop)
	<-done
	require.EqualValues(t, 200, byName(collect(t, r)["executor.task.submitted"])["busy"])
}

// Mutants: a bulkhead is not listed, or for ever; those who wait are not counted.
func TestBulkheads_AreVisible(t *testing.T) {
	r, mp := newReader(t)
	newMeasured(t, WithMeterProvider(mp))
	b, err := NewBulkhead("visible", 1)
	require.NoError(t, err)
	in, out, second := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() { _ = b.Blocking(background, func() { close(in); <-out }) }()
	<-in
	go func() { second <- b.Blocking(background, func() {}) }()
	testkit.Eventually(t, "one waits", func() bool { return b.Stats().Waiting == 1 })
	ours := func(m metricdata.Metrics) (values map[string]float64) {
		values = map[string]float64{}
		for key, v := range numbers(t, m) {
			if key, ok := strings.CutPrefix(key, "executor.bulkhead.name=visible"); ok {
				values[strings.TrimPrefix(key, "executor.bulkhead.state=")] = v
			}
		}
		return values
	}
	all := collect(t, r)
	require.Equal(t, map[string]float64{"": 1}, ours(all["executor.bulkhead.limit"]))
	require.Equal(t, map[string]float64{"inside": 1, "waiting": 1}, ours(all["executor.bulkhead.count"]))
	require.Positive(t, ours(all["executor.bulkhead.wait.longest"])[""])
	s := b.Stats()
	require.Equal(t, BulkheadStats{"visible", 1, 1, 1, s.LongestWait}, s)
	close(out)
	require.NoError(t, <-second)
	testkit.Eventually(t, "both have left", func() bool { return b.Stats() == BulkheadStats{Name: "visible", Limit: 1} })
	listed := func() bool {
		for _, s := range Bulkheads() {
			if s.Name == "visible" {
				return true
			}
		}
		return false
	}
	require.True(t, listed())
	runtime.KeepAlive(b)
	b = nil
	testkit.Eventually(t, "nobody refers to it any more", func() bool { runtime.GC(); return !listed() })
}
