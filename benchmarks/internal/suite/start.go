package suite

import (
	"context"

	"github.com/seed-97bda89a/executor/benchmarks/internal/contend"
	"github.com/seed-97bda89a/executor/benchmarks/internal/meter"
)

// startAndEnd opens a pool, runs one task, and ends the pool, over and over.
func startAndEnd() Row {
	var entries []Entry
	for _, c := range contend.Named(contend.Executor, "channel", "ants", "pond", "conc", "workerpool", "errgroup") {
		entries = append(entries, Entry{Name: c.Name, Run: func(m *meter.Meter) error {
			m.Start()
			defer m.Stop()
			for range m.N {
				p, err := c.Open(contend.Config{Slots: m.Slots})
				if err != nil {
					return err
				}
				if err := p.Submit(context.Background(), contend.Empty); err != nil {
					return err
				}
				if err := p.Wait(); err != nil {
					return err
				}
				p.Close()
			}
			return nil
		}})
	}
	return Row{
		Group: "Start", Scenario: "one-task", Title: "open a pool, run one task, end the pool", Op: "pool",
		Size: 2000, QuickSize: 200,
		Entries: entries,
		Goals:   []Goal{atMost(50_000), {Unit: meter.BytesPerOp, AtMost: 40 << 10}},
		Note: "An executor registers its metrics and looks at the CPU quota, which it keeps for 100 ms: the first one of a program takes longer. " +
			"What the program grows by is kept by a test, `TestSize_AProgramLinksWhatItCalls` in stresstest.",
	}
}
