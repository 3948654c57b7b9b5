package executor

import (
	"bytes"
	"context"
	"runtime/pprof"
	rtrace "runtime/trace"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// profileLabels gives the labels of the goroutine that calls it, as the goroutine profile prints them.
//
//go:noinline
func profileLabels() string {
	var buf bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&buf, 1); err != nil {
		return err.Error()
	}
	for record := range strings.SplitSeq(buf.String(), "\n\n") {
		if !strings.Contains(record, "executor.profileLabels") {
			continue
		}
		for line := range strings.Lines(record) {
			if labels, ok := strings.CutPrefix(line, "# labels: "); ok {
				return strings.TrimSpace(labels)
			}
		}
	}
	return ""
}

// Labels are on while a named task runs, and gone after it, wherever it ran. Mutants: no reset after a task
// run in place, after one of Go, or after one that yields; labels of the task before on an unnamed one.
func TestNames_LabelsOnlyWhileTheTaskRuns(t *testing.T) {
	e := newMeasured(t, WithName("labels"))
	const none = `{"executor":"labels"}`
	of := func(name string) string { return `{"executor":"labels", "task":"` + name + `"}` }
	ctx := context.Background()
	var seen []string
	look := func() { seen = append(seen, profileLabels()) }
	bare := func(ctx context.Context) {
		require.NoError(t, e.Go(ctx, func(context.Context) { look() }))
	}
	bare(WithTaskName(ctx, "one"))
	bare(ctx)
	bare(WithTaskName(ctx, "two"))
	bare(WithTaskName(WithTaskName(ctx, "hidden"), "three"))
	bare(WithTaskName(WithTaskName(ctx, "hidden"), ""))
	require.NoError(t, e.Quiesce(ctx))
	require.Equal(t, []string{of("one"), none, of("two"), of("three"), none}, seen)

	bare(WithTaskName(ctx, "last"))
	require.NoError(t, e.Quiesce(ctx))
	require.NoError(t, settled(e, patience))

	seen = nil
	f, err := Submit(WithTaskName(ctx, "outer"), e, func(ctx context.Context) (int, error) {
		look()
		Fork(WithTaskName(ctx, "fork"), func(context.Context) int { look(); return 1 }).Join(ctx)
		look()
		Fork(ctx, func(context.Context) int { look(); return 1 }).Join(ctx) // has the name of its task
		inner, err := Submit(context.Background(), e, func(context.Context) (int, error) { look(); return 1, nil })
		if err != nil {
			return 0, err
		}
		_, err = inner.Wait(ctx)
		look()
		return 1, err
	})
	require.NoError(t, err)
	_, err = f.Wait(ctx)
	require.NoError(t, err)
	require.NoError(t, e.Quiesce(ctx))
	require.Equal(t, []string{of("outer"), of("fork"), of("outer"), of("outer"), none, of("outer")}, seen)

	seen = nil
	f, err = Submit(WithTaskName(ctx, "yields"), e, func(ctx context.Context) (int, error) {
		bare(context.Background())
		err := Yield(ctx)
		look()
		return 1, err
	})
	require.NoError(t, err)
	_, err = f.Wait(ctx)
	require.NoError(t, err)
	require.NoError(t, e.Quiesce(ctx))
	require.ElementsMatch(t, []string{none, of("yields")}, seen)
	require.NoError(t, settled(e, patience))
}

// However many names there are, an executor keeps only so many.
func TestNames_AreBounded(t *testing.T) {
	e := newMeasured(t)
	for i := range maxTaskNames + 100 {
		require.NoError(t, e.Go(WithTaskName(context.Background(), strconv.Itoa(i)), func(context.Context) {}))
	}
	require.NoError(t, e.Quiesce(context.Background()))
	n := 0
	e.taskNames.known.Range(func(any, any) bool { n++; return true })
	require.Equal(t, maxTaskNames, n)
}

type otherKey struct{}

