package suite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-97bda89a/executor"
	"golang.org/x/sync/errgroup"

	"github.com/seed-97bda89a/executor/benchmarks/internal/contend"
	"github.com/seed-97bda89a/executor/benchmarks/internal/meter"
	"github.com/seed-97bda89a/executor/benchmarks/internal/work"
)

// outside submits empty tasks from goroutines that are not tasks.
func outside(producers int, goals []Goal) Row {
	return Row{
		Group:    "Submit",
		Scenario: fmt.Sprintf("outside=%d", producers),
		Title:    fmt.Sprintf("empty tasks from %s", plural(producers, "outside producer")),
		Op:       "task",
		Size:     1_000_000, QuickSize: 150_000,
		Entries: entriesFor(contend.All(), func(m *meter.Meter, _ contend.Contender, p contend.Pool) error {
			m.Start()
			defer m.Stop()
			if err := produce(p, m.N, producers, contend.Empty); err != nil {
				return err
			}
			return p.Wait()
		}),
		Goals:   goals,
		Note:    "From the first submit until every task has ended. Where there is no queue, the caller waits for a worker each time.",
		Foreign: fmt.Sprintf("outside%d", producers),
		Plot:    true,
	}
}

func plural(n int, noun string) string {
	if n == 1 {
		return "one " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// produce submits n copies of a task, shared out between producers.
func produce(p contend.Pool, n, producers int, t contend.Task) error {
	bg := context.Background()
	if producers == 1 {
		return repeat(bg, p, n, t)
	}
	var g errgroup.Group
	for i := range producers {
		g.Go(func() error { return repeat(bg, p, share(n, producers, i), t) })
	}
	return g.Wait()
}

// share is the size of the i-th of k nearly equal parts of n.
func share(n, k, i int) int { return n*(i+1)/k - n*i/k }

func repeat(ctx context.Context, p contend.Pool, n int, t contend.Task) error {
	for range n {
		if err := p.Submit(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// children has one task start all others.
func children() Row {
	return Row{
		Group:    "Spawn",
		Scenario: "children",
		Title:    "one task starts a million empty children",
		Op:       "child",
		Size:     1_000_000, QuickSize: 150_000,
		Entries: entriesFor(contend.All(), func(m *meter.Meter, c contend.Contender, p contend.Pool) error {
			if m.Slots < 2 && !c.Nests {
				return errors.New("the parent holds the only worker and waits for another")
			}
			m.Start()
			defer m.Stop()
			return spawnFromTask(p, m.N)
		}),
		Goals:   []Goal{atMostTimes(0.5, "pond"), noAllocs(), atMostTimes(1.0/8, "go")},
		Note:    "One parent only: if many tasks did this at once, channel, ants, conc, errgroup and semaphore would stop for ever.",
		Foreign: "inside",
		Plot:    true,
	}
}

// spawnFromTask runs one task that submits n empty ones, and waits for all.
func spawnFromTask(p contend.Pool, n int) error {
	started := make(chan error, 1)
	parent := contend.TaskOf(func(ctx context.Context) { started <- repeat(ctx, p, n, contend.Empty) })
	if err := p.Submit(context.Background(), parent); err != nil {
		return err
	}
	if err := <-started; err != nil {
		return err
	}
	return p.Wait()
}

// pingPong submits one task and waits for it, over and over.
func pingPong() Row {
	answer := func(m *meter.Meter, _ contend.Contender, p contend.Pool) error {
		done := make(chan struct{}, 1)
		t := contend.TaskOf(func(context.Context) { done <- struct{}{} })
		bg := context.Background()
		m.Start()
		for range m.N {
			if err := p.Submit(bg, t); err != nil {
				return err
			}
			<-done
		}
		m.Stop()
		return p.Wait()
	}
	future := Entry{Name: "executor-future", Run: func(m *meter.Meter) error {
		p, err := contend.OpenExecutor(executor.WithSlots(m.Slots))
		if err != nil {
			return err
		}
		defer p.Close()
		bg := context.Background()
		one := func(context.Context) (int, error) { return 1, nil }
		m.Start()
		defer m.Stop()
		for range m.N {
			f, err := executor.Submit(bg, p.E, one)
			if err != nil {
				return err
			}
			if _, err := f.Wait(bg); err != nil {
				return err
			}
		}
		return nil
	}}
	do := Entry{Name: "executor-do", Run: func(m *meter.Meter) error {
		p, err := contend.OpenExecutor(executor.WithSlots(m.Slots))
		if err != nil {
			return err
		}
		defer p.Close()
		bg := context.Background()
		none := func(context.Context) error { return nil }
		m.Start()
		defer m.Stop()
		for range m.N {
			if err := p.E.Do(bg, none); err != nil {
				return err
			}
		}
		return nil
	}}
	entries := entriesFor(contend.All(), answer)
	return Row{
		Group:    "PingPong",
		Scenario: "outside",
		Title:    "submit one task and wait for it",
		Op:       "round trip",
		Size:     150_000, QuickSize: 30_000,
		Entries: append([]Entry{entries[0], future, do}, entries[1:]...),
		Goals: []Goal{
			atMostTimes(1.2, "channel"), atMostTimes(1.6, "channel").of("executor-future"),
			atMostTimes(0.4, "channel").of("executor-do"), noAllocs().of("executor-do"),
		},
		Note: "The answer comes on a channel, for all alike; `executor-future` is Submit and Wait, `executor-do` is Do, " +
			"which runs the function on the caller's goroutine.",
		Foreign: "pingpong",
		Plot:    true,
	}
}

// efficiency gives every contender tasks of a known length.
func efficiency(each time.Duration, atLeast float64) Row {
	units := work.Units(each)
	size := int(500 * time.Millisecond / each)
	reference := Entry{Name: plain, Run: func(m *meter.Meter) error {
		m.Start()
		defer m.Stop()
		var g errgroup.Group
		for i := range m.Slots {
			n := share(m.N, m.Slots, i)
			g.Go(func() error {
				for range n {
					work.Spin(units)
				}
				return nil
			})
		}
		return g.Wait()
	}}
	tasks := entriesFor(contend.All(), func(m *meter.Meter, _ contend.Contender, p contend.Pool) error {
		t := contend.TaskOf(func(context.Context) { work.Spin(units) })
		m.Start()
		defer m.Stop()
		if err := produce(p, m.N, 1, t); err != nil {
			return err
		}
		return p.Wait()
	})
	return Row{
		Group:    "Efficiency",
		Scenario: fmt.Sprintf("task=%dus", each.Microseconds()),
		Title:    fmt.Sprintf("tasks of %v from one outside producer", each),
		Op:       "task",
		Size:     size, QuickSize: size / 12,
		Entries: append([]Entry{reference}, tasks...),
		Goals:   []Goal{speed(atLeast, plain)},
		Note:    "`plain` does the same work in one goroutine per slot, with no tasks and no producer: the most that the cores can give.",
		Plot:    each == time.Microsecond,
	}
}
