package executor_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

func TestNew_Defaults(t *testing.T) {
	e := newExecutor(t)
	s := e.Stats()
	require.GreaterOrEqual(t, s.Slots, 1)
	require.LessOrEqual(t, s.Slots, runtime.GOMAXPROCS(0))
	require.Equal(t, 1024*s.Slots, s.QueueLimit)
	require.Zero(t, s.Submitted)
}

func TestNew_OptionErrorsNameOptionValueAndRule(t *testing.T) {
	for _, tc := range []struct {
		opt  executor.Option
		text string
	}{
		{executor.WithSlots(0), "executor: WithSlots(0): must be at least 1"},
		{executor.WithSlots(-3), "executor: WithSlots(-3): must be at least 1"},
		{executor.WithSlots(4097), "executor: WithSlots(4097): must be at most 4096"},
		{executor.WithQueueLimit(0), "executor: WithQueueLimit(0): must be at least 1"},
		{executor.WithQueueLimit(-1), "executor: WithQueueLimit(-1): must be at least 1"},
		{executor.WithMaxSpares(-1), "executor: WithMaxSpares(-1): must be at least 0"},
		{executor.WithMaxSpares(1<<16 + 1), "executor: WithMaxSpares(65537): must be at most 65536"},
		{executor.WithBudget(-time.Second), "executor: WithBudget(-1s): must be"},
		{executor.WithKeepAlive(-time.Second), "executor: WithKeepAlive(-1s): must be"},
	} {
		e, err := executor.New(tc.opt)
		require.Error(t, err, tc.text)
		require.Nil(t, e, tc.text)
		require.Contains(t, err.Error(), tc.text)
	}
	_, err := executor.New(executor.WithSlots(0))
	require.EqualError(t, err, "executor: WithSlots(0): must be at least 1")
}

func TestNew_ReportsEveryBadOptionAtOnce(t *testing.T) {
	_, err := executor.New(executor.WithSlots(0), executor.WithName("ok"), executor.WithQueueLimit(-7), executor.WithMaxSpares(-1))
	require.Error(t, err)
	var joined interface{ Unwrap() []error }
	require.ErrorAs(t, err, &joined)
	require.Len(t, joined.Unwrap(), 3)
	for _, want := range []string{"WithSlots(0)", "WithQueueLimit(-7)", "WithMaxSpares(-1)"} {
		require.Contains(t, err.Error(), want)
	}
}

func TestNew_TakesTheLimitsItDocuments(t *testing.T) {
	for _, o := range []executor.Option{
		executor.WithSlots(1), executor.WithSlots(4096), executor.WithQueueLimit(1),
		executor.WithMaxSpares(0), executor.WithMaxSpares(1 << 16),
	} {
		e, err := executor.New(o)
		require.NoError(t, err)
		require.NoError(t, e.Close())
	}
}

func TestGo_RunsTheTaskWithItsContext(t *testing.T) {
	e := newExecutor(t)
	for name, submit := range map[string]func(context.Context, func(context.Context)) error{"Go": e.Go, "TryGo": e.TryGo} {
		ctx := context.WithValue(context.Background(), ctxKey{}, name)
		got := make(chan error, 1)
		require.NoError(t, submit(ctx, func(ctx context.Context) {
			of, ok := executor.FromContext(ctx)
			if ctx.Value(ctxKey{}) != name || !ok || of != e || ctx.Err() != nil {
				got <- fmt.Errorf("%s: value %v, executor %v %v, err %v", name, ctx.Value(ctxKey{}), of, ok, ctx.Err())
			}
			got <- nil
		}))
		require.NoError(t, await(t, "the task runs", got))
	}
}

func TestSubmit_GivesResultAndErrorAnyNumberOfTimes(t *testing.T) {
	e := newExecutor(t)
	bad := errors.New("bad")
	for name, submit := range map[string]func(context.Context, *executor.Executor, func(context.Context) (int, error)) (*executor.Future[int], error){
		"Submit": executor.Submit[int], "TrySubmit": executor.TrySubmit[int],
	} {
		f, err := submit(context.Background(), e, func(context.Context) (int, error) { return 42, bad })
		require.NoError(t, err, name)
		canceled, cancel := context.WithCancel(context.Background())
		cancel()
		await(t, name, f.Done())
		for _, ctx := range []context.Context{context.Background(), canceled, context.Background()} {
			v, err := f.Wait(ctx)
			require.ErrorIs(t, err, bad, name)
			require.Equal(t, 42, v, name)
			require.NotErrorIs(t, err, context.Canceled, name)
		}
	}
}

