package executor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// numbers returns the values of a sum or gauge, by its attributes but the executor's name: "key=value" or "".
func numbers(t testing.TB, m metricdata.Metrics) map[string]float64 {
	t.Helper()
	values := map[string]float64{}
	put := func(attrs attribute.Set, v float64) {
		key := ""
		for _, a := range attrs.ToSlice() {
			if a.Key != "executor.name" {
				key += string(a.Key) + "=" + a.Value.String()
			}
		}
		require.NotContains(t, values, key, "two values of %s", m.Name)
		values[key] = v
	}
	switch data := m.Data.(type) {
	case metricdata.Sum[int64]:
		for _, p := range data.DataPoints {
			put(p.Attributes, float64(p.Value))
		}
	case metricdata.Sum[float64]:
		for _, p := range data.DataPoints {
			put(p.Attributes, p.Value)
		}
	case metricdata.Gauge[float64]:
		for _, p := range data.DataPoints {
			put(p.Attributes, p.Value)
		}
	case metricdata.Histogram[float64]:
	default:
		require.Fail(t, "what is that?", "%s: %T", m.Name, data)
	}
	return values
}

// kindOf is how docs/OBSERVING.md calls what an instrument is.
func kindOf(m metricdata.Metrics) string {
	switch data := m.Data.(type) {
	case metricdata.Sum[int64]:
		if data.IsMonotonic {
			return "counter"
		}
		return "up-down counter"
	case metricdata.Sum[float64]:
		return "counter"
	case metricdata.Gauge[float64]:
		return "gauge"
	}
	return "histogram"
}

// TestMetrics_AreWhatTheReadmeSays compares every instrument with the table: kind, unit, attributes. The
// values that need a CPU quota are made up.
func TestMetrics_AreWhatTheReadmeSays(t *testing.T) {
	r, mp := newReader(t)
	e := newMeasured(t, WithMeterProvider(mp), WithHistogramSampling(1), WithLanes(Lane{Name: "said"}))
	runSome(t, e)
	b, err := NewBulkhead("said", 1)
	require.NoError(t, err)
	defer runtime.KeepAlive(b)
	var told []string
	for name, m := range collect(t, r) {
		require.NotEmpty(t, m.Description, name)
		keys := map[string]bool{}
		for attrs := range numbers(t, m) {
			key, _, _ := strings.Cut(attrs, "=")
			keys[key] = true
		}
		if h, ok := m.Data.(metricdata.Histogram[float64]); ok {
			for _, p := range h.DataPoints {
				for _, a := range p.Attributes.ToSlice() {
					keys[string(a.Key)] = true
				}
			}
		}
		delete(keys, "")
		delete(keys, "executor.name")
		told = append(told, fmt.Sprintf("%s | %s | %s | %s", name, kindOf(m), m.Unit, strings.Join(slices.Sorted(maps.Keys(keys)), " ")))
	}
	var expected []string
	for line := range strings.Lines(readDoc(t, observing)) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 6 || !strings.HasPrefix(cells[1], " `executor.") || strings.Contains(cells[1], "executor.cpu.") || strings.Contains(cells[1], ".named.") {
			continue
		}
		keys, kind := matches("`([a-z.]+)`", cells[4]), strings.TrimSpace(cells[2])
		if kind != "histogram" {
			keys = keys[:min(1, len(keys))] // of the others the first is compared
		}
		slices.Sort(keys)
		expected = append(expected, fmt.Sprintf("%s | %s | %s | %s", strings.Trim(cells[1], " `"), kind, strings.TrimSpace(cells[3]), strings.Join(keys, " ")))
	}
	slices.Sort(told)
	slices.Sort(expected)
	require.Equal(t, expected, told)
}

// Mutants: a state that is counted twice, or not at all; surplus and lent slots that are taken for slots.
func TestMetrics_SlotStatesAddUpToTheLimit(t *testing.T) {
	r, mp := newReader(t)
	e := newMeasured(t, WithMeterProvider(mp), WithSlots(3), WithMaxSpares(8))
	check := func() map[string]float64 {
		all := collect(t, r)
		slots, sum := numbers(t, all["executor.slot.count"]), 0.0
		for state, n := range slots {
			require.GreaterOrEqual(t, n, 0.0, state)
			sum += n
		}
		require.Len(t, slots, 3)
		require.Equal(t, numbers(t, all["executor.slot.limit"])[""], sum)
		for state, n := range numbers(t, all["executor.worker.count"]) {
			require.GreaterOrEqual(t, n, 0.0, state)
		}
		return slots
	}
	require.EqualValues(t, 3, check()["executor.slot.state=idle"])
	release, blocked := make(chan struct{}), make(chan struct{})
	require.NoError(t, e.Go(context.Background(), func(ctx context.Context) {
		Blocking(ctx, func() { close(blocked); <-release })
	}))
	<-blocked
	require.EqualValues(t, 1, check()["executor.slot.state=blocking"], "nobody needs the slot")
	require.EqualValues(t, 1, numbers(t, collect(t, r)["executor.worker.count"])["executor.worker.state=blocked"])
	for range 200 {
		for range 20 {
			require.NoError(t, e.Go(context.Background(), func(ctx context.Context) { Blocking(ctx, func() {}) }))
		}
		check()
	}
	close(release)
	require.NoError(t, e.Quiesce(context.Background()))
	require.NoError(t, settled(e, patience))
	require.EqualValues(t, 3, check()["executor.slot.state=idle"])
}

