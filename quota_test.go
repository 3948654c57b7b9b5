package executor

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

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
		require.Equal(t, c.want, slotsFor(cpuQuota{cpus: c.cpus, group: "/x"}, c.gomaxprocs, c.round), "%+v", c)
	}
}

// fixture is one file of testdata/cgroup: words on what it shows, the lines
// "want:" and "stat:", and after a line "-- name --" each file of the tree.
type fixture struct {
	root  string
	quota cpuQuota
	stat  Throttling
}

func loadFixture(t testing.TB, name string) fixture {
	t.Helper()
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	f := fixture{root: t.TempDir()}
	file, wanted := "", false
	for line := range strings.Lines(strings.ReplaceAll(string(text), "\r\n", "\n")) {
		if s, ok := strings.CutPrefix(line, "-- "); ok {
			file, ok = strings.CutSuffix(s, " --\n")
			require.True(t, ok, line)
			f.write(t, file, "")
			continue
		}
		if file != "" {
			old, err := os.ReadFile(filepath.Join(f.root, file))
			require.NoError(t, err)
			f.write(t, file, string(old)+line)
			continue
		}
		line = strings.TrimSuffix(line, "\n")
		if want, ok := strings.CutPrefix(line, "want: "); ok {
			wanted = true
			if want != "none" {
				number, group, _ := strings.Cut(want, " ")
				_, err := fmt.Sscan(number, &f.quota.cpus)
				require.NoError(t, err)
				f.quota.group = group
			}
		}
		if stat, ok := strings.CutPrefix(line, "stat: "); ok {
			var d string
			_, err := fmt.Sscan(stat, &f.stat.Periods, &f.stat.Throttled, &d)
			require.NoError(t, err)
			f.stat.Time, err = time.ParseDuration(d)
			require.NoError(t, err)
		}
	}
	require.True(t, wanted, "%s does not say what it wants", name)
	return f
}

// write changes a file in place, as the kernel does with its own.
func (f fixture) write(t testing.TB, file, text string) {
	t.Helper()
	file = filepath.Join(f.root, file)
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
}

func (f fixture) reader(t testing.TB) *quotaReader {
	q := newQuotaReaderAt(f.root)
	t.Cleanup(q.close)
	return q
}

func TestQuotaReader_Fixtures(t *testing.T) {
	names, err := filepath.Glob("testdata/cgroup/*.txt")
	require.NoError(t, err)
	require.Greater(t, len(names), 15)
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			f := loadFixture(t, name)
			q := f.reader(t)
			for range 2 { // the second read uses the files that the first has opened
				require.Equal(t, f.quota, q.read())
				stat, ok := q.throttling()
				require.Equal(t, f.stat, stat)
				require.Equal(t, f.stat != Throttling{}, ok)
			}
		})
	}
}

func TestQuotaReader_FollowsChanges(t *testing.T) {
	f := loadFixture(t, "testdata/cgroup/v2-tighter-ancestor.txt")
	q := f.reader(t)
	const pod, leaf = "sys/fs/cgroup/kubepods/pod7", "sys/fs/cgroup/kubepods/pod7/c1"
	require.Equal(t, cpuQuota{1, "/kubepods/pod7"}, q.read())

	f.write(t, pod+"/cpu.max", "150000 100000\n")
	require.Equal(t, cpuQuota{1.5, "/kubepods/pod7"}, q.read())
	f.write(t, leaf+"/cpu.max", "20000 100000\n")
	require.Equal(t, cpuQuota{0.2, "/kubepods/pod7/c1"}, q.read())
	f.write(t, leaf+"/cpu.max", "max 100000\n")
	f.write(t, pod+"/cpu.max", "max 100000\n")
	require.Equal(t, cpuQuota{8, "/kubepods"}, q.read())

	// The controller is handed down one level further: a file appears.
	f.write(t, "sys/fs/cgroup/cpu.max", "60000 100000\n")
	require.Equal(t, cpuQuota{0.6, "/"}, q.read())

	// The process moves, to a group of another name and one of another depth.
	f.write(t, "sys/fs/cgroup/kubepods/pod8/cpu.max", "30000 100000\n")
	f.write(t, "proc/self/cgroup", "0::/kubepods/pod8\n")
	require.Equal(t, cpuQuota{0.3, "/kubepods/pod8"}, q.read())
	f.write(t, "proc/self/cgroup", "0::/\n")
	require.Equal(t, cpuQuota{0.6, "/"}, q.read())
	f.write(t, "proc/self/cgroup", "0::/gone\n")
	require.Equal(t, cpuQuota{}, q.read())
	f.write(t, "proc/self/cgroup", "0::/kubepods/pod8\n")
	require.Equal(t, cpuQuota{0.3, "/kubepods/pod8"}, q.read())
}

