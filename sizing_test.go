package executor

import (
	"context"
	"encoding/json"
	"math"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-97bda89a/executor/internal/cgroup"
	"github.com/stretchr/testify/require"
)

func TestSlotsFor(t *testing.T) {
	ceil := func(f float64) int { return int(math.Ceil(f)) }
	always := func(n int) func(float64) int { return func(float64) int { return n } }
	for _, c := range []struct {
		cpus       float64
		gomaxprocs int
		round      func(float64) int
		want       int
	}{
		{0, 8, nil, 8},
		{0, 8, always(3), 8}, // no quota, nothing to round
		{0.25, 8, nil, 1},
		{1, 8, nil, 1},
		{1.5, 8, nil, 1},
		{1.999, 8, nil, 1},
		{2, 8, nil, 2},
		{7.99, 8, nil, 7},
		{8, 8, nil, 8},
		{64, 8, nil, 8},
		{1e300, 8, nil, 8},
		{math.Inf(1), 8, nil, 8},
		{1.5, 1, nil, 1},
		{1.5, 8, ceil, 2},
		{1.5, 1, ceil, 1},
		{1.5, 8, always(0), 1},
		{1.5, 8, always(-7), 1},
		{1.5, 8, always(1 << 20), 8},
		{4, 0, nil, 1}, // no such GOMAXPROCS, but there is always a slot
	} {
		require.Equal(t, c.want, slotsFor(cgroup.Quota{CPUs: c.cpus, Group: "/x"}, c.gomaxprocs, c.round), "%+v", c)
	}
}

func TestSizing_SaysWhy(t *testing.T) {
	ceil := func(f float64) int { return int(math.Ceil(f)) }
	always := func(n int) func(float64) int { return func(float64) int { return n } }
	for _, c := range []struct {
		quota      float64
		group      string
		gomaxprocs int
		round      func(float64) int
		want       string
	}{
		{1.5, "/kubepods/x", 2, nil, "slots=1: floor(quota 1.5) of cgroup /kubepods/x, GOMAXPROCS=2"},
		{2, "/x", 2, nil, "slots=2: floor(quota 2) of cgroup /x, GOMAXPROCS=2"},
		{0.5, "/x", 2, nil, "slots=1: floor(quota 0.5) of cgroup /x, at least 1, GOMAXPROCS=2"},
		{6, "/x", 2, nil, "slots=2: floor(quota 6) of cgroup /x, at most GOMAXPROCS=2"},
		{1.5, "", 2, nil, "slots=1: floor(quota 1.5), GOMAXPROCS=2"},
		{1.0 / 3, "/", 4, nil, "slots=1: floor(quota 0.333333) of cgroup /, at least 1, GOMAXPROCS=4"},
		{0, "", 8, nil, "slots=8: GOMAXPROCS, no CPU quota"},
		{0, "", 8, always(3), "slots=8: GOMAXPROCS, no CPU quota"},
		{0, "", 5000, nil, "slots=4096: the most there can be, no CPU quota, GOMAXPROCS=5000"},
		{4500, "/x", 5000, nil, "slots=4096: floor(quota 4500) of cgroup /x, the most there can be, GOMAXPROCS=5000"},
		{1.5, "/x", 4, ceil, "slots=2: WithQuotaRounding(quota 1.5) of cgroup /x, GOMAXPROCS=4"},
		{1.5, "/x", 4, always(-3), "slots=1: WithQuotaRounding(quota 1.5) of cgroup /x, at least 1, GOMAXPROCS=4"},
		{1.5, "/x", 4, always(99), "slots=4: WithQuotaRounding(quota 1.5) of cgroup /x, at most GOMAXPROCS=4"},
	} {
		s := sizeFor(cgroup.Quota{CPUs: c.quota, Group: c.group}, c.gomaxprocs, c.round)
		require.Equal(t, c.want, s.String())
		require.Equal(t, Sizing{Slots: s.Slots, Quota: c.quota, Group: c.group, GOMAXPROCS: c.gomaxprocs, Reason: s.Reason}, s)
	}
	text, err := json.Marshal(sizeFor(cgroup.Quota{CPUs: 1.5, Group: "/x"}, 2, nil))
	require.NoError(t, err)
	require.JSONEq(t, `{"slots":1,"fixed":false,"quota":1.5,"group":"/x","gomaxprocs":2,"reason":"floor(quota 1.5) of cgroup /x, GOMAXPROCS=2"}`, string(text))
	require.Equal(t, Sizing{}, (*Executor)(nil).Sizing())
}

func TestSizing_FollowsTheQuotaUpAndDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newQuotaRig(t, "250")
		require.Equal(t, "slots=2: WithQuotaRounding(quota 2.5) of cgroup /, GOMAXPROCS=8", r.Sizing().String())
		require.Equal(t, 2048, r.Stats().QueueLimit)
		stop := r.use()
		for _, c := range []struct {
			percent string
			slots   int
			quota   float64
		}{{"400", 4, 4}, {"100", 1, 1}, {"50", 1, 0.5}, {"99900", 8, 999}, {"max", 8, 0}, {"300", 3, 3}} {
			r.set(c.percent)
			wait(quotaInterval + time.Millisecond)
			s := r.Stats()
			require.Equal(t, c.slots, s.Slots)
			require.InDelta(t, c.quota, s.Quota, 0)
			require.Equal(t, r.Sizing().Reason, s.Sizing)
			require.Equal(t, c.slots, r.Sizing().Slots)
			require.Equal(t, 8, r.Sizing().GOMAXPROCS)
		}
		require.Equal(t, 2048, r.Stats().QueueLimit, "the limit is decided once")
		log := r.logged()
		require.Len(t, log, 7, "one line for each decision that differs from the last")
		require.Equal(t, "INFO executor: sized executor=executor slots=3 reason=WithQuotaRounding(quota 3) of cgroup /, GOMAXPROCS=8", log[6])
		stop()
	})
}

func TestSizing_FollowsGOMAXPROCS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newQuotaRig(t, "600")
		defer r.use()()
		require.Equal(t, 6, r.Sizing().Slots)
		runtime.GOMAXPROCS(3)
		wait(2 * quotaInterval)
		require.Equal(t, "slots=3: WithQuotaRounding(quota 6) of cgroup /, at most GOMAXPROCS=3", r.Sizing().String())
		runtime.GOMAXPROCS(7)
		wait(2 * quotaInterval)
		require.Equal(t, 6, r.Stats().Slots)
	})
}

// Mutant: the keeper looks while all slots are free. Mutant: it does not look again at the first work.
func TestSizing_AnIdleExecutorDoesNotLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newQuotaRig(t, "200")
		wait(time.Hour)
		require.EqualValues(t, 1, r.looks.Load(), "New looks")
		for i, percent := range []string{"300", "400", "500"} {
			r.set(percent)
			wait(time.Hour)
			require.Equal(t, 2+i, r.Stats().Slots, "nobody has looked")
			stop := r.use()
			synctest.Wait() // and no time passes
			require.Equal(t, 3+i, r.Stats().Slots)
			stop()
			wait(time.Hour)
			require.EqualValues(t, 2+i, r.looks.Load())
		}
	})
}

// Mutant: each burst looks for itself, or each task that finds all slots free. Mutant: the first look after
// a pause comes with a timer, when the slots may be free again, so short tasks put it off for ever.
func TestSizing_LooksAtMostOnceASecond(t *testing.T) {
	for name, c := range map[string]struct{ work, pause time.Duration }{
		"steady":    {time.Millisecond, 0},
		"gaps":      {time.Millisecond, 10 * time.Millisecond},
		"instants":  {0, 10 * time.Millisecond}, // over before the keeper is there
		"long gaps": {time.Millisecond, 700 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newQuotaRig(t, "200")
				const seconds = 20
				for start := time.Now(); time.Since(start) < seconds*time.Second; {
					require.NoError(t, r.Go(context.Background(), func(context.Context) {
						time.Sleep(c.work)
					}))
					wait(c.work + c.pause)
					require.LessOrEqual(t, r.looks.Load(), 1+int64(time.Since(start)/quotaInterval))
				}
				require.GreaterOrEqual(t, r.looks.Load(), int64(seconds/2), "but often enough")
			})
		})
	}
}

