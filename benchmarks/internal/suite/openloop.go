package suite

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/seed-97bda89a/executor"

	"github.com/seed-97bda89a/executor/benchmarks/internal/contend"
	"github.com/seed-97bda89a/executor/benchmarks/internal/meter"
	"github.com/seed-97bda89a/executor/benchmarks/internal/work"
)

// load is what the open-loop rows have in common.
type load struct {
	light time.Duration // a light request alone on a core; a heavy one takes work.HeavyTimes as long
	share float64       // offered work as a share of what the slots can do
}

// arrivals returns n arrivals that offer the load, and the speed it is a share
// of: what all slots together get done right before, because the machine may
// have other work, and a fixed rate would then be another load for everybody.
func (l load) arrivals(m *meter.Meter) (arrivals []work.Arrival, speed float64) {
	trial := 60 * time.Millisecond
	if m.Quick {
		trial /= 3
	}
	speed = work.Speed(m.Slots, trial)
	rate := l.share * speed / work.MeanUnits(float64(work.Units(l.light)))
	m.Set("arrivals/s", rate)
	return work.Arrivals(m.N, rate), speed
}

// units returns the cost of a request.
func (l load) units(a work.Arrival) int {
	if a.Heavy {
		return work.HeavyTimes * work.Units(l.light)
	}
	return work.Units(l.light)
}

// taken says, from the time at which a request was due, when it was submitted,
// begun and done.
type taken struct{ late, wait, response time.Duration }

// tail is the queue wait at 70 % load: the number that a service lives by.
func tail() Row {
	l := load{light: 2 * time.Millisecond, share: 0.7}
	const checkpointed = "executor-checkpoint"
	bursts := func(ctx context.Context, units int) {
		const step = 20_000 // some 20 µs
		for ; units > 0; units -= step {
			work.Spin(min(units, step))
			_ = executor.Checkpoint(ctx) // the contexts here never end
		}
	}
	whole := func(_ context.Context, units int) { work.Spin(units) }
	entry := func(name string, c contend.Contender, do func(context.Context, int)) Entry {
		return Entry{Name: name, Run: func(m *meter.Meter) error { return playTail(m, c, l, do) }}
	}
	entries := []Entry{}
	for _, c := range contend.Named(contend.Executor, "channel", "ants", "pond", "errgroup", "semaphore", "workerpool", "go") {
		entries = append(entries, entry(c.Name, c, whole))
		if c.Name == contend.Executor {
			entries = append(entries, entry(checkpointed, c, bursts))
		}
	}
	peers := []string{"ants", "pond", "channel", "errgroup"}
	return Row{
		Group: "Tail", Scenario: "load=70%", Title: "queue wait under an open loop, 5 % of the tasks 20 times as long", Op: "task",
		Unit: "wait-p99.9-ns", Size: 1200, QuickSize: 300, Whole: true, QuickRounds: 1,
		Entries: entries,
		Goals:   []Goal{atMostTimes(1.1, peers...), atMostTimes(0.5, peers...).of(checkpointed)},
		Note: "Tasks of 2 and 40 ms of processor time arrive at random times, whether or not earlier ones are done; the wait is counted from " +
			"the planned time. The arrivals come from a goroutine of the same process, which is late when no core is free, alike for all. " +
			"`executor-checkpoint` is the same work with a Checkpoint every 20 µs. `go` has no queue: it lets all tasks share the cores, " +
			"and the response shows it. A quick look has too few tasks for its p99.9.",
		Plot: true,
	}
}

// playTail plays the arrivals into a pool.
func playTail(m *meter.Meter, c contend.Contender, l load, do func(context.Context, int)) error {
	arrivals, _ := l.arrivals(m)
	seen := make([]taken, len(arrivals))
	var ended atomic.Int64
	return withPool(m, c, contend.Config{Slots: m.Slots}, func(p contend.Pool) error {
		var failed error
		m.Start()
		work.Play(arrivals, func(i int, a work.Arrival, planned time.Time) {
			seen[i].late = time.Since(planned)
			err := p.Submit(context.Background(), contend.TaskOf(func(ctx context.Context) {
				seen[i].wait = time.Since(planned)
				do(ctx, l.units(a))
				seen[i].response = time.Since(planned)
				ended.Add(1)
			}))
			if err != nil {
				failed = err
			}
		})
		if err := p.Wait(); err != nil {
			return err
		}
		m.Stop()
		if failed != nil {
			return failed
		}
		setTaken(m, seen)
		return same(ended.Load(), int64(len(arrivals)))
	})
}

