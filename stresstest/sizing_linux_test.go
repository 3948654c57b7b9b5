//go:build linux

package stresstest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/internal/cgroup/cgrouptest"
	"github.com/stretchr/testify/require"
)

// The slots of a real executor in a real cgroup. The child has an executor and works, the parent
// changes the quota and asks.

// sizeView is what the child answers.
type sizeView struct {
	Sizing     executor.Sizing
	Text       string
	Stats      executor.Stats
	GOMAXPROCS int
	Throttling executor.Throttling
	HasNumbers bool

	Accepted, Ran, Twice int64
}

// sizeChild works as long as it is asked to, and counts.
type sizeChild struct {
	e                    *executor.Executor
	stop                 atomic.Bool
	submitters           sync.WaitGroup
	accepted, ran, twice atomic.Int64
}

// work submits tasks from outside as fast as they are taken, each with children of its own. Every one
// counts how often it has run.
func (c *sizeChild) work(t *testing.T) {
	c.stop.Store(false)
	once := func() func() {
		var runs atomic.Int32
		c.accepted.Add(1)
		return func() {
			c.ran.Add(1)
			if runs.Add(1) != 1 {
				c.twice.Add(1)
			}
			spin(20 * time.Microsecond)
		}
	}
	for range 3 {
		c.submitters.Go(func() {
			for !c.stop.Load() {
				run := once()
				err := c.e.Go(context.Background(), func(ctx context.Context) {
					run()
					left, right := once(), once()
					f := executor.Fork(ctx, func(context.Context) int { left(); return 1 })
					if c.e.TryGo(ctx, func(context.Context) { right() }) != nil {
						right() // the queue is full
					}
					f.Join(ctx)
				})
				if err != nil {
					t.Errorf("Go: %v", err)
					return
				}
			}
		})
	}
}

func (c *sizeChild) view() sizeView {
	v := sizeView{Sizing: c.e.Sizing(), Stats: c.e.Stats(), GOMAXPROCS: runtime.GOMAXPROCS(0)}
	v.Text = v.Sizing.String()
	v.Throttling, v.HasNumbers = c.e.Throttling()
	v.Accepted, v.Ran, v.Twice = c.accepted.Load(), c.ran.Load(), c.twice.Load()
	return v
}

func serveSizes(t *testing.T) {
	c := &sizeChild{}
	fresh := func() {
		if c.e != nil {
			require.NoError(t, c.e.Close())
		}
		e, err := executor.New()
		require.NoError(t, err)
		c.e = e
	}
	fresh()
	cgrouptest.AnswerParent(t, func(question string) any {
		word, arg, _ := strings.Cut(question, " ")
		n, _ := strconv.Atoi(arg)
		switch word {
		case "new":
			fresh()
		case "work":
			c.work(t)
		case "resize":
			require.NoError(t, c.e.Resize(n))
		case "rest":
			c.stop.Store(true)
			c.submitters.Wait()
			require.NoError(t, c.e.Quiesce(context.Background()))
		case "cgrouptest.Affinity":
			cgrouptest.SetAffinity(t, affinityAtStart[:n])
		case "default":
			runtime.SetDefaultGOMAXPROCS() // package testing has set it, as it always does
		}
		return c.view()
	})
	require.NoError(t, c.e.Close())
}

var affinityAtStart []int

// startSizes gives a function that asks the child, and one that asks it until the answer is right.
func startSizes(t *testing.T, g *cgrouptest.Group) (ask func(string) sizeView, until func(what string, ok func(sizeView) bool)) {
	t.Helper()
	c := g.Start()
	ask = func(question string) (v sizeView) {
		t.Helper()
		c.Ask(question, &v)
		return v
	}
	until = func(what string, ok func(sizeView) bool) {
		t.Helper()
		var v sizeView
		for start := time.Now(); time.Since(start) < time.Minute; time.Sleep(10 * time.Millisecond) {
			if v = ask("look"); ok(v) {
				return
			}
		}
		require.FailNow(t, "has not happened after a minute", "%s: %+v", what, v)
	}
	return ask, until
}

func slotsAre(n int) func(sizeView) bool {
	return func(v sizeView) bool { return v.Stats.Slots == n && v.Sizing.Slots == n && !v.Sizing.Fixed }
}

func needTwoProcs(t *testing.T) {
	t.Helper()
	if affinityAtStart = cgrouptest.Affinity(t); len(affinityAtStart) < 2 {
		t.Skip("needs two CPUs")
	}
}

// requireEachOnce is for a child at rest.
func requireEachOnce(t *testing.T, v sizeView) {
	t.Helper()
	require.NotZero(t, v.Accepted)
	require.Equal(t, v.Accepted, v.Ran)
	require.Zero(t, v.Twice)
	require.Equal(t, v.Stats.Submitted, v.Stats.Completed)
	require.Zero(t, v.Stats.Queued)
}

func TestCgroup_NewSizesByTheQuota(t *testing.T) {
	if cgrouptest.InChild() {
		serveSizes(t)
		return
	}
	g := cgrouptest.New(t, "")
	ask, _ := startSizes(t, g)
	none := ask("look")
	require.NotContains(t, none.Text, g.Path)
	for _, c := range []struct {
		cpus  float64
		slots int
		words string
	}{
		{0.5, 1, "floor(quota 0.5) of cgroup " + g.Path + ", at least 1, "},
		{1, 1, "floor(quota 1) of cgroup " + g.Path + ", "},
		{1.5, 1, "floor(quota 1.5) of cgroup " + g.Path + ", "},
		{2, 2, "floor(quota 2) of cgroup " + g.Path + ", "},
	} {
		g.SetQuota(c.cpus)
		v := ask("new")
		procs := v.GOMAXPROCS
		require.Equal(t, none.GOMAXPROCS, procs)
		if c.slots > procs {
			continue
		}
		require.Equal(t, fmt.Sprintf("slots=%d: %sGOMAXPROCS=%d", c.slots, c.words, procs), v.Text)
		require.Equal(t, c.slots, v.Stats.Slots)
		require.Equal(t, v.Sizing.Reason, v.Stats.Sizing)
		require.InDelta(t, c.cpus, v.Stats.Quota, 0)
		require.Equal(t, 1024*c.slots, v.Stats.QueueLimit)
		require.True(t, v.HasNumbers)
	}
	g.SetQuota(0)
	require.Equal(t, none.Text, ask("new").Text)
}

