// Package cgroup reads what the kernel allows this process: the CPU quota of its cgroups, how often that stopped it,
// and how much processor time it has used.
package cgroup

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.uber.org/automaxprocs/maxprocs"
)

// Quota is what the cgroups of this process allow.
type Quota struct {
	CPUs  float64 // 0 if there is no limit
	Group string  // path of the cgroup that sets it, e.g. /kubepods/x; "" if there is none
}

// Bootstrap asks automaxprocs for the quota of the innermost cgroup. ok
// is false if there is none, or if the GOMAXPROCS environment variable is set.
//
// maxprocs.Set offers no way to only look: it always ends in a call of
// runtime.GOMAXPROCS, and that call turns the runtime's own updates off for the
// rest of the process, even when the number stays the same. So the rounding
// function keeps the value and never returns. By then automaxprocs has closed
// its files, and nothing is left half done.
func Bootstrap() (cpus float64, ok bool) {
	if _, set := os.LookupEnv("GOMAXPROCS"); set {
		return 0, false
	}
	defer func() {
		if ok {
			_ = recover() // ours; any other panic goes on up, its stack intact
		}
	}()
	// Any error means the same here as no quota: there is no value to use.
	_, _ = maxprocs.Set(maxprocs.RoundQuotaFunc(func(v float64) int {
		cpus, ok = v, true
		panic("executor: quota captured")
	}))
	return 0, false
}

// Reader reads the CPU quota of this process again and again, at the cost
// of a few system calls. Unlike automaxprocs and the runtime it looks at every
// cgroup from the process's own up to the outermost that is mounted here, for
// the kernel enforces all of them: the tightest one counts.
//
// It follows changes of the quota, the cpu controller being switched on or off,
// and the process being moved to another cgroup: each read compares
// /proc/self/cgroup with what it held before, and looks for the files again only
// if that differs. It does not follow cgroup file systems mounted later, nor
// cgroup v1 threads that were put in another group than their process. Limits
// outside the mount, as on the host of a container, cannot be seen from inside.
//
// It keeps its files open until Close. All methods may be called at any time,
// from any goroutine.
type Reader struct {
	root string // goes before every file name; "" except in tests

	// mu guards what follows. Nothing else is locked while it is held.
	mu     sync.Mutex
	closed bool
	self   controlFile
	seen   string        // text of self that levels was made from
	levels []cgroupLevel // innermost first
	buf    []byte        // scratch for reading

	cached bool // it is the one that executors share
	read   kept[Quota]
	stat   kept[throttled]
}

// cgroupLevel is one cgroup that this process is in.
type cgroupLevel struct {
	group  string
	quota  controlFile // v1: the quota alone; v2: quota and period
	period controlFile // v1 only; no path in v2
	stat   controlFile
	cpus   float64 // as last read; 0 if there is no limit
}

// NewReader never fails: where there is nothing to read, Read says that
// there is no quota. Nothing is opened before the first read.
func NewReader() *Reader {
	if runtime.GOOS != "linux" {
		return &Reader{closed: true} // cgroups are a Linux matter
	}
	return NewReaderAt("")
}

// NewReaderAt is NewReader for the file tree below root.
func NewReaderAt(root string) *Reader {
	return &Reader{
		root: root,
		self: controlFile{path: root + "/proc/self/cgroup"},
		buf:  make([]byte, 4096), // enough for all files here, and it can grow
	}
}

// shared is the reader of all executors in the process that have not closed it.
var shared struct {
	mu     sync.Mutex
	reader *Reader
	users  int
}

// Shared returns a reader that all who ask have together. It reads the files at most once in keptFor, whoever asks, and
// is closed by the last of them; each calls Close once.
func Shared() *Reader {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.users == 0 {
		shared.reader = NewReader()
		shared.reader.cached = true
	}
	shared.users++
	return shared.reader
}

// IsShared reports whether r is the process's own, of Shared.
func (r *Reader) IsShared() bool { return r.cached }

// leave reports whether nobody uses the shared reader any more.
func leave() bool {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	shared.users--
	return shared.users == 0
}

// keptFor is how old an answer of the shared reader may be: a period of the kernel, in which a quota is enforced.
const keptFor = 100 * time.Millisecond

// kept is the last answer.
type kept[T any] struct {
	value T
	at    time.Time
}

// get returns the last answer if it is recent, else what read says. Clocks may be those of different synctest bubbles.
func (k *kept[T]) get(cached bool, read func() T) T {
	if !cached {
		return read()
	}
	if age := time.Since(k.at); age < 0 || age >= keptFor || k.at.IsZero() {
		k.value, k.at = read(), time.Now()
	}
	return k.value
}

// Close releases the files. Afterwards there is no quota to be read.
func (q *Reader) Close() {
	if q.cached && !leave() {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.self.close()
	q.setLevels(nil)
}

// Holds reports whether the reader has files open.
func (q *Reader) Holds() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.self.file != nil
}

