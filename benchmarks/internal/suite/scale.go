package suite

import (
	"fmt"
	"runtime"

	"github.com/seed-97bda89a/executor/benchmarks/internal/contend"
	"github.com/seed-97bda89a/executor/benchmarks/internal/meter"
)

// baseSlots is what the larger numbers of slots are compared with.
const baseSlots = 2

// scale repeats a row's work with more slots and processors than there are
// cores: whatever is lost then is contention, not missing work.
func scale(scenario, title, op string, full, quick int, do func(p contend.Pool, n int) error) Row {
	entry := func(c contend.Contender, slots int) Entry {
		name := c.Name
		if slots != baseSlots {
			name = fmt.Sprintf("%s@%d", c.Name, slots)
		}
		return Entry{Name: name, Run: func(m *meter.Meter) error {
			before := runtime.GOMAXPROCS(slots)
			defer runtime.GOMAXPROCS(before)
			return withPool(m, c, contend.Config{Slots: slots}, func(p contend.Pool) error {
				m.Start()
				defer m.Stop()
				return do(p, m.N)
			})
		}}
	}
	var entries []Entry
	for _, slots := range []int{baseSlots, 16, 64} {
		for _, c := range contend.Named(contend.Executor, "channel", "pond") {
			entries = append(entries, entry(c, slots))
		}
	}
	return Row{
		Group: "Scale", Scenario: scenario, Title: title, Op: op,
		Size: full, QuickSize: quick,
		Entries: entries,
		Goals: []Goal{
			speed(0.90, contend.Executor).of(contend.Executor + "@16"),
			speed(0.85, contend.Executor).of(contend.Executor + "@64"),
		},
		Note: "GOMAXPROCS and slots are both 2, then @16 and @64, on the cores there are. The same throughput is the best possible outcome.",
	}
}

func scaleOutside() Row {
	return scale("outside=4", "more slots than cores: four outside producers", "task", 1_000_000, 100_000,
		func(p contend.Pool, n int) error {
			if err := produce(p, n, 4, contend.Empty); err != nil {
				return err
			}
			return p.Wait()
		})
}

func scaleChildren() Row {
	return scale("children", "more slots than cores: one task starts all others", "child", 1_000_000, 100_000, spawnFromTask)
}