func TestFuture_WaitLeavesWhenItsContextIsDone(t *testing.T) {
	e := bare(t, 1)
	g := stick(t, e, 1)
	f, err := executor.Submit(context.Background(), e, func(context.Context) (int, error) { return 7, nil })
	require.NoError(t, err)
	cause := errors.New("cause")
	ctx, cancel := context.WithCancelCause(context.Background())
	errs := make(chan error, 1)
	go func() {
		_, err := f.Wait(ctx)
		errs <- err
	}()
	cancel(cause)
	err = await(t, "Wait leaves", errs)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, cause)
	g.Open()
	require.NoError(t, result(t, f))
	v, err := f.Wait(ctx)
	require.NoError(t, err, "a finished future gives its result whatever the context")
	require.Equal(t, 7, v)
}

func TestFromContext_KnowsOnlyTaskContexts(t *testing.T) {
	a, b := bare(t, 1), bare(t, 1)
	_, ok := executor.FromContext(context.Background())
	require.False(t, ok)
	require.NoError(t, inTask(t, a, func(ctx context.Context) error {
		for _, k := range ctxKinds {
			c, cancel := k.Of(ctx)
			of, ok := executor.FromContext(c)
			cancel()
			if want := k.Name != "Background"; ok != want || (want && of != a) {
				return fmt.Errorf("%s: %v %v", k.Name, of, ok)
			}
		}
		f, err := executor.Submit(ctx, b, func(ctx context.Context) (*executor.Executor, error) {
			of, _ := executor.FromContext(ctx)
			return of, nil
		})
		if err != nil {
			return err
		}
		if of, err := f.Wait(ctx); err != nil || of != b {
			return fmt.Errorf("a task of b under a's context belongs to %p, not %p (%v)", of, b, err)
		}
		return nil
	}))
}

func TestStats_EveryFieldHasAJSONKey(t *testing.T) {
	e := bare(t, 3, executor.WithQueueLimit(77))
	typ := reflect.TypeOf(executor.Stats{})
	keys := map[string]string{}
	for _, name := range strings.Fields(`Slots Running Idle Blocked Spares Queued QueueLimit Waiting Submitted Completed
		Failed Panicked Canceled Rejected Stolen Parks Handoffs Uncompensated Compensated Yields`) {
		f, ok := typ.FieldByName(name)
		require.True(t, ok, name)
		tag := f.Tag.Get("json")
		require.NotEmpty(t, tag, name)
		require.NotContains(t, tag, ",", "%s: a key that can be left out is no use to a reader", name)
		require.Empty(t, keys[tag], "%s and %s share a key", name, keys[tag])
		keys[tag] = name
	}
	s := e.Stats()
	require.Equal(t, 3, s.Slots)
	require.Equal(t, 77, s.QueueLimit)
	text, err := json.Marshal(s)
	require.NoError(t, err)
	var back executor.Stats
	require.NoError(t, json.Unmarshal(text, &back))
	require.Equal(t, s, back)
}

// points collects name -> executor.name -> value from the reader.
func points(t testing.TB, r *metric.ManualReader) (values map[string]map[string]int64, units map[string]string) {
	t.Helper()
	var rm metricdata.ResourceMetrics
	require.NoError(t, r.Collect(context.Background(), &rm))
	values, units = map[string]map[string]int64{}, map[string]string{}
	for _, sm := range rm.ScopeMetrics {
		for _, m := range sm.Metrics {
			if strings.HasPrefix(m.Name, "executor.bulkhead.") || m.Name == "executor.names.forgotten" {
				continue // of the process
			}
			units[m.Name] = m.Unit
			var dps []metricdata.DataPoint[int64]
			switch d := m.Data.(type) {
			case metricdata.Sum[int64]:
				dps = d.DataPoints
			case metricdata.Gauge[int64]:
				dps = d.DataPoints
			}
			for _, dp := range dps {
				v, ok := dp.Attributes.Value("executor.name")
				assert.True(t, ok, "%s has no executor.name", m.Name)
				if values[m.Name] == nil {
					values[m.Name] = map[string]int64{}
				}
				values[m.Name][v.AsString()] += dp.Value
			}
		}
	}
	return values, units
}

