package executor

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/seed-97bda89a/executor/internal/testkit"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// figuresOf returns the figures of a name.
func figuresOf(t testing.TB, e *Executor, name string) TaskStats {
	t.Helper()
	for _, s := range e.TaskStats() {
		if s.Name == name {
			return s
		}
	}
	return TaskStats{Name: name}
}

// keepApart takes care that the test's names are among those that the process keeps apart.
func keepApart(names ...string) {
	figureNames.mu.Lock()
	defer figureNames.mu.Unlock()
	if figureNames.known == nil {
		figureNames.known = make(map[string]bool)
	}
	for _, name := range names {
		figureNames.known[name] = true
	}
}

// Every kind of task, every way to end, in place and elsewhere. Mutants: a kind that is not noted, or twice; a task below
// another of the same name; the error of one task is blamed on the next; a task is counted as ended before it is noted.
func TestTaskStats_CountEveryTaskOnce(t *testing.T) {
	keepApart("named", "inner")
	e := newTested(t, WithSlots(2), WithPanicHandler(func(context.Context, *PanicError) {}))
	named := WithTaskName(background, "named")
	const n = 50
	wantCount, wantFailed, wantPanicked := uint64(0), uint64(0), uint64(0)
	expect := func(failed, panicked uint64) { wantCount++; wantFailed += failed; wantPanicked += panicked }
	fail := func(context.Context) (int, error) { return 0, errors.New("did not work") }
	for range n {
		require.NoError(t, e.Go(named, func(context.Context) {}))
		expect(0, 0)
		require.NoError(t, e.Go(named, func(context.Context) { panic("handled") }))
		expect(0, 1)
		require.NoError(t, e.Go(named, func(context.Context) { runtime.Goexit() }))
		expect(0, 1)
		_, err := Submit(named, e, fail)
		require.NoError(t, err)
		expect(1, 0)
		g := e.NewGroup(named)
		g.Go(func(context.Context) error { return errors.New("of a group") })
		expect(1, 0)
		require.Error(t, g.Wait())
		f, err := Submit(named, e, func(ctx context.Context) (int, error) { // with a child that it runs in place
			child := Fork(ctx, func(context.Context) int { return 1 })
			other, err := Submit(WithTaskName(ctx, "inner"), e, fail)
			if err != nil {
				return 0, err
			}
			_, _ = other.Wait(ctx)
			return child.Join(ctx), nil
		})
		require.NoError(t, err)
		_, err = f.Wait(background)
		require.NoError(t, err)
		expect(0, 0)
		expect(0, 0)
		require.NoError(t, e.Go(background, func(context.Context) {})) // has no name
	}
	require.NoError(t, e.Quiesce(background))
	s := figuresOf(t, e, "named")
	require.Equal(t, [3]uint64{wantCount, wantFailed, wantPanicked}, [3]uint64{s.Count, s.Failed, s.Panicked})
	inner := figuresOf(t, e, "inner")
	require.Equal(t, [3]uint64{n, n, 0}, [3]uint64{inner.Count, inner.Failed, inner.Panicked})
	require.Len(t, s.Errors, maxTaskErrors)
	for i, err := range s.Errors {
		require.True(t, i == 0 || !s.Errors[i-1].Time.Before(err.Time), "newest first")
		require.Equal(t, err.Panic, err.Text == "handled" || err.Text == ErrGoexit.Error(), "%+v", err)
	}
	require.Equal(t, "did not work", inner.Errors[0].Text)
}

// At rest the figures are exact: what Quiesce saw end is in them. Mutant: a task is noted after it is counted.
func TestTaskStats_AreExactAtRest(t *testing.T) {
	keepApart("exact")
	e := newTested(t, WithSlots(4))
	ctx := WithTaskName(background, "exact")
	sum := uint64(0)
	for i := range 300 {
		for range 1 + i%4 {
			require.NoError(t, e.Go(ctx, func(context.Context) {}))
			sum++
		}
		require.NoError(t, e.Quiesce(background))
		require.Equal(t, sum, figuresOf(t, e, "exact").Count)
	}
}

