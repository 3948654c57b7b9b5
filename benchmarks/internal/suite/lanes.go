package suite

import (
	"context"

	"github.com/seed-97bda89a/executor"

	"github.com/seed-97bda89a/executor/benchmarks/internal/contend"
	"github.com/seed-97bda89a/executor/benchmarks/internal/meter"
)

// oneLane submits empty tasks from outside to an executor with lanes.
func oneLane() Row {
	const withLane = contend.Executor + "-lane"
	run := func(ctx context.Context, opts ...executor.Option) func(*meter.Meter) error {
		return func(m *meter.Meter) error {
			p, err := contend.OpenExecutor(append(opts, executor.WithSlots(m.Slots))...)
			if err != nil {
				return err
			}
			defer p.Close()
			m.Start()
			defer m.Stop()
			if err := repeat(ctx, p, m.N, contend.Empty); err != nil {
				return err
			}
			return p.Wait()
		}
	}
	bg := context.Background()
	return Row{
		Group: "Lanes", Scenario: "one-used", Title: "empty tasks from outside, in a lane", Op: "task",
		Size: 1_000_000, QuickSize: 200_000,
		Entries: []Entry{
			{Name: contend.Executor, Run: run(bg)},
			{Name: withLane, Run: run(executor.WithLane(bg, "bulk"), executor.WithLanes(executor.Lane{Name: "bulk"}))},
		},
		Goals: []Goal{atMostTimes(1.05, contend.Executor).of(withLane)},
		Note:  "`executor-lane` has one lane besides the default one, and all tasks are in it; `executor` has no lanes.",
	}
}
