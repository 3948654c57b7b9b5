package cgroup

import (
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-97bda89a/executor/internal/cgroup/cgrouptest"
	"github.com/stretchr/testify/require"
)

// fixture is a tree of files, and what is to be read from it.
type fixture struct {
	cgrouptest.Fixture
	quota Quota
	stat  Throttling
}

func load(t testing.TB, name string) fixture {
	t.Helper()
	f := cgrouptest.Load(t, name)
	return fixture{f, Quota{f.CPUs, f.Group}, Throttling{f.Periods, f.Throttled, f.Time}}
}

func (f fixture) reader(t testing.TB) *Reader {
	q := NewReaderAt(f.Root)
	t.Cleanup(q.Close)
	return q
}

func TestQuotaReader_Fixtures(t *testing.T) {
	names := cgrouptest.Names(t)
	require.Greater(t, len(names), 15)
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			f := load(t, name)
			q := f.reader(t)
			for range 2 { // the second read uses the files that the first has opened
				require.Equal(t, f.quota, q.Read())
				stat, ok := q.Throttling()
				require.Equal(t, f.stat, stat)
				require.Equal(t, f.stat != Throttling{}, ok)
			}
		})
	}
}

func TestQuotaReader_FollowsChanges(t *testing.T) {
	f := load(t, "v2-tighter-ancestor")
	q := f.reader(t)
	const pod, leaf = "sys/fs/cgroup/kubepods/pod7", "sys/fs/cgroup/kubepods/pod7/c1"
	require.Equal(t, Quota{1, "/kubepods/pod7"}, q.Read())

	f.Write(t, pod+"/cpu.max", "150000 100000\n")
	require.Equal(t, Quota{1.5, "/kubepods/pod7"}, q.Read())
	f.Write(t, leaf+"/cpu.max", "20000 100000\n")
	require.Equal(t, Quota{0.2, "/kubepods/pod7/c1"}, q.Read())
	f.Write(t, leaf+"/cpu.max", "max 100000\n")
	f.Write(t, pod+"/cpu.max", "max 100000\n")
	require.Equal(t, Quota{8, "/kubepods"}, q.Read())

	// The controller is handed down one level further: a file appears.
	f.Write(t, "sys/fs/cgroup/cpu.max", "60000 100000\n")
	require.Equal(t, Quota{0.6, "/"}, q.Read())

	// The process moves, to a group of another name and one of another depth.
	f.Write(t, "sys/fs/cgroup/kubepods/pod8/cpu.max", "30000 100000\n")
	f.Write(t, "proc/self/cgroup", "0::/kubepods/pod8\n")
	require.Equal(t, Quota{0.3, "/kubepods/pod8"}, q.Read())
	f.Write(t, "proc/self/cgroup", "0::/\n")
	require.Equal(t, Quota{0.6, "/"}, q.Read())
	f.Write(t, "proc/self/cgroup", "0::/gone\n")
	require.Equal(t, Quota{}, q.Read())
	f.Write(t, "proc/self/cgroup", "0::/kubepods/pod8\n")
	require.Equal(t, Quota{0.3, "/kubepods/pod8"}, q.Read())
}

func TestQuotaReader_TextLongerThanTheBuffer(t *testing.T) {
	f := load(t, "v2-host")
	f.Write(t, "proc/self/cgroup", strings.Repeat("7:name=filler:/x\n", 3000)+"0::/system.slice\n")
	require.Equal(t, f.quota, f.reader(t).Read())
}

// A failure that is not "no such file" says nothing on the quota: the process
// may be out of descriptors, and that must not widen it.
func TestQuotaReader_KeepsQuotaItCannotRead(t *testing.T) {
	f := load(t, "v2-namespace")
	q := f.reader(t)
	require.Equal(t, f.quota, q.Read())

	file := filepath.Join(f.Root, "sys/fs/cgroup/cpu.max")
	require.NoError(t, q.levels[0].quota.file.Close()) // reads of it fail from now on
	require.NoError(t, os.Remove(file))
	require.NoError(t, os.Mkdir(file, 0o700)) // opening it again works, reading does not
	require.Equal(t, f.quota, q.Read())

	require.NoError(t, os.Remove(file))
	require.Equal(t, Quota{}, q.Read())
	f.Write(t, "sys/fs/cgroup/cpu.max", "70000 100000\n")
	require.Equal(t, Quota{0.7, "/"}, q.Read())
}

func TestQuotaReader_CloseReleasesFiles(t *testing.T) {
	f := load(t, "v1-host")
	q := NewReaderAt(f.Root)
	_, ok := q.Throttling()
	require.True(t, ok)
	files := []*os.File{q.self.file}
	for _, l := range q.levels {
		for _, c := range []controlFile{l.quota, l.period, l.stat} {
			if c.file != nil {
				files = append(files, c.file)
			}
		}
	}
	require.Len(t, files, 1+4+1+1) // the list, four quotas, one period, one stat
	q.Close()
	q.Close()
	for _, file := range files {
		require.ErrorIs(t, file.Close(), os.ErrClosed)
	}
	require.Equal(t, Quota{}, q.Read())
	_, ok = q.Throttling()
	require.False(t, ok)
	require.Nil(t, q.self.file, "opened again after close")
}

func TestQuotaReader_ConcurrentUse(t *testing.T) {
	f := load(t, "v2-host")
	q := f.reader(t)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				// The file is empty for a moment while it is written, so
				// nothing is a good answer too. Anything else is not.
				if got := q.Read(); got != f.quota && got != (Quota{}) {
					t.Errorf("read %+v", got)
					return
				}
				if got, _ := q.Throttling(); got != f.stat && got != (Throttling{}) {
					t.Errorf("throttling %+v", got)
					return
				}
			}
		})
	}
	for range 100 { // each makes the readers look for the files again
		f.Write(t, "proc/self/cgroup", "0::/system.slice/app.service\n1:x:/\n")
		f.Write(t, "proc/self/cgroup", "0::/system.slice/app.service\n")
	}
	q.Close()
	close(stop)
	wg.Wait()
}