func TestNames_ContextStaysThatOfTheTask(t *testing.T) {
	e := newMeasured(t)
	ctx := context.WithValue(context.Background(), otherKey{}, "kept")
	f, err := Submit(ctx, e, func(ctx context.Context) (int, error) {
		ctx = WithTaskName(ctx, "x")
		own, ok := FromContext(ctx)
		require.True(t, ok && own == e)
		require.Equal(t, "kept", ctx.Value(otherKey{}))
		require.NoError(t, Checkpoint(ctx))
		return 1, nil
	})
	require.NoError(t, err)
	_, err = f.Wait(ctx)
	require.NoError(t, err)
	var none context.Context
	require.Panics(t, func() { WithTaskName(none, "x") })
}

// While the execution tracer runs, tasks and regions are in the trace; the context of a task has the trace's
// task, so that a user's regions belong to it.
func TestNames_ExecutionTracer(t *testing.T) {
	if rtrace.IsEnabled() {
		t.Skip("the tests themselves are traced")
	}
	for name, record := range map[string]func(t *testing.T, run func()) []byte{
		"trace": func(t *testing.T, run func()) []byte {
			var buf bytes.Buffer
			require.NoError(t, rtrace.Start(&buf))
			run()
			rtrace.Stop()
			return buf.Bytes()
		},
		"flight recorder": func(t *testing.T, run func()) []byte {
			fr := rtrace.NewFlightRecorder(rtrace.FlightRecorderConfig{})
			require.NoError(t, fr.Start())
			defer fr.Stop()
			run()
			var buf bytes.Buffer
			_, err := fr.WriteTo(&buf)
			require.NoError(t, err)
			return buf.Bytes()
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := newMeasured(t)
			text := string(record(t, func() {
				runSome(t, e)
				f, err := Submit(WithTaskName(context.Background(), "reindex"), e, func(ctx context.Context) (int, error) {
					if rtrace.IsEnabled() {
						defer rtrace.StartRegion(ctx, "a user's region").End()
					}
					Blocking(ctx, func() {})
					return 1, nil
				})
				require.NoError(t, err)
				_, err = f.Wait(context.Background())
				require.NoError(t, err)
				require.NoError(t, e.Quiesce(context.Background()))
			}))
			for _, want := range []string{defaultTaskName, "reindex", "executor.run", "executor.blocking", "a user's region"} {
				require.Contains(t, text, want)
			}
			require.NoError(t, settled(e, patience))
		})
	}
}

// A new executor gets the first suffix that is free, also where somebody has used such a name, and 4,000 executors of one name
// need not try all names before: that took 5.6 s. Mutants: each name is tried from "-2" on; a freed number is not used again, or the
// newest first; a number that somebody's own name stood in the way of is lost.
func TestNames_TheFirstSuffixThatIsFree(t *testing.T) {
	const n = 4000
	var table nameTable
	table.take("x")
	for i := 2; i <= n; i++ {
		require.Equal(t, "x-"+strconv.Itoa(i), table.take("x"))
	}
	require.LessOrEqual(t, testing.AllocsPerRun(10, func() { table.give(table.take("x")) }), 8.0)
	for _, i := range []int{7, 3999, 5, 2} {
		table.give("x-" + strconv.Itoa(i))
	}
	require.Equal(t, "x-2", table.take("x-2"), "a name of somebody's own")
	require.Equal(t, "x-5", table.take("x"))
	require.Equal(t, "x-2-2", table.take("x-2"))
	table.give("x-2")
	table.give("x")
	require.Equal(t, "x", table.take("x"))
	require.Equal(t, "x-2", table.take("x"))
	require.Equal(t, []string{"x-7", "x-3999", "x-4001"}, []string{table.take("x"), table.take("x"), table.take("x")})
	for i := 2; i <= n+1; i++ {
		table.give("x-" + strconv.Itoa(i))
	}
	table.give("x")
	table.give("x-2-2")
	require.Empty(t, table.taken)
	require.Empty(t, table.series)
}
