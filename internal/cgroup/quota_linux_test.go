package cgroup

import (
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor/internal/cgroup/cgrouptest"
	"github.com/stretchr/testify/require"
)

// cgroupView is what a child sees of its own group.
type cgroupView struct {
	CPUs       float64
	Group      string
	Bootstrap  float64 // 0 if there is none
	GOMAXPROCS int
	Stat       Throttling
	HasStat    bool
}

func viewCgroup(q *Reader) cgroupView {
	quota := q.Read()
	v := cgroupView{CPUs: quota.CPUs, Group: quota.Group, GOMAXPROCS: runtime.GOMAXPROCS(0)}
	v.Bootstrap, _ = Bootstrap()
	v.Stat, v.HasStat = q.Throttling()
	return v
}

// startViewer is a child that says what it sees, with one reader all the time.
// Asked to burn, it first works until the kernel has throttled it in three more
// periods, as its reader tells.
func startViewer(t *testing.T, g *cgrouptest.Group) (c *cgrouptest.Child, look func(question string) cgroupView) {
	t.Helper()
	c = g.Start()
	return c, func(question string) (v cgroupView) {
		t.Helper()
		c.Ask(question, &v)
		return v
	}
}

func serveViewer(t *testing.T) {
	q := NewReader()
	defer q.Close()
	cgrouptest.AnswerParent(t, func(question string) any {
		if question == "burn" {
			before, _ := q.Throttling()
			for now := before; now.Throttled < before.Throttled+3; now, _ = q.Throttling() {
				for start := time.Now(); time.Since(start) < time.Millisecond; {
				}
				require.NoError(t, t.Context().Err())
			}
		}
		return viewCgroup(q)
	})
}

func TestCgroup_ReaderAndBootstrapAgree(t *testing.T) {
	if cgrouptest.InChild() {
		serveViewer(t)
		return
	}
	g := cgrouptest.New(t, "")
	c, look := startViewer(t, g)
	none := look("none yet")
	require.NotEqual(t, g.Path, none.Group)
	for _, cpus := range []float64{0.5, 1, 1.5, 2, 0.01} {
		g.SetQuota(cpus) // of a process that runs already
		v := look("now")
		require.InDelta(t, cpus, v.CPUs, 1e-9)
		require.Equal(t, g.Path, v.Group)
		require.InDelta(t, v.CPUs, v.Bootstrap, 0) // to the last bit
		require.Equal(t, none.GOMAXPROCS, v.GOMAXPROCS)
		require.True(t, v.HasStat)
	}
	g.SetQuota(0)
	require.Equal(t, none, look("lifted"))
	c.Stop()
}

func TestCgroup_TighterAncestorCounts(t *testing.T) {
	if cgrouptest.InChild() {
		serveViewer(t)
		return
	}
	outer := cgrouptest.New(t, "")
	middle := cgrouptest.New(t, outer.Path)
	inner := cgrouptest.New(t, middle.Path)
	c, look := startViewer(t, inner)

	outer.SetQuota(0.5)
	v := look("outer only")
	require.Equal(t, Quota{0.5, outer.Path}, Quota{v.CPUs, v.Group})
	require.Zero(t, v.Bootstrap, "automaxprocs now looks at ancestors: say so in the docs")

	outer.SetQuota(2)
	inner.SetQuota(1)
	v = look("inner is tighter")
	require.Equal(t, Quota{1, inner.Path}, Quota{v.CPUs, v.Group})
	middle.SetQuota(1.5)
	v = look("inner still is")
	require.Equal(t, Quota{1, inner.Path}, Quota{v.CPUs, v.Group})
	inner.SetQuota(0)
	v = look("middle is tighter")
	require.Equal(t, Quota{1.5, middle.Path}, Quota{v.CPUs, v.Group})
	if !inner.V1 { // which does not allow this
		inner.SetQuota(2)
		v = look("middle is tighter, inner has one")
		require.Equal(t, Quota{1.5, middle.Path}, Quota{v.CPUs, v.Group})
	}
	c.Stop()
}

func TestCgroup_ReaderFollowsProcess(t *testing.T) {
	if cgrouptest.InChild() {
		serveViewer(t)
		return
	}
	from, to := cgrouptest.New(t, ""), cgrouptest.New(t, "")
	from.SetQuota(0.5)
	to.SetQuota(1.5)
	c, look := startViewer(t, from)
	v := look("before")
	require.Equal(t, Quota{0.5, from.Path}, Quota{v.CPUs, v.Group})
	to.Move(c.Cmd.Process)
	v = look("moved")
	require.Equal(t, Quota{1.5, to.Path}, Quota{v.CPUs, v.Group})

	// Back and forth between two looks: the path is the same, the group that
	// the reader has open is gone.
	from.Move(c.Cmd.Process)
	to.Remove()
	require.NoError(t, os.Mkdir(to.Dir, 0o755))
	to.SetQuota(2)
	to.Move(c.Cmd.Process)
	v = look("same name, other group")
	require.Equal(t, Quota{2, to.Path}, Quota{v.CPUs, v.Group})
	c.Stop()
}