// Blocked tasks whose slots were lent need no slot: nothing depends on the size until one comes back.
func TestSizing_LooksWhenABlockedTaskComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newQuotaRig(t, "100")
		blocked, back := make(chan struct{}), make(chan struct{})
		unblock, comeBack := sync.OnceFunc(func() { close(blocked) }), sync.OnceFunc(func() { close(back) })
		t.Cleanup(unblock)
		t.Cleanup(comeBack)
		require.NoError(t, r.Go(context.Background(), func(ctx context.Context) {
			Blocking(ctx, func() { <-blocked })
			<-back
		}))
		synctest.Wait()
		r.use()() // takes the slot away, and leaves it free
		wait(time.Hour)
		r.set("300")
		unblock()
		synctest.Wait()
		require.Equal(t, 3, r.Stats().Slots)
		r.set("200")
		wait(2 * quotaInterval)
		require.Equal(t, 2, r.Stats().Slots)
		comeBack()
	})
}

func TestSizing_ResizeFixesAndZeroFollowsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newQuotaRig(t, "200")
		for _, busy := range []bool{false, true} {
			stop := func() {}
			if busy {
				stop = r.use()
			}
			require.NoError(t, r.Resize(20))
			require.Equal(t, Sizing{Slots: 20, Fixed: true, GOMAXPROCS: 8, Reason: "Resize"}, r.Sizing())
			require.Equal(t, "slots=20: Resize", r.Sizing().String())
			r.set("300")
			wait(time.Hour)
			require.Equal(t, 20, r.Stats().Slots)
			require.Zero(t, r.Stats().Quota)
			looks := r.looks.Load()
			require.NoError(t, r.Resize(0))
			require.Equal(t, 3, r.Stats().Slots, "Resize(0) looks itself")
			require.Equal(t, looks+1, r.looks.Load())
			r.set("200")
			if !busy {
				wait(time.Hour)
				require.Equal(t, looks+1, r.looks.Load(), "idle again")
				stop = r.use()
			}
			wait(2 * quotaInterval)
			require.Equal(t, 2, r.Stats().Slots)
			stop()
			wait(time.Hour)
		}
	})
}

// Mutant: a decision of the keeper that was under way when Resize was called undoes it.
func TestSizing_ResizeWinsOverALookUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var e atomic.Pointer[Executor]
		round := WithQuotaRounding(func(cpus float64) int {
			if e := e.Load(); e != nil { // no lock is held, so this is allowed, if odd
				require.NoError(t, e.Resize(5))
			}
			return int(cpus)
		})
		r := newQuotaRig(t, "200", round)
		e.Store(r.Executor)
		r.set("300")
		defer r.use()()
		wait(2 * quotaInterval)
		require.Equal(t, "slots=5: Resize", r.Sizing().String())
		require.Equal(t, 5, r.Stats().Slots)
	})
}

func TestSizing_WithSlotsWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newQuotaRig(t, "200", WithSlots(20))
		require.Equal(t, "slots=20: WithSlots", r.Sizing().String())
		require.True(t, r.Sizing().Fixed)
		defer r.use()()
		wait(time.Minute)
		require.Equal(t, 20, r.Stats().Slots)
		require.Zero(t, r.looks.Load())
		require.False(t, r.sizer.reader.Holds(), "nothing is opened")
	})
}

