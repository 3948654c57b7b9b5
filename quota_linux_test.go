package executor

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"
	"unsafe"

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

func viewCgroup(q *quotaReader) cgroupView {
	quota := q.read()
	v := cgroupView{CPUs: quota.cpus, Group: quota.group, GOMAXPROCS: runtime.GOMAXPROCS(0)}
	v.Bootstrap, _ = bootstrapQuota()
	v.Stat, v.HasStat = q.throttling()
	return v
}

// startViewer is a child that says what it sees, with one reader all the time.
// Asked to burn, it first works until the kernel has throttled it in three more
// periods, as its reader tells.
func startViewer(t *testing.T, g *testCgroup) (c *cgroupChild, look func(question string) cgroupView) {
	t.Helper()
	c = g.start()
	return c, func(question string) (v cgroupView) {
		t.Helper()
		c.ask(question, &v)
		return v
	}
}

func serveViewer(t *testing.T) {
	q := newQuotaReader()
	defer q.close()
	answerCgroupParent(t, func(question string) any {
		if question == "burn" {
			before, _ := q.throttling()
			for now := before; now.Throttled < before.Throttled+3; now, _ = q.throttling() {
				spin(time.Millisecond)
				require.NoError(t, t.Context().Err())
			}
		}
		return viewCgroup(q)
	})
}

func TestCgroup_ReaderAndBootstrapAgree(t *testing.T) {
	if inCgroupChild() {
		serveViewer(t)
		return
	}
	g := newCgroup(t, "")
	c, look := startViewer(t, g)
	none := look("none yet")
	require.NotEqual(t, g.path, none.Group)
	for _, cpus := range []float64{0.5, 1, 1.5, 2, 0.01} {
		g.setQuota(cpus) // of a process that runs already
		v := look("now")
		require.InDelta(t, cpus, v.CPUs, 1e-9)
		require.Equal(t, g.path, v.Group)
		require.InDelta(t, v.CPUs, v.Bootstrap, 0) // to the last bit
		require.Equal(t, none.GOMAXPROCS, v.GOMAXPROCS)
		require.True(t, v.HasStat)
		require.Equal(t, max(1, min(int(cpus), v.GOMAXPROCS)), slotsFor(cpuQuota{v.CPUs, v.Group}, v.GOMAXPROCS, nil))
	}
	g.setQuota(0)
	require.Equal(t, none, look("lifted"))
	c.stop()
}

func TestCgroup_TighterAncestorCounts(t *testing.T) {
	if inCgroupChild() {
		serveViewer(t)
		return
	}
	outer := newCgroup(t, "")
	middle := newCgroup(t, outer.path)
	inner := newCgroup(t, middle.path)
	c, look := startViewer(t, inner)

	outer.setQuota(0.5)
	v := look("outer only")
	require.Equal(t, cpuQuota{0.5, outer.path}, cpuQuota{v.CPUs, v.Group})
	require.Zero(t, v.Bootstrap, "automaxprocs now looks at ancestors: say so in the docs")

	outer.setQuota(2)
	inner.setQuota(1)
	v = look("inner is tighter")
	require.Equal(t, cpuQuota{1, inner.path}, cpuQuota{v.CPUs, v.Group})
	middle.setQuota(1.5)
	v = look("inner still is")
	require.Equal(t, cpuQuota{1, inner.path}, cpuQuota{v.CPUs, v.Group})
	inner.setQuota(0)
	v = look("middle is tighter")
	require.Equal(t, cpuQuota{1.5, middle.path}, cpuQuota{v.CPUs, v.Group})
	if !inner.v1 { // which does not allow this
		inner.setQuota(2)
		v = look("middle is tighter, inner has one")
		require.Equal(t, cpuQuota{1.5, middle.path}, cpuQuota{v.CPUs, v.Group})
	}
	c.stop()
}

func TestCgroup_ReaderFollowsProcess(t *testing.T) {
	if inCgroupChild() {
		serveViewer(t)
		return
	}
	from, to := newCgroup(t, ""), newCgroup(t, "")
	from.setQuota(0.5)
	to.setQuota(1.5)
	c, look := startViewer(t, from)
	v := look("before")
	require.Equal(t, cpuQuota{0.5, from.path}, cpuQuota{v.CPUs, v.Group})
	to.move(c.cmd.Process)
	v = look("moved")
	require.Equal(t, cpuQuota{1.5, to.path}, cpuQuota{v.CPUs, v.Group})

	// Back and forth between two looks: the path is the same, the group that
	// the reader has open is gone.
	from.move(c.cmd.Process)
	to.remove()
	require.NoError(t, os.Mkdir(to.dir, 0o755))
	to.setQuota(2)
	to.move(c.cmd.Process)
	v = look("same name, other group")
	require.Equal(t, cpuQuota{2, to.path}, cpuQuota{v.CPUs, v.Group})
	c.stop()
}