// In cgroup v2 a group has its files only while its parent hands the controller
// down, as systemd does when the first limit is set.
func TestCgroup_ReaderFollowsController(t *testing.T) {
	if cgrouptest.InChild() {
		serveViewer(t)
		return
	}
	outer := cgrouptest.New(t, "")
	if outer.V1 {
		t.Skip("needs cgroup v2")
	}
	inner := cgrouptest.New(t, outer.Path)
	c, look := startViewer(t, inner)
	outer.SetQuota(2)
	inner.SetQuota(1)
	require.Equal(t, inner.Path, look("before").Group)
	outer.Write("cgroup.subtree_control", "-cpu")
	v := look("without")
	require.Equal(t, Quota{2, outer.Path}, Quota{v.CPUs, v.Group})
	outer.Write("cgroup.subtree_control", "+cpu")
	require.Equal(t, outer.Path, look("with, no limit yet").Group)
	inner.SetQuota(1.5)
	v = look("with")
	require.Equal(t, Quota{1.5, inner.Path}, Quota{v.CPUs, v.Group})
	c.Stop()
}

func TestCgroup_ThrottlingIsWhatTheKernelSays(t *testing.T) {
	if cgrouptest.InChild() {
		serveViewer(t)
		return
	}
	outer := cgrouptest.New(t, "")
	outer.SetQuota(0.2)
	inner := cgrouptest.New(t, outer.Path) // is throttled, by numbers that are not its own
	c, look := startViewer(t, inner)
	kernel := func() Throttling {
		text, err := os.ReadFile(outer.Dir + "/cpu.stat")
		require.NoError(t, err)
		stat, ok := parseCPUStat(string(text))
		require.True(t, ok)
		return stat
	}
	before := kernel()
	v := look("burn")
	require.True(t, v.HasStat)
	require.GreaterOrEqual(t, v.Stat.Throttled, before.Throttled+3)
	require.GreaterOrEqual(t, v.Stat.Periods, v.Stat.Throttled)
	require.Greater(t, v.Stat.Time, before.Time)
	after := kernel()
	require.LessOrEqual(t, v.Stat.Periods, after.Periods)
	require.LessOrEqual(t, v.Stat.Throttled, after.Throttled)
	require.LessOrEqual(t, v.Stat.Time, after.Time)
	c.Stop()
}

func TestCgroup_ReaderLeaksNoFiles(t *testing.T) {
	if cgrouptest.InChild() {
		use := func() {
			q := NewReader()
			require.Positive(t, q.Read().CPUs)
			_, ok := q.Throttling()
			require.True(t, ok)
			q.Close()
		}
		open := func() int {
			files, err := os.ReadDir("/proc/self/fd")
			require.NoError(t, err)
			return len(files)
		}
		use() // the runtime opens some for itself
		before := open()
		for range 100 {
			use()
		}
		require.Equal(t, before, open())
		return
	}
	g := cgrouptest.New(t, "")
	g.SetQuota(1)
	g.Run()
}

// The runtime adapts GOMAXPROCS to the CPUs a process may use, until somebody
// sets it. Bootstrap must not be that somebody, though what it calls is
// made for it.
func TestCgroup_RuntimeStillFollowsAfterBootstrap(t *testing.T) {
	cpus := cgrouptest.Affinity(t)
	if len(cpus) < 2 {
		t.Skip("needs two CPUs")
	}
	if !cgrouptest.InChild() {
		g := cgrouptest.New(t, "")
		g.SetQuota(1.5) // without a quota automaxprocs would do nothing at all
		g.Run()
		return
	}
	runtime.SetDefaultGOMAXPROCS() // package testing has set it, as it always does
	quota, ok := Bootstrap()
	require.True(t, ok)
	require.InDelta(t, 1.5, quota, 0)
	for _, n := range []int{2, 1, 2} {
		cgrouptest.SetAffinity(t, cpus[:n])
		for deadline := time.Now().Add(time.Minute); runtime.GOMAXPROCS(0) != n; {
			require.True(t, time.Now().Before(deadline), "GOMAXPROCS stays at %d with %d CPUs", runtime.GOMAXPROCS(0), n)
			time.Sleep(10 * time.Millisecond) // lets the runtime's monitor see that we are busy
		}
	}
}
