package executor

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/seed-97bda89a/executor/internal/meter"
)

// The last minute: rates, waiting times, and what the slots were seen running.

const (
	historyLength = 60
	recentPoints  = 5 // for the quantiles of one point: few tasks are measured
)

// counted is what rates, times and the window are made of.
type counted struct {
	at          time.Time
	stats       Stats
	quota       Throttling
	limited     bool // there is a quota
	waits, runs meter.Counts
}

func (e *Executor) counts(at time.Time) *counted {
	c := &counted{at: at, stats: e.Stats(), waits: e.waits.Snapshot(), runs: e.runs.Snapshot()}
	c.quota, c.limited = e.Throttling()
	return c
}

// remember adds a point to the history, and puts the history into d.
func (o *observer) remember(d *DebugState, now *counted, names map[string]int) {
	if was := o.before; was != nil {
		o.counts = appendBounded(o.counts, was)
		o.names = appendBounded(o.names, names)
		recent := o.counts[max(0, len(o.counts)-recentPoints)]
		waits := now.waits.Since(&recent.waits)
		rate := func(n uint64) float64 { return float64(n) / max(1e-3, now.at.Sub(was.at).Seconds()) }
		o.history = appendBounded(o.history, DebugPoint{
			Time:      d.Time,
			Submitted: rate(since(now.stats.Submitted, was.stats.Submitted)),
			Completed: rate(since(now.stats.ended(), was.stats.ended())),
			Rejected:  rate(since(now.stats.Rejected, was.stats.Rejected)),
			Queued:    now.stats.Queued, Running: now.stats.Running,
			WaitP50: waits.Quantile(0.5), WaitP99: waits.Quantile(0.99),
		})
	}
	o.before = now

	d.History = append([]DebugPoint{}, o.history...)
	if len(o.counts) > 0 {
		first := o.counts[0]
		d.Wait, d.Run = timesOf(now.waits.Since(&first.waits)), timesOf(now.runs.Since(&first.runs))
		d.Window = DebugWindow{
			Length:        now.at.Sub(first.at),
			Rejected:      since(now.stats.Rejected, first.stats.Rejected),
			RejectedFull:  since(now.stats.RejectedFull, first.stats.RejectedFull),
			Uncompensated: since(now.stats.Uncompensated, first.stats.Uncompensated),
			NoSpare:       since(now.stats.StallsNoSpare, first.stats.StallsNoSpare),
			Periods:       since(now.quota.Periods, first.quota.Periods),
			Throttled:     since(now.quota.Throttled, first.quota.Throttled),
		}
	}
	d.Tasks = o.topTasks()
}

// since is how much a counter has grown. Those of a quota start again when another cgroup sets it.
func since(now, before uint64) uint64 { return now - min(before, now) }

func timesOf(c meter.Counts) DebugTimes {
	return DebugTimes{Count: c.Count, Mean: c.Mean(), P50: c.Quantile(0.5), P90: c.Quantile(0.9), P99: c.Quantile(0.99)}
}

// topTasks lists the names seen most often.
func (o *observer) topTasks() []DebugTask {
	total, sum := 0, make(map[string]int)
	for _, names := range o.names {
		for name, n := range names {
			sum[name] += n
			total += n
		}
	}
	names := slices.SortedFunc(maps.Keys(sum), func(a, b string) int {
		if sum[a] != sum[b] {
			return sum[b] - sum[a]
		}
		return strings.Compare(a, b)
	})
	top := []DebugTask{}
	for _, name := range names {
		if name == "" || len(top) == maxDebugTasks {
			continue
		}
		top = append(top, DebugTask{Name: name, Share: float64(sum[name]) / float64(total)})
	}
	return top
}

// appendBounded appends, and drops the oldest beyond historyLength.
func appendBounded[T any](to []T, v T) []T {
	if len(to) == historyLength {
		to = slices.Delete(to, 0, 1)
	}
	return append(to, v)
}
