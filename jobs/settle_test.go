package jobs

import (
	"errors"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
)

// Each row was seen to fail with its case of decide removed.
func TestDecide(t *testing.T) {
	p := defaultPolicy()
	p.attempts = 3
	bad := errors.New("bad")
	for name, c := range map[string]struct {
		attempt    int
		last       bool
		err, cause error
		want       verdict
		after      time.Duration
	}{
		"done":                              {1, false, nil, nil, ack, 0},
		"done while draining":               {1, false, nil, ErrDraining, ack, 0},
		"failed while draining":             {1, false, bad, ErrDraining, giveBack, 0},
		"the last attempt, while draining":  {3, true, bad, ErrDraining, giveBack, 0},
		"failed when the executor closed":   {3, false, bad, errors.Join(errors.New("x"), executor.ErrClosed), giveBack, 0},
		"permanent":                         {1, false, Permanent(bad), nil, giveUp, 0},
		"permanent, wrapped":                {1, false, errors.Join(bad, Permanent(bad)), nil, giveUp, 0},
		"last attempt":                      {3, false, bad, nil, giveUp, 0},
		"the broker's last":                 {1, true, bad, nil, giveUp, 0},
		"its own pause":                     {1, false, RetryIn(time.Hour, bad), nil, retry, time.Hour},
		"its own pause at the last attempt": {3, false, RetryIn(time.Hour, bad), nil, giveUp, 0},
		"postponed":                         {1, false, Postpone(time.Hour, bad), nil, giveBack, time.Hour},
		"postponed at the last attempt":     {3, false, Postpone(time.Hour, bad), nil, giveBack, time.Hour},
	} {
		v, after, _ := decide(&p, c.attempt, c.last, c.err, c.cause)
		require.Equal(t, c.want, v, name)
		require.Equal(t, c.after, after, name)
	}
	v, after, _ := decide(&p, 1, false, bad, nil)
	require.Equal(t, retry, v)
	require.Less(t, after, p.least)
	require.Nil(t, Permanent(nil))
	require.Nil(t, RetryIn(1, nil))
	require.Nil(t, Postpone(1, nil))
	require.ErrorIs(t, Permanent(bad), bad)
}

func TestBackoffIsFullJitterAndNeverOverflows(t *testing.T) {
	p := policy{least: time.Second, most: time.Minute}
	require.Zero(t, p.after(1, 0))
	require.Equal(t, 500*time.Millisecond, p.after(1, .5))
	require.Equal(t, 4*time.Second, p.after(4, .5))
	for attempt := 7; attempt < 200; attempt++ {
		require.Equal(t, 30*time.Second, p.after(attempt, .5), attempt)
	}
	p = policy{least: 1 << 62, most: 1<<63 - 1}
	require.Equal(t, time.Duration(1<<62), p.after(1, 1))
	require.Positive(t, p.after(2, .5))
}

func TestAdvise(t *testing.T) {
	require.Empty(t, Advise(Stats{Slots: 2, Prefetch: 64, MeanRun: time.Millisecond, Lease: time.Second, Kinds: map[string]KindStats{"a": {Done: 100, Dead: 1}}}))
	var kinds []string
	for _, a := range Advise(Stats{
		Slots: 2, Prefetch: 64, MeanRun: time.Second, Lease: 30 * time.Second, ExtendErrors: 1, Overdue: 1,
		Kinds: map[string]KindStats{"a": {Done: 10, Dead: 1}}, Depth: Depth{Waiting: 1, Oldest: time.Hour},
	}) {
		require.NotEmpty(t, a.Problem)
		require.NotEmpty(t, a.Remedy)
		kinds = append(kinds, a.Kind)
	}
	require.Equal(t, []string{"prefetch", "ack-wait", "deadline", "poison", "backlog"}, kinds)
	for problem, s := range map[string]Stats{
		"was told too late 2 times": {Lease: time.Second, Lost: 2, MeanRun: time.Hour},
		"told about 33 times":       {Lease: time.Second, MeanRun: 11 * time.Second},
	} {
		list := Advise(s)
		require.Len(t, list, 1)
		require.Equal(t, "ack-wait", list[0].Kind)
		require.Contains(t, list[0].Problem, problem)
	}
	require.Empty(t, Advise(Stats{Lease: time.Second, MeanRun: 9 * time.Second}))
}

// What a worker may ask for. Mutants: without each of the conditions and terms of free; >= for >.
func TestWorkerFree(t *testing.T) {
	for _, c := range []struct{ prefetch, most, held, waiting, want int }{
		{0, 8, 0, 0, 8}, {0, 8, 3, 0, 5}, {0, 8, 8, 0, 0}, {0, 8, 3, 1, 0}, {0, 2, 3, 0, -1},
		{16, 24, 0, 0, 16}, {16, 24, 10, 8, 8}, {16, 24, 11, 9, 0}, {16, 24, 20, 0, 4}, {16, 24, 24, 4, 0}, {1, 5, 1, 1, 0}, {1, 5, 1, 0, 1},
	} {
		w := &Worker{cfg: serveConfig{prefetch: c.prefetch}, waiting: c.waiting, held: make(map[*held]struct{})}
		for range c.held {
			w.held[new(held)] = struct{}{}
		}
		require.Equal(t, c.want, w.free(c.most), "%+v", c)
		w.asking = 2 // on its way already
		require.LessOrEqual(t, w.free(c.most), max(c.most-c.held-2, 0), "%+v", c)
	}
}

// A job is lost to others if its lease was over before the broker was told, and once at most. Mutants: each condition of late removed.
func TestWorkerLate(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		lease       time.Duration
		told, until time.Duration // before and after now
		want        uint64
	}{
		"told in time":      {time.Second, time.Second, time.Hour, 0},
		"too late":          {time.Second, time.Second + 1, time.Hour, 1},
		"no lease":          {0, time.Hour, time.Hour, 0},
		"past its deadline": {time.Second, time.Hour, 0, 0},
	} {
		w := &Worker{r: &runner{lease: c.lease}}
		h := &held{told: now.Add(-c.told), until: now.Add(c.until)}
		for range 2 {
			w.late(h, now)
		}
		require.Equal(t, c.want, w.r.count.lost.Load(), name)
	}
}