// Read returns the tightest quota that applies to this process now.
func (q *Reader) Read() Quota {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.read.get(q.cached, func() Quota {
		if l := q.tightest(); l != nil {
			return Quota{CPUs: l.cpus, Group: l.group}
		}
		return Quota{}
	})
}

// tightest brings all levels up to date and returns the one with the lowest
// quota, of equals the innermost; nil if none has one. q.mu is held.
func (q *Reader) tightest() *cgroupLevel {
	if q.closed {
		return nil
	}
	// If the file cannot be read, for want of a descriptor perhaps, then what
	// was known before is the best guess.
	if text, err := q.self.read(&q.buf); err == nil && text != q.seen {
		q.find(text)
	}
	var best *cgroupLevel
	for i := range q.levels {
		l := &q.levels[i]
		l.refresh(&q.buf)
		if l.cpus > 0 && (best == nil || l.cpus < best.cpus) {
			best = l
		}
	}
	return best
}

// refresh reads the quota of this level. Text that makes no sense is no limit,
// nor is a missing file: a v2 group has no cpu.max before its parent hands the
// cpu controller down. Any other failure says nothing about the quota and leaves
// it as it was, lest a process that is out of descriptors widen itself.
//
// Quota and period of v1 are two files, and whoever changes both does so in two
// steps. A read in between sees a wrong ratio; the next one is right.
func (l *cgroupLevel) refresh(buf *[]byte) {
	text, err := l.quota.read(buf)
	switch {
	case err != nil:
	case l.period.path == "":
		l.cpus = parseCPUMax(text)
	default:
		quota := positive(text)
		if quota == 0 {
			l.cpus = 0 // no need for the period: this saves a call per level
			return
		}
		if text, err = l.period.read(buf); err == nil {
			l.cpus = ratio(quota, positive(text))
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		l.cpus = 0
	}
}

// find looks for the control files of the groups named in text, the content of
// /proc/self/cgroup. q.mu is held.
func (q *Reader) find(text string) {
	var levels []cgroupLevel
	if group, v1, ok := cpuGroup(text); ok {
		mounts, err := os.ReadFile(q.root + "/proc/self/mountinfo")
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return // q.seen is the old one, so the next read tries again
		}
		levels = q.levelsOf(group, cpuMounts(string(mounts), v1), v1)
	}
	q.setLevels(levels)
	q.seen = text
}

func (q *Reader) setLevels(levels []cgroupLevel) {
	for i := range q.levels {
		q.levels[i].quota.close()
		q.levels[i].period.close()
		q.levels[i].stat.close()
	}
	q.levels = levels
}

// levelsOf lists group and its ancestors as far up as a mount shows them.
func (q *Reader) levelsOf(group string, mounts []cgroupMount, v1 bool) []cgroupLevel {
	// The same hierarchy may be mounted more than once, each time from another
	// root. The shortest root shows most ancestors.
	for i := range mounts { // few, and stable; a function of package slices would be larger than all the rest here
		for j := i; j > 0 && len(mounts[j].root) < len(mounts[j-1].root); j-- {
			mounts[j], mounts[j-1] = mounts[j-1], mounts[j]
		}
	}
	for _, m := range mounts {
		rel, ok := m.relative(group)
		if !ok {
			continue
		}
		// Another mount may cover this one.
		if st, err := os.Stat(q.root + m.dir + rel); err != nil || !st.IsDir() {
			continue
		}
		var levels []cgroupLevel
		for {
			name := cmp.Or(strings.TrimSuffix(m.root, "/")+rel, "/")
			levels = append(levels, newLevel(name, q.root+m.dir+rel, v1))
			if rel == "" {
				return levels
			}
			rel = rel[:strings.LastIndexByte(rel, '/')]
		}
	}
	return nil
}

func newLevel(group, dir string, v1 bool) cgroupLevel {
	l := cgroupLevel{group: group, stat: controlFile{path: dir + "/cpu.stat"}}
	if !v1 {
		l.quota.path = dir + "/cpu.max"
		return l
	}
	l.quota.path = dir + "/cpu.cfs_quota_us"
	l.period.path = dir + "/cpu.cfs_period_us"
	return l
}

// parseCPUMax reads cpu.max of cgroup v2: "max 100000" or "150000 100000".
func parseCPUMax(text string) float64 {
	quota, period, found := strings.Cut(strings.TrimSpace(text), " ")
	if !found {
		return ratio(positive(quota), 100_000) // the kernel's default period
	}
	return ratio(positive(quota), positive(period))
}

// positive is the number in text, or 0 if it is none above 0: "-1" and "max"
// both mean no limit.
func positive(text string) int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

func ratio(quota, period int64) float64 {
	if period == 0 {
		return 0
	}
	return float64(quota) / float64(period)
}