func TestQuotaReader_TextLongerThanTheBuffer(t *testing.T) {
	f := loadFixture(t, "testdata/cgroup/v2-host.txt")
	f.write(t, "proc/self/cgroup", strings.Repeat("7:name=filler:/x\n", 3000)+"0::/system.slice\n")
	require.Equal(t, f.quota, f.reader(t).read())
}

// A failure that is not "no such file" says nothing on the quota: the process
// may be out of descriptors, and that must not widen it.
func TestQuotaReader_KeepsQuotaItCannotRead(t *testing.T) {
	f := loadFixture(t, "testdata/cgroup/v2-namespace.txt")
	q := f.reader(t)
	require.Equal(t, f.quota, q.read())

	file := filepath.Join(f.root, "sys/fs/cgroup/cpu.max")
	require.NoError(t, q.levels[0].quota.file.Close()) // reads of it fail from now on
	require.NoError(t, os.Remove(file))
	require.NoError(t, os.Mkdir(file, 0o700)) // opening it again works, reading does not
	require.Equal(t, f.quota, q.read())

	require.NoError(t, os.Remove(file))
	require.Equal(t, cpuQuota{}, q.read())
	f.write(t, "sys/fs/cgroup/cpu.max", "70000 100000\n")
	require.Equal(t, cpuQuota{0.7, "/"}, q.read())
}

func TestQuotaReader_CloseReleasesFiles(t *testing.T) {
	f := loadFixture(t, "testdata/cgroup/v1-host.txt")
	q := newQuotaReaderAt(f.root)
	_, ok := q.throttling()
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
	q.close()
	q.close()
	for _, file := range files {
		require.ErrorIs(t, file.Close(), os.ErrClosed)
	}
	require.Equal(t, cpuQuota{}, q.read())
	_, ok = q.throttling()
	require.False(t, ok)
	require.Nil(t, q.self.file, "opened again after close")
}

func TestQuotaReader_ConcurrentUse(t *testing.T) {
	f := loadFixture(t, "testdata/cgroup/v2-host.txt")
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
				if got := q.read(); got != f.quota && got != (cpuQuota{}) {
					t.Errorf("read %+v", got)
					return
				}
				if got, _ := q.throttling(); got != f.stat && got != (Throttling{}) {
					t.Errorf("throttling %+v", got)
					return
				}
			}
		})
	}
	for range 100 { // each makes the readers look for the files again
		f.write(t, "proc/self/cgroup", "0::/system.slice/app.service\n1:x:/\n")
		f.write(t, "proc/self/cgroup", "0::/system.slice/app.service\n")
	}
	q.close()
	close(stop)
	wg.Wait()
}

// Files must not tie the reader to a synctest bubble, where tests of the
// executor run it.
func TestQuotaReader_WorksInSynctest(t *testing.T) {
	f := loadFixture(t, "testdata/cgroup/v2-host.txt")
	outside := f.reader(t)
	synctest.Test(t, func(t *testing.T) {
		inside := newQuotaReaderAt(f.root)
		defer inside.close()
		for range 3 {
			require.Equal(t, f.quota, inside.read())
			require.Equal(t, f.quota, outside.read())
			time.Sleep(time.Second)
		}
	})
}

// Whatever machine this is: it must not fail, and it must make sense.
func TestQuotaReader_ThisMachine(t *testing.T) {
	q := newQuotaReader()
	defer q.close()
	got := q.read()
	require.Equal(t, got.cpus > 0, got.group != "", "%+v", got)
	if runtime.GOOS != "linux" {
		require.Equal(t, cpuQuota{}, got)
	}
	if _, ok := q.throttling(); ok {
		require.NotZero(t, got)
	}
	slots := slotsFor(got, runtime.GOMAXPROCS(0), nil)
	require.GreaterOrEqual(t, slots, 1)
	require.LessOrEqual(t, slots, runtime.GOMAXPROCS(0))
	t.Logf("quota %+v, slots %d", got, slots)
}

func TestBootstrapQuota_RespectsEnvironment(t *testing.T) {
	for _, v := range []string{"", "2"} { // automaxprocs heeds it even if it is empty
		t.Setenv("GOMAXPROCS", v)
		before := runtime.GOMAXPROCS(0)
		_, ok := bootstrapQuota()
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
		for _, cpus := range []float64{parseCPUMax([]byte(quota)), ratio(positive([]byte(quota)), positive([]byte(period)))} {
			require.False(t, cpus < 0 || math.IsNaN(cpus) || math.IsInf(cpus, 0), cpus)
		}
		th, _ := parseCPUStat([]byte(stat))
		require.GreaterOrEqual(t, th.Time, time.Duration(0))
	})
}

func BenchmarkQuotaReader(b *testing.B) {
	q := newQuotaReader()
	defer q.close()
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			q.read()
		}
	})
	b.Run("bootstrap", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			bootstrapQuota()
		}
	})
	b.Run("new", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			q := newQuotaReader()
			q.read()
			q.close()
		}
	})
}
