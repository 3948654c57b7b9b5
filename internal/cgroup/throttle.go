package cgroup

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Throttling says how often the kernel has stopped a cgroup because its quota
// was spent. The numbers count from the making of the group.
type Throttling struct {
	Periods   uint64        // in which the group wanted to run
	Throttled uint64        // of these, in which it was stopped
	Time      time.Duration // it was stopped, added up over the CPUs
}

// Throttling returns the numbers of the cgroup that sets the quota, the one
// that Read names. If that becomes another group they start over and may go
// down. It is false if there is no quota, or no numbers.
func (q *Reader) Throttling() (Throttling, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	t := q.stat.get(q.cached, q.throttling)
	return t.Throttling, t.ok
}

// throttled is an answer of Throttling.
type throttled struct {
	Throttling
	ok bool
}

func (q *Reader) throttling() (t throttled) {
	l := q.tightest()
	if l == nil {
		return t
	}
	text, err := l.stat.read(&q.buf)
	if err != nil {
		return t
	}
	t.Throttling, t.ok = parseCPUStat(text)
	return t
}

// parseCPUStat reads cpu.stat of cgroup v1, which has the time in nanoseconds,
// or v2, which has microseconds under another name. The rest is skipped. A v2
// group without the cpu controller has a cpu.stat too, but not these lines.
func parseCPUStat(text string) (t Throttling, ok bool) {
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(line, " ")
		n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 64)
		if err != nil {
			continue
		}
		switch key {
		case "nr_periods":
			t.Periods, ok = n, true
		case "nr_throttled":
			t.Throttled = n
		case "throttled_time":
			t.Time = nanoseconds(n, 1)
		case "throttled_usec":
			t.Time = nanoseconds(n, 1000)
		}
	}
	return t, ok
}

// nanoseconds is n units of so many nanoseconds, or the longest duration.
func nanoseconds(n, unit uint64) time.Duration {
	return time.Duration(min(n, math.MaxInt64/unit) * unit)
}