// In cgroup v2 a group has its files only while its parent hands the controller
// down, as systemd does when the first limit is set.
func TestCgroup_ReaderFollowsController(t *testing.T) {
	if inCgroupChild() {
		serveViewer(t)
		return
	}
	outer := newCgroup(t, "")
	if outer.v1 {
		t.Skip("needs cgroup v2")
	}
	inner := newCgroup(t, outer.path)
	c, look := startViewer(t, inner)
	outer.setQuota(2)
	inner.setQuota(1)
	require.Equal(t, inner.path, look("before").Group)
	outer.write("cgroup.subtree_control", "-cpu")
	v := look("without")
	require.Equal(t, cpuQuota{2, outer.path}, cpuQuota{v.CPUs, v.Group})
	outer.write("cgroup.subtree_control", "+cpu")
	require.Equal(t, outer.path, look("with, no limit yet").Group)
	inner.setQuota(1.5)
	v = look("with")
	require.Equal(t, cpuQuota{1.5, inner.path}, cpuQuota{v.CPUs, v.Group})
	c.stop()
}

func TestCgroup_ThrottlingIsWhatTheKernelSays(t *testing.T) {
	if inCgroupChild() {
		serveViewer(t)
		return
	}
	outer := newCgroup(t, "")
	outer.setQuota(0.2)
	inner := newCgroup(t, outer.path) // is throttled, by numbers that are not its own
	c, look := startViewer(t, inner)
	kernel := func() Throttling {
		text, err := os.ReadFile(outer.dir + "/cpu.stat")
		require.NoError(t, err)
		stat, ok := parseCPUStat(text)
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
	c.stop()
}

func TestCgroup_ReaderLeaksNoFiles(t *testing.T) {
	if inCgroupChild() {
		use := func() {
			q := newQuotaReader()
			require.Positive(t, q.read().cpus)
			_, ok := q.throttling()
			require.True(t, ok)
			q.close()
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
	g := newCgroup(t, "")
	g.setQuota(1)
	g.run()
}

// The runtime adapts GOMAXPROCS to the CPUs a process may use, until somebody
// sets it. bootstrapQuota must not be that somebody, though what it calls is
// made for it.
func TestCgroup_RuntimeStillFollowsAfterBootstrap(t *testing.T) {
	cpus := affinity(t)
	if len(cpus) < 2 {
		t.Skip("needs two CPUs")
	}
	if !inCgroupChild() {
		g := newCgroup(t, "")
		g.setQuota(1.5) // without a quota automaxprocs would do nothing at all
		g.run()
		return
	}
	runtime.SetDefaultGOMAXPROCS() // package testing has set it, as it always does
	quota, ok := bootstrapQuota()
	require.True(t, ok)
	require.InDelta(t, 1.5, quota, 0)
	for _, n := range []int{2, 1, 2} {
		setAffinity(t, cpus[:n])
		for deadline := time.Now().Add(time.Minute); runtime.GOMAXPROCS(0) != n; {
			require.True(t, time.Now().Before(deadline), "GOMAXPROCS stays at %d with %d CPUs", runtime.GOMAXPROCS(0), n)
			time.Sleep(10 * time.Millisecond) // lets the runtime's monitor see that we are busy
		}
	}
}

type cpuMask [64]uintptr // more CPUs than Linux can be built for

const cpusPerWord = 8 * int(unsafe.Sizeof(uintptr(0)))

func affinity(t testing.TB) (cpus []int) {
	var mask cpuMask
	_, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_GETAFFINITY, 0, unsafe.Sizeof(mask), uintptr(unsafe.Pointer(&mask)))
	require.Zero(t, errno)
	for i := range len(mask) * cpusPerWord {
		if mask[i/cpusPerWord]>>(i%cpusPerWord)&1 != 0 {
			cpus = append(cpus, i)
		}
	}
	return cpus
}

// setAffinity holds for each thread on its own, and for the threads it starts:
// those that started meanwhile need it too.
func setAffinity(t testing.TB, cpus []int) {
	var mask cpuMask
	for _, i := range cpus {
		mask[i/cpusPerWord] |= 1 << (i % cpusPerWord)
	}
	done := map[string]bool{}
	for again := true; again; {
		again = false
		tasks, err := filepath.Glob("/proc/self/task/*")
		require.NoError(t, err)
		for _, task := range tasks {
			if done[task] {
				continue
			}
			done[task], again = true, true
			tid, err := strconv.Atoi(filepath.Base(task))
			require.NoError(t, err)
			_, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_SETAFFINITY, uintptr(tid), unsafe.Sizeof(mask), uintptr(unsafe.Pointer(&mask)))
			require.Contains(t, []syscall.Errno{0, syscall.ESRCH}, errno)
		}
	}
}