func TestMetrics_ShowTheStatsUnderUniqueNames(t *testing.T) {
	r := metric.NewManualReader()
	mp := metric.NewMeterProvider(metric.WithReader(r))
	defer func() { require.NoError(t, mp.Shutdown(context.Background())) }()
	opts := []executor.Option{executor.WithMeterProvider(mp), executor.WithName("x"), executor.WithQueueLimit(9)}
	a, b := bare(t, 1, opts...), bare(t, 2, opts...)
	for range 5 {
		require.NoError(t, a.Go(context.Background(), func(context.Context) {}))
	}
	quiet(t, a)
	values, units := points(t, r)
	require.Equal(t, map[string]int64{"x": 1, "x-2": 2}, values["executor.slot.limit"])
	require.Equal(t, map[string]int64{"x": 5, "x-2": 0}, values["executor.task.submitted"])
	require.EqualValues(t, 5, values["executor.task.completed"]["x"])
	require.Equal(t, map[string]int64{"x": 9, "x-2": 9}, values["executor.queue.capacity"])
	require.Equal(t, map[string]int64{"x": 0, "x-2": 0}, values["executor.queue.size"])
	for name, unit := range map[string]string{
		"executor.slot.limit": "{slot}", "executor.queue.size": "{task}", "executor.queue.capacity": "{task}",
		"executor.submitter.waiting": "{goroutine}", "executor.task.submitted": "{task}",
		"executor.task.completed": "{task}", "executor.task.stolen": "{task}",
	} {
		require.Equal(t, unit, units[name], name)
	}

	require.NoError(t, a.Close())
	values, _ = points(t, r)
	require.Equal(t, map[string]int64{"x-2": 0}, values["executor.queue.size"], "a closed executor has no gauges")
	require.Equal(t, map[string]int64{"x": 5, "x-2": 0}, values["executor.task.submitted"], "but its counts")
	require.Equal(t, map[string]int64{"x-2": 2}, values["executor.slot.limit"])
	c := bare(t, 3, opts...)
	values, _ = points(t, r)
	require.Equal(t, map[string]int64{"x": 3, "x-2": 2}, values["executor.slot.limit"], "the name of a closed executor is free again")
	require.NoError(t, c.Close())
	require.NoError(t, b.Shutdown(context.Background()))
	values, _ = points(t, r)
	require.Empty(t, values["executor.slot.limit"])
	require.Equal(t, map[string]int64{"x": 5, "x-2": 0}, values["executor.task.submitted"])
}

func TestMetrics_CountRefusals(t *testing.T) {
	r := metric.NewManualReader()
	mp := metric.NewMeterProvider(metric.WithReader(r))
	defer func() { require.NoError(t, mp.Shutdown(context.Background())) }()
	e := bare(t, 1, executor.WithMeterProvider(mp), executor.WithName("refusals"), executor.WithQueueLimit(1))
	stick(t, e, 1)
	require.NoError(t, e.TryGo(context.Background(), func(context.Context) {}))
	for range 3 {
		require.ErrorIs(t, e.TryGo(context.Background(), func(context.Context) {}), executor.ErrQueueFull)
	}
	values, _ := points(t, r)
	require.EqualValues(t, 3, values["executor.task.rejected"]["refusals"])
	require.EqualValues(t, 1, values["executor.queue.size"]["refusals"])
	require.EqualValues(t, 3, e.Stats().Rejected)
}

// Many executors whose tasks stand still cost as many dumps of stacks as one, and each gets its stack out of the same.
//
// Mutant: each executor takes its own.
func TestReport_OneDumpForAllExecutors(t *testing.T) {
	gate := newGate(t)
	taken, begin := executor.DumpsTaken(), time.Now()
	seen := make(map[*executor.Executor]bool)
	for range 8 {
		e := newExecutor(t, executor.WithSlots(1), executor.WithStallDetection(false))
		require.NoError(t, e.Go(t.Context(), func(context.Context) { gate.Wait() }))
		seen[e] = false
	}
	eventually(t, "each stack is seen", func() bool {
		all := true
		for e, in := range seen {
			seen[e] = in || e.Report().Slots[0].In == "chan receive"
			all = all && seen[e]
		}
		return all
	})
	require.Greater(t, executor.DumpsTaken(), taken)
	require.LessOrEqual(t, executor.DumpsTaken()-taken, 1+int(time.Since(begin)/(500*time.Millisecond)))
	gate.Open()
}