// Mutants: each name is kept apart; the bound is for each executor.
func TestTaskStats_ManyNamesAreOther(t *testing.T) {
	figureNames.mu.Lock()
	before := figureNames.known
	figureNames.known = nil
	figureNames.mu.Unlock()
	t.Cleanup(func() { figureNames.mu.Lock(); figureNames.known = before; figureNames.mu.Unlock() })
	a, b := newTested(t, WithSlots(1)), newTested(t, WithSlots(1))
	for i := range maxFigures + 10 {
		require.NoError(t, a.Go(WithTaskName(background, fmt.Sprint("many ", i)), func(context.Context) {}))
	}
	require.NoError(t, a.Quiesce(background))
	require.NoError(t, b.Go(WithTaskName(background, "of b"), func(context.Context) {}))
	require.NoError(t, b.Quiesce(background))
	require.Len(t, a.TaskStats(), maxFigures+1)
	require.EqualValues(t, 10, figuresOf(t, a, otherTasks).Count)
	require.Len(t, b.TaskStats(), 1)
	require.EqualValues(t, 1, figuresOf(t, b, otherTasks).Count)
	require.EqualValues(t, 1, figuresOf(t, a, "many 3").Count)
}

// Mutant: quantiles are of all tasks, or of none unless an SDK takes them.
func TestTaskStats_Quantiles(t *testing.T) {
	keepApart("timed")
	e := newTested(t, WithSlots(1), WithHistogramSampling(1))
	ctx := WithTaskName(background, "timed")
	run := func() {
		require.NoError(t, e.Go(ctx, func(context.Context) { testkit.Spin(100_000) }))
		require.NoError(t, e.Quiesce(background))
	}
	run()
	require.Zero(t, figuresOf(t, e, "timed").RunP99, "nobody has asked before")
	run()
	s := figuresOf(t, e, "timed")
	require.GreaterOrEqual(t, s.RunP50.Nanoseconds(), int64(100_000))
	require.GreaterOrEqual(t, s.RunP99, s.RunP50)
	require.Positive(t, s.WaitP99)
}

// Mutants: the option is not needed; counts of an ended executor are lost, or those of the next begin at zero.
func TestTaskStats_InMetricsBehindAnOption(t *testing.T) {
	keepApart("counted")
	r, mp := newReader(t)
	ctx := WithTaskName(background, "counted")
	const metric = "executor.task.named.completed"
	for round := 1; round <= 3; round++ {
		e, err := New(WithMeterProvider(mp), WithName("with"), WithSlots(1), WithTaskMetrics())
		require.NoError(t, err)
		g := e.NewGroup(ctx)
		g.Go(func(context.Context) error { return errors.New("one fails") })
		require.Error(t, g.Wait())
		require.NoError(t, e.Go(ctx, func(context.Context) {}))
		require.NoError(t, e.Quiesce(background))
		expected := map[string]int64{"": int64(round), "error": int64(round), "panic": 0}
		require.Equal(t, expected, byError(t, collect(t, r)[metric]))
		require.NoError(t, e.Close())
		require.Equal(t, expected, byError(t, collect(t, r)[metric]))
	}
	r, mp = newReader(t)
	e := newMeasured(t, WithMeterProvider(mp))
	require.NoError(t, e.Go(ctx, func(context.Context) {}))
	require.NoError(t, e.Quiesce(background))
	require.Empty(t, collect(t, r)[metric].Name)
}

func byError(t testing.TB, m metricdata.Metrics) map[string]int64 {
	t.Helper()
	counts := map[string]int64{}
	for _, p := range m.Data.(metricdata.Sum[int64]).DataPoints {
		kind, _ := p.Attributes.Value("error.type")
		task, _ := p.Attributes.Value("executor.task.name")
		require.Equal(t, "counted", task.AsString())
		counts[kind.AsString()] += p.Value
	}
	return counts
}

// With -race: figures are read while tasks fail.
func TestTaskStats_ReadMeanwhile(t *testing.T) {
	keepApart("meanwhile")
	e := newTested(t, WithSlots(2))
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for range 200 {
				f, err := Submit(WithTaskName(background, "meanwhile"), e, func(context.Context) (int, error) {
					return 0, errors.New(strings.Repeat("long ", 1000))
				})
				if err == nil {
					_, _ = f.Wait(background)
				}
			}
		})
	}
	for range 100 {
		s := figuresOf(t, e, "meanwhile")
		require.GreaterOrEqual(t, s.Count, s.Failed)
	}
	wg.Wait()
	s := figuresOf(t, e, "meanwhile")
	require.EqualValues(t, 400, s.Failed)
	require.LessOrEqual(t, len(s.Errors[0].Text), maxRecentError+4)
}
