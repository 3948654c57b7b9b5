package jobs_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/executortest"
	"github.com/seed-97bda89a/executor/jobs"
	"github.com/stretchr/testify/require"
)

var bg = context.Background()

type order struct {
	Customer string
	N        int
}

// soon is a back-off that tests need not wait for.
var soon = jobs.Backoff(time.Nanosecond, time.Nanosecond)

func TestLocal_RunsWithTheArguments(t *testing.T) {
	for name, opts := range map[string][]jobs.LocalOption{"as they are": nil, "strict": {jobs.Strict}} {
		t.Run(name, func(t *testing.T) {
			got := make(chan order, 1)
			kind := jobs.Define("ship", func(ctx context.Context, o order) error {
				info, ok := jobs.InfoOf(ctx)
				require.True(t, ok)
				require.Equal(t, 1, info.Attempt)
				require.Equal(t, "ship", info.Kind)
				require.Nil(t, ctx.Value("a"), "values of the sender do not travel")
				got <- o
				return nil
			})
			on := jobs.Local(executortest.New(t), opts...)
			//lint:ignore SA1029 a plain key is enough here
			require.NoError(t, kind.Go(context.WithValue(bg, "a", 1), on, order{"ann", 7}))
			require.Equal(t, order{"ann", 7}, <-got)
		})
	}
}

// Strict finds what would not travel; without it Local takes it.
func TestLocal_StrictFindsWhatDoesNotTravel(t *testing.T) {
	type args struct{ Done chan struct{} }
	kind := jobs.Define("signal", func(_ context.Context, a args) error { close(a.Done); return nil })
	done := make(chan struct{})
	require.NoError(t, kind.Go(bg, jobs.Local(executortest.New(t)), args{done}))
	<-done
	require.ErrorContains(t, kind.Go(bg, jobs.Local(executortest.New(t), jobs.Strict), args{done}), "unsupported type: chan")
}

func TestLocal_AttemptsThenADeadLetter(t *testing.T) {
	var runs atomic.Int32
	boom := errors.New("disk\nfull")
	kind := jobs.Define("save", func(context.Context, int) error { runs.Add(1); return boom }, jobs.Attempts(3), soon)
	exec := executortest.New(t)
	on := jobs.Local(exec)
	require.NoError(t, kind.Go(bg, on, 1))
	dead := waitDead(t, on, 1)
	require.EqualValues(t, 3, runs.Load())
	require.Equal(t, "attempt 3 of 3 failed: disk full", dead[0].Reason)
	require.Equal(t, 3, dead[0].Attempt)
}

type graveyard interface{ Dead() []jobs.DeadLetter }

func waitDead(t *testing.T, on graveyard, n int) []jobs.DeadLetter {
	t.Helper()
	waitFor(t, func() bool { return len(on.Dead()) >= n })
	dead := on.Dead()
	require.Len(t, dead, n)
	return dead
}

// waitFor has no bound but the test's own.
func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for !ok() {
		time.Sleep(time.Millisecond)
	}
}

func TestLocal_WhatEndsAJobAtOnce(t *testing.T) {
	runs := make(map[string]int)
	var mu sync.Mutex
	kind := jobs.Define("end", func(ctx context.Context, how string) error {
		mu.Lock()
		runs[how]++
		mu.Unlock()
		switch how {
		case "permanent":
			return jobs.Permanent(errors.New("no such file"))
		case "panic":
			panic("oh")
		case "goexit":
			runtime.Goexit()
		}
		return nil
	}, jobs.Attempts(2), soon)
	on := jobs.Local(executortest.New(t))
	for _, how := range []string{"permanent", "panic", "goexit"} {
		require.NoError(t, kind.Go(bg, on, how))
	}
	require.NoError(t, kind.Go(bg, on, "late", jobs.Until(time.Now().Add(-time.Second))))
	reasons := make(map[int]string)
	for i, d := range waitDead(t, on, 4) {
		reasons[i] = d.Reason
	}
	all := reasons[0] + "|" + reasons[1] + "|" + reasons[2] + "|" + reasons[3]
	require.Contains(t, all, "permanent: no such file")
	require.Contains(t, all, "attempt 2 of 2 failed: executor: task panicked: oh")
	require.Contains(t, all, "attempt 2 of 2 failed: "+executor.ErrGoexit.Error())
	require.Contains(t, all, "expired")
	require.Equal(t, map[string]int{"permanent": 1, "panic": 2, "goexit": 2}, runs)
}

// A job that fails keeps its key's turn. Mutant: Retry without inPlace, which lets the next job of the key overtake.
func TestLocal_KeysKeepTheirOrder(t *testing.T) {
	var mu sync.Mutex
	got := make(map[string][]int)
	failed := make(map[order]bool)
	kind := jobs.Define("bill", func(_ context.Context, o order) error {
		mu.Lock()
		defer mu.Unlock()
		if o.N%7 == 3 && !failed[o] {
			failed[o] = true
			return errors.New("once")
		}
		got[o.Customer] = append(got[o.Customer], o.N)
		return nil
	}, jobs.KeyOf(func(o order) string { return o.Customer }), soon)
	exec := executortest.New(t, executor.WithSlots(4))
	on := jobs.Local(exec)
	const n = 50
	for i := range n {
		for _, c := range []string{"ann", "bob", "cyd"} {
			require.NoError(t, kind.Go(bg, on, order{c, i}))
		}
	}
	waitFor(t, func() bool { return on.Stats().Done == 3*n })
	mu.Lock()
	defer mu.Unlock()
	for c, list := range got {
		for i := range n {
			require.Equal(t, i, list[i], c)
		}
	}
}