func TestMetrics_ReasonsAndKinds(t *testing.T) {
	r, mp := newReader(t)
	e := newMeasured(t, WithMeterProvider(mp), WithQueueLimit(2), WithStallDetection(false), WithMaxSpares(4))
	ctx := context.Background()
	fn := func(context.Context) {}
	canceled, cancel := context.WithCancelCause(ctx)
	cancel(errors.New("enough"))
	expired, stop := context.WithTimeout(ctx, -1)
	defer stop()

	running, release := make(chan struct{}), make(chan struct{})
	require.NoError(t, e.Go(ctx, func(ctx context.Context) {
		_ = e.Go(ctx, fn) // waits in the own deque
		close(running)
		<-release
	}))
	<-running
	late, stopLate := context.WithDeadline(ctx, time.Now().Add(time.Millisecond))
	defer stopLate()
	require.NoError(t, e.Go(late, fn)) // expires in the queue
	require.NoError(t, e.TryGo(ctx, fn))
	require.ErrorIs(t, e.TryGo(ctx, fn), ErrQueueFull)
	require.Error(t, e.Go(canceled, fn))
	require.Error(t, e.Go(expired, fn))
	require.Error(t, e.Go(expired, fn))
	all := collect(t, r)
	require.Equal(t, map[string]float64{"executor.queue.kind=local": 1, "executor.queue.kind=shared": 2}, numbers(t, all["executor.queue.size"]))
	<-late.Done()
	close(release)
	require.NoError(t, e.Quiesce(ctx))

	// Yields of both kinds, and a slot given away by each kind of blocking.
	f, err := Submit(ctx, e, func(ctx context.Context) (int, error) {
		if err := e.Go(context.Background(), fn); err != nil {
			return 0, err
		}
		if err := Yield(ctx); err != nil {
			return 0, err
		}
		if err := e.Go(context.Background(), fn); err != nil {
			return 0, err
		}
		own := taskOf(ctx).r
		own.flagged.Store(own.count.progress() + 1)
		if err := Checkpoint(ctx); err != nil {
			return 0, err
		}
		inside := make(chan struct{})
		if err := e.Go(context.Background(), func(context.Context) { close(inside) }); err != nil {
			return 0, err
		}
		Blocking(ctx, func() { <-inside; time.Sleep(20 * time.Millisecond) })
		return 0, nil
	})
	require.NoError(t, err)
	_, err = f.Wait(ctx)
	require.NoError(t, err)
	require.NoError(t, e.Quiesce(ctx))
	all = collect(t, r)
	require.Equal(t, map[string]float64{
		"executor.rejection.reason=full": 1, "executor.rejection.reason=overloaded": 0, "executor.rejection.reason=closed": 0,
		"executor.rejection.reason=canceled": 1, "executor.rejection.reason=deadline": 2,
	}, numbers(t, all["executor.task.rejected"]))
	completed := numbers(t, all["executor.task.completed"])
	require.EqualValues(t, 1, completed["error.type=deadline_exceeded"])
	require.EqualValues(t, 0, completed["error.type=canceled"])
	require.Equal(t, map[string]float64{"executor.yield.reason=budget": 1, "executor.yield.reason=explicit": 1}, numbers(t, all["executor.task.yields"]))
	reasons := numbers(t, all["executor.blocking.compensations"])
	require.EqualValues(t, 1, reasons["executor.compensation.reason=blocking"])
	require.EqualValues(t, 0, reasons["executor.compensation.reason=stall"])
	require.GreaterOrEqual(t, numbers(t, all["executor.blocking.time"])[""], 0.02)
	require.NotZero(t, numbers(t, all["executor.slot.wakeups"])[""])

	require.NoError(t, e.Close())
	require.ErrorIs(t, e.Go(ctx, fn), ErrClosed)
	s := e.Stats()
	require.EqualValues(t, 1, s.RejectedClosed)
	require.EqualValues(t, 5, s.Rejected)
	require.EqualValues(t, 2, numbers(t, collect(t, r)["executor.task.rejected"])["executor.rejection.reason=deadline"], "final counts stay")
}

