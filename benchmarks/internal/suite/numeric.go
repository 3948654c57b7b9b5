package suite

import (
	"context"
	"sync/atomic"

	"github.com/seed-97bda89a/executor"

	"github.com/seed-97bda89a/executor/benchmarks/internal/contend"
	"github.com/seed-97bda89a/executor/benchmarks/internal/meter"
	"github.com/seed-97bda89a/executor/benchmarks/internal/work"
)

// partsOf returns every way to do the N independent parts of one piece of work:
// For and a task a part on the executor, a task a part on everybody else, equal
// chunks by hand, and one goroutine. Check looks at the result after each.
func partsOf(part func(ctx context.Context, i int), check func() error) []Entry {
	entries := []Entry{{Name: "executor-for", Run: func(m *meter.Meter) error {
		p, err := contend.OpenExecutor(executor.WithSlots(m.Slots))
		if err != nil {
			return err
		}
		defer p.Close()
		m.Start()
		err = executor.For(context.Background(), p.E, m.N, func(ctx context.Context, i int) error {
			part(ctx, i)
			return nil
		})
		m.Stop()
		if err != nil {
			return err
		}
		return check()
	}}}
	entries = append(entries, entriesFor(contend.All(), func(m *meter.Meter, c contend.Contender, p contend.Pool) error {
		m.Start()
		if err := c.Each(p, m.N, part); err != nil {
			return err
		}
		if err := p.Wait(); err != nil {
			return err
		}
		m.Stop()
		return check()
	})...)
	return append(entries,
		Entry{Name: "chunks", Run: func(m *meter.Meter) error {
			m.Start()
			chunks(m.N, m.Slots, func(from, to int) {
				for i := from; i < to; i++ {
					part(context.Background(), i)
				}
			})
			m.Stop()
			return check()
		}},
		Entry{Name: serial, Run: func(m *meter.Meter) error {
			m.Start()
			for i := range m.N {
				part(context.Background(), i)
			}
			m.Stop()
			return check()
		}})
}

// matrix multiplies, a task a row.
func matrix() Row {
	var a, b, out work.Matrix
	var want float64
	return Row{
		Group: "Work", Scenario: "matrix", Title: "matrix multiplication, a task a row", Op: "row",
		Size: 512, QuickSize: 256, Whole: true, QuickRounds: 3,
		Setup: func(quick bool) (func(), error) {
			n := map[bool]int{false: 512, true: 256}[quick]
			a, b = work.NewMatrix(n, 1), work.NewMatrix(n, 2)
			out = work.Matrix{N: n, Cells: make([]float64, n*n)}
			for i := range n {
				work.MultiplyRow(out, a, b, i)
			}
			want = out.Sum()
			return func() { a, b, out = work.Matrix{}, work.Matrix{}, work.Matrix{} }, nil
		},
		Entries: partsOf(func(_ context.Context, i int) { work.MultiplyRow(out, a, b, i) },
			func() error {
				got := out.Sum()
				clear(out.Cells)
				return same(got, want)
			}),
		Note: "512 rows.",
	}
}

// mandelbrot computes a picture whose rows differ much in cost.
func mandelbrot() Row {
	const width, height = 1024, 768
	want := 0
	var got atomic.Int64
	return Row{
		Group: "Work", Scenario: "mandelbrot", Title: "the Mandelbrot set, a task a row", Op: "row",
		Size: height, QuickSize: height, Whole: true, QuickRounds: 2,
		Setup: func(bool) (func(), error) {
			want = 0
			for y := range height {
				want += work.MandelbrotRow(width, height, y)
			}
			return func() {}, nil
		},
		Entries: partsOf(func(_ context.Context, y int) { got.Add(int64(work.MandelbrotRow(width, height, y))) },
			func() error { return same(got.Swap(0), int64(want)) }),
		Note: "768 rows of 1,024 points, up to 256 steps each; rows in the middle cost two orders of magnitude more than those at the edge.",
	}
}