func TestSizing_TheTighterOfReaderAndBootstrapCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		var cpus atomic.Int64
		cpus.Store(3)
		bootstrap := option(func(c *config) {
			c.bootstrap = func() (float64, bool) {
				asked.Add(1)
				return float64(cpus.Load()), cpus.Load() > 0
			}
		})
		r := newQuotaRig(t, "500", bootstrap)
		require.Equal(t, "slots=3: WithQuotaRounding(quota 3), GOMAXPROCS=8", r.Sizing().String())
		defer r.use()()
		cpus.Store(4) // the reader sees less than automaxprocs, so that is asked again
		wait(2 * quotaInterval)
		require.Equal(t, 4, r.Stats().Slots)
		cpus.Store(6)
		wait(2 * quotaInterval)
		require.Equal(t, "slots=5: WithQuotaRounding(quota 5) of cgroup /, GOMAXPROCS=8", r.Sizing().String())
		n := asked.Load()
		r.set("800") // the reader is right again, and the quota of the start no bound
		wait(time.Minute)
		require.Equal(t, 8, r.Stats().Slots)
		require.Equal(t, n, asked.Load())
		cpus.Store(0)
		require.NoError(t, r.Resize(0))
		require.Equal(t, 8, r.Stats().Slots)
	})
}

func TestSizing_EndReleasesTheReader(t *testing.T) {
	for name, opts := range map[string][]Option{"following": nil, "fixed": {WithSlots(2)}} {
		t.Run(name, func(t *testing.T) {
			r := newQuotaRig(t, "200", opts...)
			r.f.Write(t, "sys/fs/cgroup/cpu.stat", "nr_periods 7\nnr_throttled 3\nthrottled_usec 5\n")
			th, ok := r.Throttling()
			require.True(t, ok)
			require.Equal(t, Throttling{Periods: 7, Throttled: 3, Time: 5 * time.Microsecond}, th)
			before := r.Sizing()
			r.use()()
			require.NoError(t, r.Shutdown(context.Background()))
			require.False(t, r.sizer.reader.Holds())
			_, ok = r.Throttling()
			require.False(t, ok)
			require.ErrorIs(t, r.Resize(0), ErrClosed)
			require.ErrorIs(t, r.Resize(3), ErrClosed)
			require.False(t, r.sizer.reader.Holds(), "opened again after the end")
			require.Equal(t, before, r.Sizing())
		})
	}
	_, ok := (*Executor)(nil).Throttling()
	require.False(t, ok)
}

func TestSizing_RoundingMustBeAFunction(t *testing.T) {
	_, err := New(WithQuotaRounding(nil), WithSlots(0))
	require.ErrorContains(t, err, "executor: WithQuotaRounding(nil): must be a function")
	require.ErrorContains(t, err, "WithSlots(0)")
}

// Resize, looks and the end race for the size. In the end the last call of Resize counts.
func TestSizing_RacesEverything(t *testing.T) {
	for round := range 30 {
		r := newQuotaRig(t, "200", WithQuotaRounding(func(cpus float64) int {
			runtime.Gosched()
			return int(cpus)
		}))
		r.sizer.blind.Store(round%2 == 0)
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				for i := range 20 {
					_ = r.Resize([]int{0, 3, 0, 1, 40}[(i+g)%5])
					_ = r.Go(context.Background(), func(context.Context) {})
					_, _, _ = r.Sizing(), r.Stats(), strings.Count(r.Sizing().String(), "x")
					_, _ = r.Throttling()
					if s := r.Sizing(); s.Fixed && s.Quota != 0 {
						t.Errorf("%+v", s)
					}
				}
			})
		}
		wg.Wait()
		last := []int{4, 0}[round%2]
		require.NoError(t, r.Resize(last))
		require.Equal(t, []int{4, 2}[round%2], r.Stats().Slots)
		require.Equal(t, last != 0, r.Sizing().Fixed)
		require.NoError(t, r.Quiesce(context.Background()))
		s := r.Stats()
		require.Equal(t, s.Submitted, s.Completed)
		require.NoError(t, r.Close())
	}
}
