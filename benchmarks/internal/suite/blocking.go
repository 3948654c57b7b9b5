package suite

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-97bda89a/executor"

	"github.com/seed-97bda89a/executor/benchmarks/internal/contend"
	"github.com/seed-97bda89a/executor/benchmarks/internal/meter"
)

// bareCall is what Blocking around an empty function is compared with: the
// function alone.
func bareCall() Entry {
	return Entry{Name: call, Run: func(m *meter.Meter) error {
		fn := pointless
		m.Start()
		for range m.N {
			fn()
		}
		m.Stop()
		return nil
	}}
}

//go:noinline
func pointless() {}

// blockingIdle calls Blocking when nobody else wants the slot.
func blockingIdle() Row {
	return Row{
		Group: "Blocking", Scenario: "queue=empty", Title: "Blocking around an empty function, nothing queued", Op: "call",
		Size: 5_000_000, QuickSize: 500_000,
		Entries: []Entry{
			{Name: contend.Executor, Run: func(m *meter.Meter) error {
				return insideTask(m, func(ctx context.Context, _ *contend.ExecutorPool) error {
					m.Start()
					defer m.Stop()
					for range m.N {
						executor.Blocking(ctx, pointless)
					}
					return nil
				}, executor.WithSlots(m.Slots))
			}},
			bareCall(),
		},
		Goals: []Goal{atMost(15), noAllocs()},
	}
}

// blockingShort calls Blocking while other tasks wait for the only slot, and
// has been seen to return at once.
func blockingShort() Row {
	return Row{
		Group: "Blocking", Scenario: "queue=full,calls=short",
		Title: "the same, work queued and calls seen to be short", Op: "call",
		Size: 1_000_000, QuickSize: 100_000,
		Entries: []Entry{
			{Name: contend.Executor, Run: func(m *meter.Meter) error {
				return insideTask(m, func(ctx context.Context, p *contend.ExecutorPool) error {
					stop, err := keepQueued(ctx, p)
					if err != nil {
						return err
					}
					defer stop()
					for range 1000 {
						executor.Blocking(ctx, pointless)
					}
					m.Start()
					for range m.N {
						executor.Blocking(ctx, pointless)
					}
					m.Stop()
					m.Set("handoffs/op", float64(p.E.Stats().Handoffs)/float64(m.N))
					return nil
				}, executor.WithSlots(1))
			}},
			bareCall(),
		},
		Goals: []Goal{atMost(60), noAllocs()},
		Note:  "One slot. The tasks behind the caller start themselves again, so that the queue is never empty.",
	}
}

// keepQueued puts tasks behind the calling one that resubmit themselves until
// stop is called.
func keepQueued(ctx context.Context, p *contend.ExecutorPool) (stop func(), err error) {
	var over atomic.Bool
	var again func(ctx context.Context)
	again = func(ctx context.Context) {
		if !over.Load() {
			_ = p.E.Go(ctx, again) // an executor that is closing refuses, and so ends the chain
		}
	}
	for range 4 {
		if err := p.E.Go(ctx, again); err != nil {
			return nil, err
		}
	}
	return func() { over.Store(true) }, nil
}

// blockingUnknown measures the first Blocking of an executor that has work
// queued: it cannot know yet whether the call is short.
func blockingUnknown() Row {
	return Row{
		Group: "Blocking", Scenario: "queue=full,calls=unknown",
		Title: "the same, the first call of an executor, work queued", Op: "call",
		Size: 1000, QuickSize: 100,
		Entries: []Entry{{Name: contend.Executor, Run: func(m *meter.Meter) error {
			clock := clockCost()
			var took []float64
			for range m.N {
				err := insideTask(m, func(ctx context.Context, p *contend.ExecutorPool) error {
					if err := p.E.Go(ctx, contend.Empty.Ctx); err != nil {
						return err
					}
					begun := time.Now()
					executor.Blocking(ctx, pointless)
					took = append(took, float64(time.Since(begun).Nanoseconds()))
					return nil
				}, executor.WithSlots(1))
				if err != nil {
					return err
				}
			}
			m.Set(meter.NsPerOp, meter.Median(took)-clock)
			return nil
		}}},
		Goals: []Goal{atMost(700)},
		Note: "Median over fresh executors with one slot, less the cost of reading the clock twice. " +
			"The call gives the slot away and goes on without one.",
	}
}

func clockCost() float64 {
	var took []float64
	for range 1001 {
		begun := time.Now()
		took = append(took, float64(time.Since(begun).Nanoseconds()))
	}
	return meter.Median(took)
}

// insideTask runs fn as a task of a fresh executor and waits for it.
func insideTask(m *meter.Meter, fn func(context.Context, *contend.ExecutorPool) error, opts ...executor.Option) error {
	p, err := contend.OpenExecutor(opts...)
	if err != nil {
		return err
	}
	defer p.Close()
	result := make(chan error, 1)
	if err := p.E.Go(context.Background(), func(ctx context.Context) { result <- fn(ctx, p) }); err != nil {
		return err
	}
	return <-result
}

