package suite

import (
	"context"
	"slices"
	"sync"

	"github.com/seed-97bda89a/executor"

	"github.com/seed-97bda89a/executor/benchmarks/internal/contend"
	"github.com/seed-97bda89a/executor/benchmarks/internal/meter"
	"github.com/seed-97bda89a/executor/benchmarks/internal/work"
)

// A fork runs left and right, both of which may fork again, and returns when
// both are done. It is what the entries of the sorting rows differ in.
type fork func(ctx context.Context, left, right func(context.Context))

func forkExecutor(ctx context.Context, left, right func(context.Context)) {
	l := executor.Fork(ctx, func(ctx context.Context) struct{} {
		left(ctx)
		return struct{}{}
	})
	right(ctx)
	l.Join(ctx)
}

func forkGo(ctx context.Context, left, right func(context.Context)) {
	var wg sync.WaitGroup
	wg.Go(func() { left(ctx) })
	right(ctx)
	wg.Wait()
}

func forkNothing(ctx context.Context, left, right func(context.Context)) {
	left(ctx)
	right(ctx)
}

// sortRow sorts the same numbers with every way to fork.
func sortRow(scenario, title, note string, sort func(ctx context.Context, split fork, s, scratch []int)) Row {
	var in, out, scratch []int
	prepare := func(m *meter.Meter) {
		m.Ops(m.N)
		copy(out, in)
	}
	check := func(err error) error {
		if err != nil {
			return err
		}
		return work.CheckSorted(in, out)
	}
	return Row{
		Group: "Sort", Scenario: scenario, Title: title, Op: "element",
		Size: 4_000_000, QuickSize: 1_000_000, Whole: true, QuickRounds: 3,
		Setup: func(quick bool) (func(), error) {
			in = work.Ints(map[bool]int{false: 4_000_000, true: 1_000_000}[quick])
			out, scratch = make([]int, len(in)), make([]int, len(in))
			return func() { in, out, scratch = nil, nil, nil }, nil
		},
		Entries: concat([]Entry{
			{Name: contend.Executor, Run: func(m *meter.Meter) error {
				prepare(m)
				return check(inExecutor(m, true, func(ctx context.Context) bool {
					sort(ctx, forkExecutor, out, scratch)
					return true
				}))
			}},
			{Name: "go", Run: func(m *meter.Meter) error {
				prepare(m)
				return check(measured(m, true, func() bool {
					sort(context.Background(), forkGo, out, scratch)
					return true
				}))
			}},
			{Name: serial, Run: func(m *meter.Meter) error {
				prepare(m)
				return check(measured(m, true, func() bool {
					sort(context.Background(), forkNothing, out, scratch)
					return true
				}))
			}},
			{Name: "slices.Sort", Run: func(m *meter.Meter) error {
				prepare(m)
				return check(measured(m, true, func() bool { slices.Sort(out); return true }))
			}},
		}, skipped(waitsInside, pools...)),
		Note: note,
	}
}

func quickSortRow() Row {
	return sortRow("quick", "quicksort of four million ints",
		"Parts below 4,096 elements go to slices.Sort. `serial` is the same code without forks.",
		func(ctx context.Context, split fork, s, _ []int) { quickSort(ctx, split, s) })
}

func quickSort(ctx context.Context, split fork, s []int) {
	if len(s) <= work.SortCutoff {
		slices.Sort(s)
		return
	}
	left, right := work.Partition(s)
	split(ctx,
		func(ctx context.Context) { quickSort(ctx, split, left) },
		func(ctx context.Context) { quickSort(ctx, split, right) })
}

func mergeSortRow() Row {
	return sortRow("merge", "merge sort of four million ints",
		"Halves in parallel, merged in one goroutine; parts below 4,096 elements go to slices.Sort.",
		mergeSort)
}

// mergeSort sorts s with scratch space of the same length.
func mergeSort(ctx context.Context, split fork, s, scratch []int) {
	if len(s) <= work.SortCutoff {
		slices.Sort(s)
		return
	}
	mid := len(s) / 2
	split(ctx,
		func(ctx context.Context) { mergeSort(ctx, split, s[:mid], scratch[:mid]) },
		func(ctx context.Context) { mergeSort(ctx, split, s[mid:], scratch[mid:]) })
	work.Merge(scratch, s[:mid], s[mid:])
	copy(s, scratch)
}
