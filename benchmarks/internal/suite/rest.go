package suite

import (
	"context"
	"runtime"
	"sync"
	"time"

	"github.com/seed-97bda89a/executor/benchmarks/internal/contend"
	"github.com/seed-97bda89a/executor/benchmarks/internal/meter"
)

// idle measures what a pool costs that has nothing to do.
func idle() Row {
	entries := []Entry{{Name: nothing, Run: rest}}
	for _, c := range contend.Named(contend.Executor, "channel", "ants", "pond", "workerpool", "gopool") {
		entries = append(entries, Entry{Name: c.Name, Run: func(m *meter.Meter) error {
			return withPool(m, c, contend.Config{Slots: m.Slots}, func(p contend.Pool) error {
				if err := repeat(context.Background(), p, 1000, contend.Empty); err != nil {
					return err
				}
				if err := rest(m); err != nil {
					return err
				}
				return p.Wait()
			})
		}})
	}
	return Row{
		Group: "Idle", Scenario: "after=work", Title: "a pool with nothing to do for 2 s (1 s in a quick look)", Op: "rest",
		Unit: meter.SwitchesPerOp, Size: 2, QuickSize: 1, Whole: true, QuickRounds: 1,
		Entries: entries,
		Goals: []Goal{
			atMostMore(10, nothing), // the process itself wakes a few times, more or less
			{Unit: "cpu-ns/op", Against: []string{nothing}, Minus: true, AtMost: 2e6},
		},
		Note: "Context switches and processor time of the whole process; `nothing` is the process without a pool, and a difference of " +
			"fewer than 10 switches or 2 ms is noise. The default pool that ants starts when it is imported has been stopped.",
	}
}

// rest does nothing for as many seconds as were asked for.
func rest(m *meter.Meter) error {
	contend.ReleaseDefaults()
	runtime.GC()
	time.Sleep(500 * time.Millisecond) // whatever lingers after work, or sweeps, may end
	m.Ops(1)
	m.Start()
	time.Sleep(time.Duration(m.N) * time.Second)
	m.Stop()
	m.Set("cpu-ns/op", float64(m.CPU().Nanoseconds()))
	return nil
}

// memoryOf measures what n things keep in use: heap and stacks, after garbage
// collection. Hold makes them and returns what frees them.
func memoryOf(m *meter.Meter, n int, hold func() (release func(), err error)) error {
	defer smallStacks()()
	before := inUse()
	m.Start()
	release, err := hold()
	m.Stop()
	if err != nil {
		return err
	}
	after := inUse()
	release()
	m.Ops(n)
	m.Set(heldUnit, max(0, float64(after)-float64(before))/float64(n)) // noise may be negative
	return nil
}

// smallStacks lets new goroutines begin with the smallest stack. The runtime gives them the mean of those that it met at the last
// collection, and a row must not depend on what others ran before it. So as many small ones stay as outweigh the rest.
func smallStacks() (release func()) {
	gate := make(chan struct{})
	var wg sync.WaitGroup
	for range 5000 {
		wg.Go(func() { <-gate })
	}
	return func() { close(gate); wg.Wait() }
}

// heldUnit is memory that stays in use, unlike B/op, which counts what was
// allocated on the way.
const heldUnit = "B-held/op"

func inUse() uint64 {
	var s runtime.MemStats
	for range 3 { // a second cycle frees what finalizers and pools kept
		runtime.GC()
	}
	runtime.ReadMemStats(&s)
	return s.HeapAlloc + s.StackInuse
}