// Files must not tie the reader to a synctest bubble, where tests of the
// executor run it.
func TestQuotaReader_WorksInSynctest(t *testing.T) {
	f := load(t, "v2-host")
	outside := f.reader(t)
	synctest.Test(t, func(t *testing.T) {
		inside := NewReaderAt(f.Root)
		defer inside.Close()
		for range 3 {
			require.Equal(t, f.quota, inside.Read())
			require.Equal(t, f.quota, outside.Read())
			time.Sleep(time.Second)
		}
	})
}

// Whatever machine this is: it must not fail, and it must make sense.
func TestQuotaReader_ThisMachine(t *testing.T) {
	q := NewReader()
	defer q.Close()
	got := q.Read()
	require.Equal(t, got.CPUs > 0, got.Group != "", "%+v", got)
	if runtime.GOOS != "linux" {
		require.Equal(t, Quota{}, got)
	}
	if _, ok := q.Throttling(); ok {
		require.NotZero(t, got)
	}
	t.Logf("%+v", got)
}

func TestBootstrapQuota_RespectsEnvironment(t *testing.T) {
	for _, v := range []string{"", "2"} { // automaxprocs heeds it even if it is empty
		t.Setenv("GOMAXPROCS", v)
		before := runtime.GOMAXPROCS(0)
		_, ok := Bootstrap()
		require.False(t, ok)
		require.Equal(t, before, runtime.GOMAXPROCS(0))
	}
}

func TestMountinfo_Parsing(t *testing.T) {
	for in, want := range map[string]string{
		`/a\040b`:    "/a b",
		`/\134\011`:  "/\\\t",
		`/a\04`:      `/a\04`,
		`/a\048`:     `/a\048`,
		`/a\777`:     `/a\777`, // more than a byte
		`\`:          `\`,
		`\\\040\040`: `\\  `,
	} {
		require.Equal(t, want, unescape(in), in)
	}
	group, v1, ok := cpuGroup("0::/docker:x/y")
	require.True(t, ok)
	require.False(t, v1)
	require.Equal(t, "/docker:x/y", group)
}

// The kernel writes these files, but what is mounted over /proc may be anything.
func FuzzQuotaReader(f *testing.F) {
	f.Add("1:cpu:/x\n0::/", "1 2 0:3 / /m rw - cgroup c rw,cpu", "50000", "100000", "nr_periods 1\nthrottled_time 5")
	f.Add("0::/../x", `1 2 0:3 /.. /m\040 rw a:1 - cgroup2 c rw`, "max 100000", "", "throttled_usec 99999999999999999999")
	f.Add("0::/x/", "1 2 0:3 /x /m rw - cgroup2 c rw", "1 0", "0", "nr_periods -1")
	f.Fuzz(func(t *testing.T, self, mountinfo, quota, period, stat string) {
		group, v1, ok := cpuGroup(self)
		require.Equal(t, ok, strings.HasPrefix(group, "/"))
		for _, m := range cpuMounts(mountinfo, v1) {
			if rel, ok := m.relative(group); ok && rel != "" {
				require.Equal(t, byte('/'), rel[0])
				require.NotEqual(t, byte('/'), rel[len(rel)-1])
			}
		}
		for _, cpus := range []float64{parseCPUMax(quota), ratio(positive(quota), positive(period))} {
			require.False(t, cpus < 0 || math.IsNaN(cpus) || math.IsInf(cpus, 0), cpus)
		}
		th, _ := parseCPUStat(stat)
		require.GreaterOrEqual(t, th.Time, time.Duration(0))
	})
}

func BenchmarkQuotaReader(b *testing.B) {
	q := NewReader()
	defer q.Close()
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			q.Read()
		}
	})
	b.Run("bootstrap", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			Bootstrap()
		}
	})
	b.Run("new", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			q := NewReader()
			q.Read()
			q.Close()
		}
	})
}

// Mutants: each user has a reader of its own; the first Close closes it for all, or the last does not; each call reads.
func TestShared_OneReaderForAll(t *testing.T) {
	a, b := Shared(), Shared()
	require.Same(t, a, b)
	a.mu.Lock()
	a.self.path, a.closed = "/proc/self/cgroup", runtime.GOOS != "linux"
	a.mu.Unlock()
	first := a.Read()
	a.mu.Lock()
	at := a.read.at
	a.mu.Unlock()
	require.False(t, at.IsZero())
	a.read.at = time.Now().Add(time.Hour) // of another clock
	require.Equal(t, first, b.Read())
	a.Close()
	if runtime.GOOS == "linux" {
		require.True(t, b.Holds(), "the other one still uses it")
	}
	b.Close()
	require.False(t, b.Holds())
	c := Shared()
	require.NotSame(t, a, c)
	require.False(t, c.Holds(), "nothing is opened before it is needed")
	c.Close()
}

func TestShared_AnswersAreKeptForAPeriod(t *testing.T) {
	reads := 0
	read := func() int { reads++; return reads }
	var k kept[int]
	require.Equal(t, 1, k.get(true, read))
	k.at = time.Now().Add(time.Minute) // so long that no machine is slow enough, but for the clock
	require.Equal(t, 2, k.get(true, read), "a clock that is ahead is another bubble's")
	k.at = time.Now().Add(-keptFor)
	require.Equal(t, 3, k.get(true, read))
	require.Equal(t, 4, k.get(false, read))
}