// Waits of the rows below.
const (
	waitTasks = 1000
	waitEach  = 100 * time.Millisecond
)

// waits runs a thousand tasks that do nothing but wait, with wait called in
// each. The number is the time of them all.
func waits(name string, spares int, wait func(context.Context, *atomic.Int64)) Entry {
	return Entry{Name: name, Run: func(m *meter.Meter) error {
		p, err := contend.OpenExecutor(executor.WithSlots(m.Slots), executor.WithMaxSpares(spares))
		if err != nil {
			return err
		}
		defer p.Close()
		var ended atomic.Int64
		ctx, cancel := context.WithTimeout(context.Background(), 100*waitEach)
		defer cancel()
		m.Start()
		if err := produce(p, waitTasks, 1, contend.TaskOf(func(ctx context.Context) { wait(ctx, &ended) })); err != nil {
			return err
		}
		if err := p.E.Quiesce(ctx); err != nil {
			return fmt.Errorf("%d of %d tasks were done after %v: %w", ended.Load(), waitTasks, 100*waitEach, err)
		}
		m.Stop()
		return same(ended.Load(), waitTasks)
	}}
}

func sleepMarked(ctx context.Context, ended *atomic.Int64) {
	executor.Blocking(ctx, func() { time.Sleep(waitEach) })
	ended.Add(1)
}

func sleepUnmarked(_ context.Context, ended *atomic.Int64) {
	time.Sleep(waitEach)
	ended.Add(1)
}

// goWave is the same with a goroutine each.
func goWave() Entry {
	return Entry{Name: "go", Run: func(m *meter.Meter) error {
		var ended atomic.Int64
		var wg sync.WaitGroup
		m.Start()
		for range waitTasks {
			wg.Go(func() { sleepUnmarked(context.Background(), &ended) })
		}
		wg.Wait()
		m.Stop()
		return same(ended.Load(), waitTasks)
	}}
}

func tooLong(slots string) []Entry {
	total := waitTasks * waitEach / 2
	return skipped(fmt.Sprintf("%s: %d waits of %v take %v with 2 workers, by arithmetic", slots, waitTasks, waitEach, total),
		"channel", "ants", "pond", "conc", "workerpool", "gopool", "errgroup", "semaphore")
}

// markedWaits are in Blocking.
func markedWaits() Row {
	return Row{
		Group: "Waits", Scenario: "marked", Title: "1,000 tasks that each wait 100 ms in Blocking, all together", Op: "wave",
		Size: 1, QuickSize: 1, Whole: true, QuickRounds: 2,
		Entries: concat([]Entry{
			waits(contend.Executor, 1000, sleepMarked),
			waits("executor-256-spares", 256, sleepMarked),
			goWave(),
		}, tooLong("nothing stands in for a worker that waits")),
		Goals: []Goal{atMostTimes(1.05, "go"), atMostTimes(4.5, "go").of("executor-256-spares")},
		Note:  "`executor` may use 1,000 spares. Slots bound the tasks that compute, spares those that wait.",
		Plot:  true,
	}
}

// unmarkedWaits have nothing that tells the executor.
func unmarkedWaits() Row {
	return Row{
		Group: "Waits", Scenario: "unmarked", Title: "the same with time.Sleep in the task and nothing marked", Op: "wave",
		Size: 1, QuickSize: 1, Whole: true, QuickRounds: 2,
		Entries: concat([]Entry{
			waits(contend.Executor, 1000, sleepUnmarked),
			goWave(),
		}, tooLong("nothing stands in for a worker that waits")),
		Goals: []Goal{atMostTimes(3.3, "go")},
		Note:  "The executor notices that its slots stand still while the processors are free, and lends more.",
	}
}

// checkpoints is a loop that asks whether it should make way.
func checkpoints() Row {
	return Row{
		Group: "Checkpoint", Scenario: "budget=left", Title: "Checkpoint while the budget is not spent", Op: "call",
		Size: 20_000_000, QuickSize: 2_000_000,
		Entries: []Entry{
			{Name: contend.Executor, Run: func(m *meter.Meter) error {
				return insideTask(m, func(ctx context.Context, _ *contend.ExecutorPool) error {
					m.Start()
					defer m.Stop()
					for range m.N {
						if err := executor.Checkpoint(ctx); err != nil {
							return err
						}
					}
					return nil
				}, executor.WithSlots(m.Slots))
			}},
			{Name: "ctx.Err", Run: func(m *meter.Meter) error {
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				m.Start()
				defer m.Stop()
				for range m.N {
					if err := ctx.Err(); err != nil {
						return err
					}
				}
				return nil
			}},
		},
		Goals: []Goal{atMost(4), noAllocs()},
		Note:  "`ctx.Err` is the check for cancellation that a loop would have without executors.",
	}
}
