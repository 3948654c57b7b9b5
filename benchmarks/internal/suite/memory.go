package suite

import (
	"context"
	"sync"
	"time"

	"github.com/seed-97bda89a/executor"

	"github.com/seed-97bda89a/executor/benchmarks/internal/contend"
	"github.com/seed-97bda89a/executor/benchmarks/internal/meter"
)

// queuedTask measures what a task costs that waits for its turn.
func queuedTask() Row {
	entry := func(name string, open func(m *meter.Meter) (contend.Pool, error)) Entry {
		return Entry{Name: name, Run: func(m *meter.Meter) error {
			return memoryOf(m, m.N, func() (func(), error) {
				p, err := open(m)
				if err != nil {
					return nil, err
				}
				return holdQueued(p, m.Slots, m.N)
			})
		}}
	}
	entries := []Entry{entry(contend.Executor, func(m *meter.Meter) (contend.Pool, error) {
		return contend.OpenExecutor(executor.WithSlots(m.Slots), executor.WithQueueLimit(m.N+m.Slots),
			executor.WithStallDetection(false))
	})}
	for _, c := range contend.Named("channel", "pond", "workerpool", "gopool") {
		entries = append(entries, entry(c.Name, func(m *meter.Meter) (contend.Pool, error) {
			return c.Open(contend.Config{Slots: m.Slots, Queue: m.N + m.Slots})
		}))
	}
	entries = append(entries, Entry{Name: "go", Run: func(m *meter.Meter) error {
		return memoryOf(m, m.N, func() (func(), error) {
			gate := make(chan struct{})
			var wg sync.WaitGroup
			for range m.N {
				wg.Go(func() { <-gate })
			}
			return func() { close(gate); wg.Wait() }, nil
		})
	}})
	return Row{
		Group: "Memory", Scenario: "queued", Title: "memory of a task that waits for its turn", Op: "task",
		Unit: heldUnit, Size: 200_000, QuickSize: 100_000, Whole: true, QuickRounds: 2,
		Entries: concat(entries, skipped("there is no queue, only callers that wait", "ants", "conc", "errgroup", "semaphore")),
		Goals:   []Goal{atMost(32)},
		Note:    "Heap and stacks after garbage collection, the pool's own included. `go` is a waiting goroutine.",
	}
}

// holdQueued keeps every worker busy and puts n tasks behind.
func holdQueued(p contend.Pool, slots, n int) (release func(), err error) {
	gate := make(chan struct{})
	if err := produce(p, slots, 1, contend.TaskOf(func(context.Context) { <-gate })); err != nil {
		return nil, err
	}
	time.Sleep(10 * time.Millisecond) // until the blockers hold their workers
	if err := produce(p, n, 1, contend.Empty); err != nil {
		return nil, err
	}
	return func() {
		close(gate)
		_ = p.Wait() // nothing is asked of the result
		p.Close()
	}, nil
}

// parkedWaiter measures what a task costs that waits for another.
func parkedWaiter() Row {
	return Row{
		Group: "Memory", Scenario: "waiter", Title: "memory of a waiter", Op: "waiter",
		Unit: heldUnit, Size: 10_000, QuickSize: 2_000, Whole: true, QuickRounds: 2,
		Entries: []Entry{
			{Name: contend.Executor, Run: waitersForRoom},
			{Name: "executor-task", Run: waitersInTasks},
			{Name: "go", Run: func(m *meter.Meter) error {
				return memoryOf(m, m.N, func() (func(), error) {
					gate := make(chan struct{})
					var wg sync.WaitGroup
					for range m.N {
						wg.Go(func() { <-gate })
					}
					time.Sleep(50 * time.Millisecond)
					return func() { close(gate); wg.Wait() }, nil
				})
			}},
		},
		Goals: []Goal{atMost(2.45 * 1024), atMost(3 << 10).of("executor-task")},
		Note: "`executor`: a goroutine that waits in Go for room in the queue. `executor-task`: a task that waits for another's result, " +
			"with the slot lent. `go`: a goroutine that waits on a channel. Each figure includes the goroutine's own stack.",
	}
}

// waitersForRoom has one outside goroutine per waiter, all of them in Go.
func waitersForRoom(m *meter.Meter) error {
	p, err := contend.OpenExecutor(executor.WithSlots(1), executor.WithQueueLimit(1), executor.WithStallDetection(false))
	if err != nil {
		return err
	}
	defer p.Close()
	bg := context.Background()
	gate := make(chan struct{})
	for range 2 { // one runs, one fills the queue
		if err := p.E.Go(bg, func(context.Context) { <-gate }); err != nil {
			return err
		}
	}
	var wg sync.WaitGroup
	return memoryOf(m, m.N, func() (func(), error) {
		for range m.N {
			wg.Go(func() { _ = p.E.Go(bg, contend.Empty.Ctx) }) // nothing is closed before they are through
		}
		for p.E.Stats().Waiting < m.N {
			time.Sleep(time.Millisecond)
		}
		return func() { close(gate); wg.Wait() }, nil
	})
}

// waitersInTasks has one task per waiter, all waiting for the same future.
func waitersInTasks(m *meter.Meter) error {
	p, err := contend.OpenExecutor(executor.WithSlots(m.Slots), executor.WithMaxSpares(m.N+8),
		executor.WithQueueLimit(2*m.N))
	if err != nil {
		return err
	}
	defer p.Close()
	bg := context.Background()
	gate := make(chan struct{})
	awaited, err := executor.Submit(bg, p.E, func(ctx context.Context) (int, error) {
		executor.Blocking(ctx, func() { <-gate })
		return 1, nil
	})
	if err != nil {
		return err
	}
	return memoryOf(m, m.N, func() (func(), error) {
		waiting := make(chan struct{}, m.N)
		for range m.N {
			err := p.E.Go(bg, func(ctx context.Context) {
				waiting <- struct{}{}
				_, _ = awaited.Wait(ctx) // the future gives no error
			})
			if err != nil {
				return nil, err
			}
		}
		for range m.N {
			<-waiting
		}
		time.Sleep(50 * time.Millisecond) // until the last of them is parked
		return func() { close(gate); _ = p.Wait() }, nil
	})
}

// idleExecutor measures a pool that has worked and is idle.
func idleExecutor() Row {
	const count = 50
	var entries []Entry
	for _, c := range contend.Named(contend.Executor, "channel", "ants", "pond", "workerpool", "gopool") {
		entries = append(entries, Entry{Name: c.Name, Run: func(m *meter.Meter) error {
			return memoryOf(m, count, func() (func(), error) {
				var open []contend.Pool
				for range count {
					p, err := c.Open(contend.Config{Slots: 2})
					if err != nil {
						return nil, err
					}
					open = append(open, p)
					if err := repeat(context.Background(), p, 100, contend.Empty); err != nil {
						return nil, err
					}
				}
				time.Sleep(100 * time.Millisecond) // until all are idle
				return func() {
					for _, p := range open {
						_ = p.Wait() // nothing is asked of the result
						p.Close()
					}
				}, nil
			})
		}})
	}
	return Row{
		Group: "Memory", Scenario: "idle", Title: "memory of an idle pool with 2 slots", Op: "pool",
		Unit: heldUnit, Size: count, QuickSize: count, Whole: true, QuickRounds: 2,
		Entries: entries,
		Goals:   []Goal{atMost(32 << 10)},
		Note:    "After a hundred tasks. A channel's buffer for 2,048 functions is 16 KB of it.",
	}
}