func setTaken(m *meter.Meter, seen []taken) {
	lates, waits, responses := make([]time.Duration, len(seen)), make([]time.Duration, len(seen)), make([]time.Duration, len(seen))
	for i, s := range seen {
		lates[i], waits[i], responses[i] = s.late, s.wait, s.response
	}
	work.Percentiles(m, "wait", waits)
	work.Percentiles(m, "response", responses)
	work.Percentiles(m, "late", lates)
}

// overload offers half as much again as the slots can do, to pools that may
// refuse.
func overload() Row {
	l := load{light: time.Millisecond, share: 1.5}
	var entries []Entry
	for _, c := range contend.All() {
		switch {
		case c.Tries:
			entries = append(entries, Entry{Name: c.Name, Run: func(m *meter.Meter) error { return playOverload(m, c, l) }})
			if c.Name == contend.Executor {
				entries = append(entries, Entry{Name: delayed, Run: func(m *meter.Meter) error { return playOverload(m, withDelay(c), l) }})
			}
		case c.Name == "go":
			entries = append(entries, Entry{Name: c.Name, Run: func(m *meter.Meter) error { return playOverload(m, neverRefuses(c), l) }})
		default:
			entries = append(entries, skipped("it cannot refuse a task", c.Name)...)
		}
	}
	return Row{
		Group: "Overload", Scenario: "load=150%", Title: "an open loop of 150 % of what the slots can do, with shedding", Op: "task",
		Unit: "response-p99-ns", Size: 1500, QuickSize: 600, Whole: true, QuickRounds: 1,
		Entries: entries,
		Goals:   []Goal{{Of: delayed, Unit: undone, AtMost: 3}, atMostTimes(1.2, "semaphore").of(delayed)},
		Note: "`executor-delay` refuses by WithQueueDelay, with a target of 10 ms, and a queue of 1,024. Queues of the others hold 64 tasks; ants, errgroup and semaphore have none and refuse when all slots are busy, which is short for those " +
			"that get in and throws capacity away. `goodput` is the work done as a share of what the slots could do, and `undone` is the rest. `go` refuses nobody.",
	}
}

// playOverload counts every arrival as done or refused, and checks that each
// was exactly one of the two.
func playOverload(m *meter.Meter, c contend.Contender, l load) error {
	arrivals, speed := l.arrivals(m)
	seen := make([]taken, len(arrivals))
	var ended atomic.Int64
	units, refused := 0, 0
	return withPool(m, c, contend.Config{Slots: m.Slots, Queue: 64, Try: true}, func(p contend.Pool) error {
		m.Start()
		work.Play(arrivals, func(i int, a work.Arrival, planned time.Time) {
			seen[i].late = time.Since(planned)
			accepted := p.(contend.Trier).TrySubmit(context.Background(), contend.TaskOf(func(context.Context) {
				seen[i].wait = time.Since(planned)
				work.Spin(l.units(a))
				seen[i].response = time.Since(planned)
				ended.Add(1)
			}))
			if accepted {
				units += l.units(a)
			} else {
				refused++
			}
		})
		if err := p.Wait(); err != nil {
			return err
		}
		m.Stop()
		if ended.Load()+int64(refused) != int64(len(arrivals)) {
			return fmt.Errorf("%d done and %d refused of %d", ended.Load(), refused, len(arrivals))
		}
		goodput := 100 * float64(units) / (m.Elapsed().Seconds() * speed)
		m.Set("%-goodput", goodput)
		m.Set(undone, 100-goodput)
		m.Set("%-refused", 100*float64(refused)/float64(len(arrivals)))
		setTaken(m, onlyDone(seen))
		return nil
	})
}

// The executor that refuses by WithQueueDelay, and what a pool does not do of what its slots could.
const (
	delayed = contend.Executor + "-delay"
	undone  = "%-undone"
)

// withDelay is an executor that refuses tasks while others wait too long.
func withDelay(c contend.Contender) contend.Contender {
	c.Open = func(cfg contend.Config) (contend.Pool, error) {
		return contend.OpenExecutor(executor.WithSlots(cfg.Slots), executor.WithQueueLimit(1024), executor.WithQueueDelay(10*time.Millisecond))
	}
	return c
}

func onlyDone(seen []taken) []taken {
	var out []taken
	for _, s := range seen {
		if s.response > 0 {
			out = append(out, s)
		}
	}
	return out
}

// neverRefuses gives the go statement the shape of a pool that may refuse.
func neverRefuses(c contend.Contender) contend.Contender {
	open := c.Open
	c.Open = func(cfg contend.Config) (contend.Pool, error) {
		p, err := open(cfg)
		return alwaysRoom{p}, err
	}
	return c
}

type alwaysRoom struct{ contend.Pool }

func (p alwaysRoom) TrySubmit(ctx context.Context, t contend.Task) bool {
	return p.Submit(ctx, t) == nil
}