func TestLocal_DelayAndDedupe(t *testing.T) {
	ran := make(chan time.Time, 4)
	kind := jobs.Define("mail", func(context.Context, int) error { ran <- time.Now(); return nil })
	on := jobs.Local(executortest.New(t))
	sent := time.Now()
	require.NoError(t, kind.Go(bg, on, 1, jobs.Delay(20*time.Millisecond), jobs.Dedupe("a")))
	require.NoError(t, kind.Go(bg, on, 2, jobs.Dedupe("a")))
	require.GreaterOrEqual(t, (<-ran).Sub(sent), 20*time.Millisecond)
	require.NoError(t, kind.Go(bg, on, 3, jobs.At(time.Now().Add(time.Millisecond)), jobs.Key("k")))
	<-ran
	waitFor(t, func() bool { return on.Stats().Done == 2 })
	require.Empty(t, ran)
}

func TestLocal_EndsWithItsExecutor(t *testing.T) {
	exec, err := executor.New()
	require.NoError(t, err)
	on := jobs.Local(exec)
	kind := jobs.Define("x", func(context.Context, int) error { return nil })
	require.NoError(t, exec.Shutdown(bg))
	require.ErrorIs(t, kind.Go(bg, on, 1, jobs.Dedupe("1")), executor.ErrClosed)
	require.ErrorIs(t, kind.Go(bg, on, 1, jobs.Dedupe("1")), executor.ErrClosed, "what was refused is not remembered")
}

// Bad input has a clear error, and nothing is started.
func TestBadInput(t *testing.T) {
	handler := func(context.Context, int) error { return nil }
	on := jobs.Local(executortest.New(t))
	for want, err := range map[string]error{
		`jobs: Define: a name "a b": only letters, digits, - and _`:   jobs.Define("a b", handler).Go(bg, on, 1),
		"jobs: Define: a name: must not be empty":                     jobs.Define("", handler).Go(bg, on, 1),
		`jobs: Define("x"): the handler must not be nil`:              jobs.Define[int]("x", nil).Go(bg, on, 1),
		"jobs: Attempts(0): must be at least 1":                       jobs.Define("x", handler, jobs.Attempts(0)).Go(bg, on, 1),
		"jobs: Backoff(0s, 1s): must be above 0":                      jobs.Define("x", handler, jobs.Backoff(0, time.Second)).Go(bg, on, 1),
		"jobs: Deadline(-1ns): must be above 0":                       jobs.Define("x", handler, jobs.Deadline(-1)).Go(bg, on, 1),
		"jobs: MaxBytes(0): must be at least 1":                       jobs.Define("x", handler, jobs.MaxBytes(0)).Go(bg, on, 1),
		"jobs: Encoding: the codec must not be nil":                   jobs.Define("x", handler, jobs.Encoding(nil)).Go(bg, on, 1),
		"jobs: KeyOf: the function must not be nil":                   jobs.Define("x", handler, jobs.KeyOf[int](nil)).Go(bg, on, 1),
		"jobs: KeyOf: the kind's arguments are a int":                 jobs.Define("x", handler, jobs.KeyOf(func(string) string { return "" })).Go(bg, on, 1),
		`jobs: Define("x"): policy 0 is nil`:                          jobs.Define("x", handler, nil).Go(bg, on, 1),
		"jobs: x.Go: the Sender must not be nil":                      jobs.Define("x", handler).Go(bg, nil, 1),
		"jobs: x.Go: an option is nil":                                jobs.Define("x", handler).Go(bg, on, 1, nil),
		"jobs: Delay(-1ns): must not be negative":                     jobs.Define("x", handler).Go(bg, on, 1, jobs.Delay(-1)),
		"jobs: Dedupe: an id of 0 bytes: must have 1 to 512":          jobs.Define("x", handler).Go(bg, on, 1, jobs.Dedupe("")),
		"jobs: Local: the executor must not be nil":                   jobs.Define("x", handler).Go(bg, jobs.Local(nil), 1),
		"jobs: Local: option 0 is nil":                                jobs.Define("x", handler).Go(bg, jobs.Local(executortest.New(t), nil), 1),
		"jobs: Local runs what Kind.Go sends, and nothing else":       on.Send(bg, &jobs.Message{Kind: "x"}),
		"jobs: Memory(0s): the lease must be above 0":                 jobs.Define("x", handler).Go(bg, jobs.Memory(0), 1),
		"jobs: Serve: the executor must not be nil":                   jobs.Serve(bg, nil, jobs.Memory(1), nil),
		"jobs: Serve: the Source must not be nil":                     jobs.Serve(bg, executortest.New(t), nil, nil),
		"jobs: Serve: kind 0 is nil":                                  jobs.Serve(bg, executortest.New(t), on, jobs.Kinds(nil)),
		`jobs: Serve: two kinds are named "x"`:                        jobs.Serve(bg, executortest.New(t), on, jobs.Kinds(jobs.Define("x", handler), jobs.Define("x", handler))),
		"jobs: MaxInFlight(0): must be at least 1":                    jobs.Serve(bg, executortest.New(t), on, nil, jobs.MaxInFlight(0)),
		"jobs: Prefetch(-1): must not be negative":                    jobs.Serve(bg, executortest.New(t), on, nil, jobs.Prefetch(-1)),
		"jobs: Serve: option 0 is nil":                                jobs.Serve(bg, executortest.New(t), on, nil, nil),
		"jobs: x.Go: 4 bytes, at most 3: " + jobs.ErrTooLarge.Error(): jobs.Define("x", handler, jobs.MaxBytes(3)).Go(bg, jobs.Memory(time.Minute), 1000),
	} {
		require.ErrorContains(t, err, want)
	}
}
