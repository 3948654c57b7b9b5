package suite

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/sourcegraph/conc/iter"

	"github.com/seed-97bda89a/executor/benchmarks/internal/contend"
	"github.com/seed-97bda89a/executor/benchmarks/internal/meter"
	"github.com/seed-97bda89a/executor/benchmarks/internal/work"
)

// body is what a loop does for one index, in the form that For takes.
type body = func(context.Context, int) error

// loops returns the ways to run a body over n indices. All of them call it
// through the same function value.
func loops(run body) []Entry {
	return []Entry{
		{Name: contend.Executor, Run: func(m *meter.Meter) error {
			p, err := contend.OpenExecutor(executor.WithSlots(m.Slots))
			if err != nil {
				return err
			}
			defer p.Close()
			m.Start()
			err = executor.For(context.Background(), p.E, m.N, run)
			m.Stop()
			report(m, p)
			return err
		}},
		{Name: "chunks", Run: func(m *meter.Meter) error {
			m.Start()
			chunks(m.N, m.Slots, func(from, to int) {
				for i := from; i < to; i++ {
					_ = run(context.Background(), i) // the bodies here give none
				}
			})
			m.Stop()
			return nil
		}},
		{Name: "conc-iter", Run: func(m *meter.Meter) error {
			over := make([]struct{}, m.N) // takes no memory, it only has a length
			it := iter.Iterator[struct{}]{MaxGoroutines: m.Slots}
			m.Start()
			it.ForEachIdx(over, func(i int, _ *struct{}) { _ = run(context.Background(), i) })
			m.Stop()
			return nil
		}},
	}
}

// chunks cuts [0, n) by hand: one goroutine and one equal part per slot.
func chunks(n, slots int, part func(from, to int)) {
	var wg sync.WaitGroup
	for s := range slots {
		wg.Go(func() { part(n*s/slots, n*(s+1)/slots) })
	}
	wg.Wait()
}

// evenLoop has a body of a nanosecond, the same for every index.
func evenLoop() Row {
	var out []byte
	fill := func(_ context.Context, i int) error {
		out[i] = byte(i) * 7
		return nil
	}
	checked := func(e Entry) Entry {
		return Entry{Name: e.Name, Run: func(m *meter.Meter) error {
			clear(out)
			if err := e.Run(m); err != nil {
				return err
			}
			for i, b := range out[:m.N] {
				if b != byte(i)*7 {
					return fmt.Errorf("index %d was not done", i)
				}
			}
			return nil
		}}
	}
	entries := append(loops(fill), Entry{Name: inlined, Run: func(m *meter.Meter) error {
		m.Start()
		chunks(m.N, m.Slots, func(from, to int) {
			for i := from; i < to; i++ {
				out[i] = byte(i) * 7
			}
		})
		m.Stop()
		return nil
	}})
	entries = append(entries, Entry{Name: "executor-range", Run: func(m *meter.Meter) error {
		p, err := contend.OpenExecutor(executor.WithSlots(m.Slots))
		if err != nil {
			return err
		}
		defer p.Close()
		m.Start()
		err = executor.ForRange(context.Background(), p.E, m.N, func(_ context.Context, lo, hi int) error {
			for i := lo; i < hi; i++ {
				out[i] = byte(i) * 7
			}
			return nil
		})
		m.Stop()
		report(m, p)
		return err
	}})
	for i := range entries {
		entries[i] = checked(entries[i])
	}
	return Row{
		Group: "For", Scenario: "even", Title: "a loop over ten million indices, body of a nanosecond", Op: "index",
		Size: 10_000_000, QuickSize: 10_000_000, Whole: true,
		Setup: func(bool) (func(), error) {
			out = make([]byte, 10_000_000)
			return func() { out = nil }, nil
		},
		Entries: entries,
		Goals:   []Goal{atMostTimes(1, "chunks"), atMostTimes(1.1, inlined).of("executor-range")},
		Note: "`chunks` is written by hand, one equal part per slot, and calls the body as For does; `inlined` has " +
			"the body in the loop, which the compiler can then make faster than any call, and so has `executor-range`, which is ForRange.",
	}
}

// unevenLoop has a body that costs more the higher the index.
func unevenLoop() Row {
	unit := work.Units(400 * time.Nanosecond)
	const size = 100_000
	spin := func(_ context.Context, i int) error {
		work.Spin(1 + unit*i/size)
		return nil
	}
	return Row{
		Group: "For", Scenario: "uneven", Title: "a loop whose body grows from nothing to 400 ns", Op: "index",
		Size: size, QuickSize: size, Whole: true,
		Entries: loops(spin),
		Goals:   []Goal{atMostTimes(1, "chunks")},
		Note:    "Equal parts are not equal work: the last of `chunks` does most of it.",
	}
}