func TestCgroup_SlotsFollowTheTighterAncestor(t *testing.T) {
	if cgrouptest.InChild() {
		serveSizes(t)
		return
	}
	needTwoProcs(t)
	outer := cgrouptest.New(t, "")
	inner := cgrouptest.New(t, outer.Path)
	outer.SetQuota(1)
	if !inner.V1 { // which refuses more than the parent has
		inner.SetQuota(2)
	}
	ask, until := startSizes(t, inner)
	require.Contains(t, ask("work").Text, "slots=1: floor(quota 1) of cgroup "+outer.Path+", ")
	outer.SetQuota(2)
	until("the ancestor's new quota", slotsAre(2))
	inner.SetQuota(1.5)
	until("the inner quota is tighter", func(v sizeView) bool { return slotsAre(1)(v) && v.Sizing.Group == inner.Path })
	inner.SetQuota(2)
	until("equal ones", func(v sizeView) bool { return slotsAre(2)(v) && v.Sizing.Group == inner.Path })
	requireEachOnce(t, ask("rest"))
}

func TestCgroup_SlotsFollowTheQuotaUnderLoad(t *testing.T) {
	if cgrouptest.InChild() {
		serveSizes(t)
		return
	}
	needTwoProcs(t)
	g := cgrouptest.New(t, "")
	ask, until := startSizes(t, g)
	before := ask("work")
	for _, c := range []struct {
		cpus  float64
		slots int
	}{{1, 1}, {2, 2}, {1.5, 1}, {2, 2}, {0.5, 1}} {
		g.SetQuota(c.cpus)
		until(fmt.Sprintf("quota %v", c.cpus), func(v sizeView) bool { return slotsAre(c.slots)(v) && v.Sizing.Quota == c.cpus })
	}
	g.SetQuota(0)
	until("no quota, or one of a container that this runs in", func(v sizeView) bool { return v.Sizing == before.Sizing })

	require.Equal(t, "slots=2: Resize", ask("resize 2").Text)
	g.SetQuota(1.5)
	ran := ask("look").Ran
	until("work goes on", func(v sizeView) bool { return v.Ran > ran+100 })
	until("a fixed size is no reason not to count", func(v sizeView) bool { return v.HasNumbers }) // what was read before is kept for a moment
	v := ask("look")
	require.Equal(t, 2, v.Stats.Slots)
	require.True(t, v.Sizing.Fixed)
	require.InDelta(t, 1.5, ask("resize 0").Sizing.Quota, 0)
	require.Equal(t, 1, ask("look").Stats.Slots)
	g.SetQuota(2)
	until("followed again", slotsAre(2))

	v = ask("rest")
	requireEachOnce(t, v)
	require.Equal(t, before.GOMAXPROCS, v.GOMAXPROCS)

	g.SetQuota(1) // while it is idle
	ask("work")
	until("seen at the first work", slotsAre(1))
	requireEachOnce(t, ask("rest"))
}

func TestCgroup_QuotaFlipsUnderLoad(t *testing.T) {
	if cgrouptest.InChild() {
		serveSizes(t)
		return
	}
	needTwoProcs(t)
	g := cgrouptest.New(t, "")
	g.SetQuota(2)
	ask, until := startSizes(t, g)
	procs := ask("work").GOMAXPROCS
	changes, last := 0, ""
	flips := 12
	if testing.Short() {
		flips = 6
	}
	for i := range flips {
		g.SetQuota([]float64{1, 2, 0.5, 0, 1.5}[i%5])
		time.Sleep(100*time.Millisecond + rand.N(900*time.Millisecond)) // the pace of the flips: nothing is waited for
		v := ask("look")
		require.Equal(t, procs, v.GOMAXPROCS)
		if v.Text != last {
			changes, last = changes+1, v.Text
		}
	}
	t.Logf("%d sizes seen in %d flips", changes, flips)
	g.SetQuota(1)
	until("1 at the end", slotsAre(1))
	g.SetQuota(2)
	until("2 at the end", slotsAre(2))
	requireEachOnce(t, ask("rest"))
}

// The runtime adapts GOMAXPROCS to the CPUs that a process may use, until somebody sets it. The slots
// follow that too.
func TestCgroup_SlotsFollowTheRuntimesUpdates(t *testing.T) {
	affinityAtStart = cgrouptest.Affinity(t)
	if cgrouptest.InChild() {
		serveSizes(t)
		return
	}
	needTwoProcs(t)
	g := cgrouptest.New(t, "")
	g.SetQuota(2.5)
	ask, until := startSizes(t, g)
	ask("default")
	ask("work")
	for _, n := range []int{2, 1, 2} {
		ask(fmt.Sprintf("cgrouptest.Affinity %d", n))
		until(fmt.Sprintf("%d CPUs", n), func(v sizeView) bool { return slotsAre(n)(v) && v.GOMAXPROCS == n })
	}
	requireEachOnce(t, ask("rest"))
}
