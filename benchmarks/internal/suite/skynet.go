package suite

import (
	"context"
	"sync"

	"github.com/seed-97bda89a/executor"

	"github.com/seed-97bda89a/executor/benchmarks/internal/contend"
	"github.com/seed-97bda89a/executor/benchmarks/internal/meter"
)

// skynet is the benchmark of that name: a task starts ten, each of those ten,
// down to a million leaves, which hand their numbers up to be added.
func skynet() Row {
	prepare := func(m *meter.Meter) int {
		tasks := 0
		for level := 1; level <= m.N; level *= 10 {
			tasks += level
		}
		m.Ops(tasks)
		return m.N * (m.N - 1) / 2
	}
	return Row{
		Group: "Fork", Scenario: "skynet", Title: "skynet: a million leaves, ten children a task", Op: "task",
		Size: 1_000_000, QuickSize: 100_000, Whole: true,
		Entries: concat([]Entry{
			{Name: contend.Executor, Run: func(m *meter.Meter) error {
				want := prepare(m)
				return inExecutor(m, want, func(ctx context.Context) int { return skynetForked(ctx, 0, m.N) })
			}},
			{Name: forkWith, Run: func(m *meter.Meter) error {
				want := prepare(m)
				return inExecutor(m, want, func(ctx context.Context) int { return skynetWith(ctx, skynetPart{0, m.N}) })
			}},
			{Name: "go", Run: func(m *meter.Meter) error {
				want := prepare(m)
				return measured(m, want, func() int { return skynetGo(0, m.N) })
			}},
			{Name: "go-channels", Run: func(m *meter.Meter) error {
				want := prepare(m)
				return measured(m, want, func() int {
					up := make(chan int, 1)
					skynetChannels(up, 0, m.N)
					return <-up
				})
			}},
		}, skipped(waitsInside, pools...)),
		Goals:   []Goal{atMost(45), atMost(40).of(forkWith)},
		Note:    "`go-channels` is the benchmark as it was first written for Go, `go` the same with WaitGroups.",
		Foreign: "skynet",
		Plot:    true,
	}
}

const skynetFan = 10

func skynetForked(ctx context.Context, first, size int) int {
	if size == 1 {
		return first
	}
	var forked [skynetFan]executor.Forked[int]
	below := size / skynetFan
	for i := range forked {
		forked[i] = executor.Fork(ctx, func(ctx context.Context) int {
			return skynetForked(ctx, first+i*below, below)
		})
	}
	sum := 0
	for i := len(forked) - 1; i >= 0; i-- {
		sum += forked[i].Join(ctx)
	}
	return sum
}

type skynetPart struct{ first, size int }

func skynetWith(ctx context.Context, p skynetPart) int {
	if p.size == 1 {
		return p.first
	}
	var forked [skynetFan]executor.Forked[int]
	below := p.size / skynetFan
	for i := range forked {
		forked[i] = executor.ForkWith(ctx, skynetWith, skynetPart{p.first + i*below, below})
	}
	sum := 0
	for i := len(forked) - 1; i >= 0; i-- {
		sum += forked[i].Join(ctx)
	}
	return sum
}

func skynetGo(first, size int) int {
	if size == 1 {
		return first
	}
	var sums [skynetFan]int
	var wg sync.WaitGroup
	below := size / skynetFan
	for i := range sums {
		wg.Go(func() { sums[i] = skynetGo(first+i*below, below) })
	}
	wg.Wait()
	sum := 0
	for _, s := range sums {
		sum += s
	}
	return sum
}

func skynetChannels(up chan<- int, first, size int) {
	if size == 1 {
		up <- first
		return
	}
	sums := make(chan int, skynetFan)
	below := size / skynetFan
	for i := range skynetFan {
		go skynetChannels(sums, first+i*below, below)
	}
	sum := 0
	for range skynetFan {
		sum += <-sums
	}
	up <- sum
}