// Waiting gives the slot away for another reason than Blocking.
func TestMetrics_HandoffsOfThoseWhoWait(t *testing.T) {
	e := newMeasured(t, WithSlots(2), WithMaxSpares(4), WithStallDetection(false))
	ctx := context.Background()
	started, release, ran := make(chan struct{}), make(chan struct{}), make(chan struct{})
	slow, err := Submit(ctx, e, func(context.Context) (int, error) { close(started); <-release; return 1, nil })
	require.NoError(t, err)
	<-started
	waiter, err := Submit(ctx, e, func(ctx context.Context) (int, error) {
		if err := e.Go(ctx, func(context.Context) { close(ran) }); err != nil {
			return 0, err
		}
		return slow.Wait(ctx)
	})
	require.NoError(t, err)
	<-ran // on the slot that the waiter gave away
	close(release)
	_, err = waiter.Wait(ctx)
	require.NoError(t, err)
	s := e.Stats()
	require.EqualValues(t, 1, s.HandoffsWait)
	require.EqualValues(t, 1, s.Handoffs)
}

// The time of long calls is exact; of short ones the sample counts for all. Mutants: only the sample is
// measured; a sample counts once; a long call of the sample makes the next count 64 times too.
func TestMetrics_BlockingTime(t *testing.T) {
	e := newMeasured(t)
	inTask := func(fn func(ctx context.Context, r *runner)) {
		f, err := Submit(t.Context(), e, func(ctx context.Context) (int, error) { fn(ctx, taskOf(ctx).r); return 0, nil })
		require.NoError(t, err)
		_, err = f.Wait(t.Context())
		require.NoError(t, err)
	}
	inTask(func(ctx context.Context, r *runner) {
		var truth time.Duration
		for range 10 {
			start := time.Now()
			Blocking(ctx, func() { time.Sleep(time.Millisecond) })
			truth += time.Since(start)
		}
		got := time.Duration(r.count.blocked.Load())
		require.LessOrEqual(t, got, truth)
		require.GreaterOrEqual(t, got, 10*time.Millisecond)
	})
	inTask(func(ctx context.Context, r *runner) {
		for _, c := range []struct {
			length       time.Duration
			sample, each bool
			counts       time.Duration
		}{
			{100, true, false, 100 * sampleEvery}, // short ones: it stands for those between
			{time.Second, true, false, time.Second * sampleEvery},
			{7 * time.Microsecond, false, true, 7 * time.Microsecond}, // after a long one each is measured
			{7 * time.Microsecond, true, true, 7 * time.Microsecond},
			{7, false, true, 7},
		} {
			r.block.short = !c.each
			before := r.count.blocked.Load()
			r.measured(c.length, c.sample, c.each)
			require.EqualValues(t, c.counts, r.count.blocked.Load()-before)
			require.Equal(t, c.length < shortCall, r.block.short)
		}
	})
}

func TestMetrics_ThrottlingNeverGoesDown(t *testing.T) {
	var c throttleCount
	_, ok := c.add(Throttling{}, false)
	require.False(t, ok)
	sum, ok := c.add(Throttling{Throttled: 5, Time: time.Second}, true)
	require.True(t, ok)
	require.Equal(t, Throttling{Throttled: 5, Time: time.Second}, sum)
	sum, _ = c.add(Throttling{Throttled: 7, Time: 2 * time.Second}, true)
	require.EqualValues(t, 7, sum.Throttled)
	sum, _ = c.add(Throttling{Throttled: 1, Time: time.Second}, true) // another group
	require.EqualValues(t, 8, sum.Throttled)
	require.Equal(t, 3*time.Second, sum.Time)
	sum, ok = c.add(Throttling{}, false) // the files are gone
	require.True(t, ok)
	require.EqualValues(t, 8, sum.Throttled)
}

// Two collections at once; with -race.
func TestMetrics_ManyReadersAtOnce(t *testing.T) {
	first, second := metric.NewManualReader(), metric.NewManualReader()
	mp := metric.NewMeterProvider(metric.WithReader(first), metric.WithReader(second))
	t.Cleanup(func() { require.NoError(t, mp.Shutdown(context.Background())) })
	e := newMeasured(t, WithMeterProvider(mp))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 50 {
			collect(t, second)
		}
	}()
	for range 50 {
		require.NoError(t, e.Go(context.Background(), func(context.Context) {}))
		collect(t, first)
	}
	<-done
}
