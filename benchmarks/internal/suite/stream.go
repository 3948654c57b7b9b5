package suite

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/sourcegraph/conc/stream"

	"github.com/seed-97bda89a/executor/benchmarks/internal/contend"
	"github.com/seed-97bda89a/executor/benchmarks/internal/meter"
	"github.com/seed-97bda89a/executor/benchmarks/internal/work"
)

// streamWork is what an element takes, and streamSteps what that is in units of work.
const streamWork = 2 * time.Microsecond

// ordered results of a sequence: the caller takes them one by one, in order, while later ones are computed.
func streams() Row {
	units := work.Units(streamWork)
	square := func(i int) int {
		work.Spin(units)
		return i * i
	}
	squares := func(_ context.Context, i int) (int, error) { return square(i), nil }
	// take checks that a result is the next one.
	type take func(value int) error
	taking := func(next *int) take {
		return func(value int) error {
			if value != *next**next {
				return fmt.Errorf("result %d is %d", *next, value)
			}
			*next++
			return nil
		}
	}
	entry := func(name string, run func(m *meter.Meter, take take) error) Entry {
		return Entry{Name: name, Run: func(m *meter.Meter) error {
			next := 0
			if err := run(m, taking(&next)); err != nil {
				return err
			}
			return same(next, m.N)
		}}
	}
	indices := func(n int) func(func(int) bool) {
		return func(yield func(int) bool) {
			for i := range n {
				if !yield(i) {
					return
				}
			}
		}
	}
	return Row{
		Group: "Stream", Scenario: "ordered", Title: "results of a sequence in order, 2 µs of work for each", Op: "element",
		Size: 100_000, QuickSize: 20_000,
		Entries: []Entry{
			entry(contend.Executor, func(m *meter.Meter, take take) error {
				e, err := executor.New(executor.WithSlots(m.Slots))
				if err != nil {
					return err
				}
				defer func() { _ = e.Close() }()
				m.Start()
				defer m.Stop()
				for v, err := range executor.Ordered(context.Background(), e, indices(m.N), squares) {
					if err == nil {
						err = take(v)
					}
					if err != nil {
						return err
					}
				}
				return nil
			}),
			entry(contend.Executor+"-unordered", func(m *meter.Meter, take take) error {
				e, err := executor.New(executor.WithSlots(m.Slots))
				if err != nil {
					return err
				}
				defer func() { _ = e.Close() }()
				all := make([]int, 0, m.N)
				m.Start()
				for v, err := range executor.Unordered(context.Background(), e, indices(m.N), squares) {
					if err != nil {
						return err
					}
					all = append(all, v)
				}
				m.Stop()
				slices.Sort(all)
				for _, v := range all {
					if err := take(v); err != nil {
						return err
					}
				}
				return nil
			}),
			entry("conc-stream", func(m *meter.Meter, take take) error {
				s := stream.New().WithMaxGoroutines(m.Slots)
				var failed error
				m.Start()
				defer m.Stop()
				for i := range m.N {
					s.Go(func() stream.Callback {
						v := square(i)
						return func() {
							if err := take(v); err != nil {
								failed = err
							}
						}
					})
				}
				s.Wait()
				return failed
			}),
			entry("channel", func(m *meter.Meter, take take) error {
				m.Start()
				defer m.Stop()
				return orderedByHand(m.N, m.Slots, square, take)
			}),
		},
		Note: "`executor` is Ordered; `executor-unordered` gives results as they come, and is no rival. `channel` is what one would write by hand: as many " +
			"workers as slots, a place with a channel for each element under way, taken in order. conc-stream calls back for each result, on a goroutine of its own.",
	}
}

// orderedByHand computes f(0) to f(n-1) on some workers, and takes the results in order.
func orderedByHand(n, workers int, f func(int) int, take func(int) error) error {
	type place struct {
		i      int
		result chan int
	}
	tasks, order := make(chan place), make(chan place, 2*workers)
	quit := make(chan struct{})
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for p := range tasks {
				p.result <- f(p.i)
			}
		})
	}
	wg.Go(func() {
		defer close(order)
		defer close(tasks)
		for i := range n {
			p := place{i, make(chan int, 1)}
			select {
			case order <- p:
			case <-quit:
				return
			}
			tasks <- p
		}
	})
	var failed error
	for p := range order {
		if failed = take(<-p.result); failed != nil {
			close(quit)
			break
		}
	}
	for range order { // what was under way
	}
	wg.Wait()
	return failed
}

// stages passes elements through three stages over channels.
func stages() Row {
	const workers, buffer = 2, 16
	units := work.Units(streamWork)
	step := func(i int) int {
		work.Spin(units)
		return i + 1
	}
	feed := func(n int, to chan<- int) {
		for i := range n {
			to <- i
		}
		close(to)
	}
	drain := func(n int, from <-chan int) error {
		sum := 0
		for v := range from {
			sum += v
		}
		return same(sum, n*(n-1)/2+3*n)
	}
	return Row{
		Group: "Pipeline", Scenario: "channels", Title: "three stages of two workers each over channels, 2 µs of work in each", Op: "element",
		Size: 50_000, QuickSize: 10_000,
		Entries: []Entry{
			{Name: contend.Executor, Run: func(m *meter.Meter) error {
				e, err := executor.New(executor.WithSlots(m.Slots))
				if err != nil {
					return err
				}
				defer func() { _ = e.Close() }()
				bg := context.Background()
				m.Start()
				defer m.Stop()
				first := make(chan int, buffer)
				from := first
				var groups []*executor.Group
				for range 3 {
					to, source := make(chan int, buffer), from
					g := e.NewGroup(bg)
					for range workers {
						g.Go(func(ctx context.Context) error {
							for {
								v, ok, err := executor.Receive(ctx, source)
								if err != nil || !ok {
									return err
								}
								if err := executor.Send(ctx, to, step(v)); err != nil {
									return err
								}
							}
						})
					}
					groups = append(groups, g)
					go func() {
						_ = g.Wait() // asked again below
						close(to)
					}()
					from = to
				}
				go feed(m.N, first)
				err = drain(m.N, from)
				for _, g := range groups {
					if failed := g.Wait(); err == nil {
						err = failed
					}
				}
				return err
			}},
			{Name: "go", Run: func(m *meter.Meter) error {
				m.Start()
				defer m.Stop()
				first := make(chan int, buffer)
				from := first
				for range 3 {
					to, source := make(chan int, buffer), from
					var wg sync.WaitGroup
					for range workers {
						wg.Go(func() {
							for v := range source {
								to <- step(v)
							}
						})
					}
					go func() { wg.Wait(); close(to) }()
					from = to
				}
				go feed(m.N, first)
				return drain(m.N, from)
			}},
		},
		Note: "`executor` has six tasks on as many slots as processors; they use Receive and Send, which lend the slot while a channel makes them wait. " +
			"`go` is six goroutines. What it costs is the hand-over of slots; what it buys is that six stages compute on no more processors than the executor may use.",
	}
}
