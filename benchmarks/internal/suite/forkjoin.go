package suite

import (
	"context"
	"fmt"
	"sync"

	"github.com/seed-97bda89a/executor"
	"golang.org/x/sync/errgroup"

	"github.com/seed-97bda89a/executor/benchmarks/internal/contend"
	"github.com/seed-97bda89a/executor/benchmarks/internal/meter"
	"github.com/seed-97bda89a/executor/benchmarks/internal/work"
)

// Why pools are absent from rows in which a task waits for its children.
const waitsInside = "a task that waits for its children keeps its worker, so that soon all workers wait for each other for ever"

// pools are the contenders to which that applies.
var pools = []string{"channel", "ants", "pond", "conc", "workerpool", "gopool", "semaphore"}

// forkWith is the executor with ForkWith instead of Fork.
const forkWith = contend.Executor + "-with"

// inExecutor measures fn as a task of a fresh executor, and checks its result.
func inExecutor[T comparable](m *meter.Meter, want T, fn func(context.Context) T) error {
	p, err := contend.OpenExecutor(executor.WithSlots(m.Slots))
	if err != nil {
		return err
	}
	defer p.Close()
	bg := context.Background()
	m.Start()
	f, err := executor.Submit(bg, p.E, func(ctx context.Context) (T, error) { return fn(ctx), nil })
	if err != nil {
		return err
	}
	got, err := f.Wait(bg)
	m.Stop()
	if err != nil {
		return err
	}
	report(m, p)
	return same(got, want)
}

// measured measures fn in the calling goroutine, and checks its result.
func measured[T comparable](m *meter.Meter, want T, fn func() T) error {
	m.Start()
	got := fn()
	m.Stop()
	return same(got, want)
}

func same[T comparable](got, want T) error {
	if got != want {
		return fmt.Errorf("wrong result: %v, want %v", got, want)
	}
	return nil
}

// fib splits down to single numbers: nothing but the cost of forking.
func fib() Row {
	forks := func(m *meter.Meter) int {
		m.Ops(work.FibForks(m.N))
		return work.Fib(m.N)
	}
	return Row{
		Group: "Fork", Scenario: "fib", Title: "Fibonacci by fork and join, no cutoff", Op: "fork",
		Size: 30, QuickSize: 24, Whole: true,
		Entries: concat([]Entry{
			{Name: contend.Executor, Run: func(m *meter.Meter) error {
				want := forks(m)
				return inExecutor(m, want, func(ctx context.Context) int { return fibForked(ctx, m.N) })
			}},
			{Name: forkWith, Run: func(m *meter.Meter) error {
				want := forks(m)
				return inExecutor(m, want, func(ctx context.Context) int { return fibWith(ctx, m.N) })
			}},
			{Name: "go", Run: func(m *meter.Meter) error {
				want := forks(m)
				return measured(m, want, func() int { return fibGo(m.N) })
			}},
			{Name: "errgroup", Run: func(m *meter.Meter) error {
				want := forks(m)
				return measured(m, want, func() int { return fibGroup(m.N) })
			}},
			{Name: serial, Run: func(m *meter.Meter) error {
				want := forks(m)
				return measured(m, want, func() int { return work.Fib(m.N) })
			}},
		}, skipped(waitsInside, pools...)),
		Goals: []Goal{
			atMost(33), atMostTimes(1.0/9, "go"), {Unit: meter.AllocsPerOp, AtMost: 1.01},
			atMostTimes(0.63, contend.Executor).of(forkWith), noAllocs().of(forkWith),
		},
		Note: "`executor-with` is ForkWith, which needs no closure; `go` is a goroutine and a WaitGroup for one half, `errgroup` a new group without a limit; " +
			"`serial` is the recursive function alone, whose nanosecond a real program would not cut into tasks.",
		Foreign: "fib",
		Plot:    true,
	}
}

func fibForked(ctx context.Context, n int) int {
	if n < 2 {
		return n
	}
	half := executor.Fork(ctx, func(ctx context.Context) int { return fibForked(ctx, n-1) })
	rest := fibForked(ctx, n-2)
	return half.Join(ctx) + rest
}

func fibWith(ctx context.Context, n int) int {
	if n < 2 {
		return n
	}
	half := executor.ForkWith(ctx, fibWith, n-1)
	rest := fibWith(ctx, n-2)
	return half.Join(ctx) + rest
}

func fibGo(n int) int {
	if n < 2 {
		return n
	}
	var half int
	var wg sync.WaitGroup
	wg.Go(func() { half = fibGo(n - 1) })
	rest := fibGo(n - 2)
	wg.Wait()
	return half + rest
}

func fibGroup(n int) int {
	if n < 2 {
		return n
	}
	var half int
	var g errgroup.Group
	g.Go(func() error { half = fibGroup(n - 1); return nil })
	rest := fibGroup(n - 2)
	_ = g.Wait() // the function gives none
	return half + rest
}

// queens forks once for every queen that can be placed.
func queens() Row {
	prepare := func(m *meter.Meter) int {
		ways, placed := work.Queens(work.Board{}, m.N, 0)
		m.Ops(placed)
		return ways
	}
	return Row{
		Group: "Fork", Scenario: "queens", Title: "the n queens puzzle, a task for every queen placed", Op: "task",
		Size: 11, QuickSize: 9, Whole: true,
		Entries: concat([]Entry{
			{Name: contend.Executor, Run: func(m *meter.Meter) error {
				want := prepare(m)
				return inExecutor(m, want, func(ctx context.Context) int {
					return queensForked(ctx, work.Board{}, m.N, 0)
				})
			}},
			{Name: "go", Run: func(m *meter.Meter) error {
				want := prepare(m)
				return measured(m, want, func() int { return queensGo(work.Board{}, m.N, 0) })
			}},
			{Name: serial, Run: func(m *meter.Meter) error {
				want := prepare(m)
				return measured(m, want, func() int {
					ways, _ := work.Queens(work.Board{}, m.N, 0)
					return ways
				})
			}},
		}, skipped(waitsInside, pools...)),
		Note: "The result is checked against the known number of solutions.",
	}
}

func queensForked(ctx context.Context, b work.Board, n, row int) int {
	if row == n {
		return 1
	}
	var forked [16]executor.Forked[int]
	count := 0
	for free := b.Free(n); free != 0; free &= free - 1 {
		next := b.Place(free & -free)
		forked[count] = executor.Fork(ctx, func(ctx context.Context) int { return queensForked(ctx, next, n, row+1) })
		count++
	}
	ways := 0
	for i := count - 1; i >= 0; i-- {
		ways += forked[i].Join(ctx)
	}
	return ways
}

func queensGo(b work.Board, n, row int) int {
	if row == n {
		return 1
	}
	var found [16]int
	var wg sync.WaitGroup
	count := 0
	for free := b.Free(n); free != 0; free &= free - 1 {
		next, place := b.Place(free&-free), count
		wg.Go(func() { found[place] = queensGo(next, n, row+1) })
		count++
	}
	wg.Wait()
	ways := 0
	for _, w := range found[:count] {
		ways += w
	}
	return ways
}
