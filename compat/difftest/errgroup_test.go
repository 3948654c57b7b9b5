package difftest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	peer "golang.org/x/sync/errgroup"

	"github.com/seed-97bda89a/executor"
	door "github.com/seed-97bda89a/executor/compat/errgroup"
)

// errGroup is what both packages have.
type errGroup interface {
	Go(func() error)
	TryGo(func() error) bool
	Wait() error
	SetLimit(int)
}

// maker makes groups of one kind.
type maker struct {
	zero func() errGroup
	with func(context.Context) (errGroup, context.Context)
}

func peers() maker {
	return maker{
		zero: func() errGroup { return new(peer.Group) },
		with: func(ctx context.Context) (errGroup, context.Context) { return peer.WithContext(ctx) },
	}
}

func doorsOn(e *executor.Executor) maker {
	return maker{
		zero: func() errGroup { return new(door.Group).On(e) },
		with: func(ctx context.Context) (errGroup, context.Context) {
			g, ctx := door.WithContext(ctx)
			return g.On(e), ctx
		},
	}
}

// eachErrgroup runs a program on the peer, on the door without an executor, and on executors of several shapes. The
// program returns what it saw, which must be the same.
func eachErrgroup(t *testing.T, program func(t *testing.T, m maker) string) {
	t.Helper()
	var want string
	t.Run("peer", func(t *testing.T) { want = program(t, peers()) })
	t.Run("unbound", func(t *testing.T) {
		require.Equal(t, want, program(t, maker{
			zero: func() errGroup { return new(door.Group) },
			with: func(ctx context.Context) (errGroup, context.Context) { return door.WithContext(ctx) },
		}))
	})
	for name, opts := range shapes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newExecutor(t, opts...)
			require.Equal(t, want, program(t, doorsOn(e)))
		})
	}
}

// shapes are executors that doors must live on.
var shapes = map[string][]executor.Option{
	"one slot":     {executor.WithSlots(1)},
	"two slots":    {executor.WithSlots(2)},
	"no spare":     {executor.WithSlots(1), executor.WithMaxSpares(0)},
	"short queue":  {executor.WithSlots(2), executor.WithQueueLimit(1)},
	"no detection": {executor.WithSlots(1), executor.WithStallDetection(false)},
}

func newExecutor(t *testing.T, opts ...executor.Option) *executor.Executor {
	t.Helper()
	e, err := executor.New(opts...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = e.Close() })
	return e
}

func TestErrgroup_FirstErrorStaysForEver(t *testing.T) {
	eachErrgroup(t, func(t *testing.T, m maker) string {
		g := m.zero()
		g.SetLimit(1)
		g.Go(func() error { return errors.New("first") })
		g.Go(func() error { return errors.New("second") })
		first := g.Wait()
		g.Go(func() error { return errors.New("third") })
		return fmt.Sprint(first, g.Wait(), g.Wait())
	})
}

func TestErrgroup_FunctionsRunAfterAnErrorAndADoneContext(t *testing.T) {
	eachErrgroup(t, func(t *testing.T, m maker) string {
		ctx, cancel := context.WithCancel(context.Background())
		g, ctx := m.with(ctx)
		cancel()
		var ran atomic.Int32
		for range 10 {
			g.Go(func() error { ran.Add(1); return ctx.Err() })
		}
		err := g.Wait()
		g.Go(func() error { ran.Add(1); return nil })
		return fmt.Sprint(err, g.Wait(), ran.Load())
	})
}

func TestErrgroup_ContextsCause(t *testing.T) {
	eachErrgroup(t, func(t *testing.T, m maker) string {
		var seen []any
		for _, err := range []error{nil, errors.New("cause")} {
			g, ctx := m.with(context.Background())
			g.Go(func() error { return err })
			seen = append(seen, g.Wait(), ctx.Err(), context.Cause(ctx))
		}
		return fmt.Sprint(seen...)
	})
}

func TestErrgroup_Limits(t *testing.T) {
	eachErrgroup(t, func(t *testing.T, m maker) string {
		var seen []any
		g := m.zero()
		g.SetLimit(0)
		seen = append(seen, g.TryGo(func() error { return nil }))
		g.SetLimit(2)
		hold := make(chan struct{})
		for range 3 {
			seen = append(seen, g.TryGo(func() error { <-hold; return nil }))
		}
		seen = append(seen, panicked(func() { g.SetLimit(3) }))
		close(hold)
		seen = append(seen, g.Wait())
		g.SetLimit(-1)
		seen = append(seen, g.TryGo(func() error { return nil }), g.Wait())
		return fmt.Sprint(seen...)
	})
}

// Members wait for each other without telling anybody, more of them than slots and spares.
func TestErrgroup_MembersRunAtTheSameTime(t *testing.T) {
	eachErrgroup(t, func(t *testing.T, m maker) string {
		const members = 600
		g := m.zero()
		var here atomic.Int32
		all := make(chan struct{})
		for range members {
			g.Go(func() error {
				if here.Add(1) == members {
					close(all)
				}
				<-all
				return nil
			})
		}
		return fmt.Sprint(g.Wait(), here.Load())
	})
}

// A member that waits by computing: no monitor takes it for blocked.
func TestErrgroup_AMemberThatSpins(t *testing.T) {
	eachErrgroup(t, func(t *testing.T, m maker) string {
		g := m.zero()
		var set atomic.Bool
		g.Go(func() error {
			for !set.Load() {
				runtime.Gosched()
			}
			return nil
		})
		g.Go(func() error { set.Store(true); return nil })
		return fmt.Sprint(g.Wait())
	})
}

func TestErrgroup_Pipeline(t *testing.T) {
	eachErrgroup(t, func(t *testing.T, m maker) string {
		g := m.zero()
		const stages, values = 5, 200
		in := make(chan int)
		g.Go(func() error {
			defer close(in)
			for i := range values {
				in <- i
			}
			return nil
		})
		last := in
		for range stages {
			from, to := last, make(chan int)
			last = to
			g.Go(func() error {
				defer close(to)
				for v := range from {
					to <- v + 1
				}
				return nil
			})
		}
		sum := 0
		for v := range last { // the submitter takes the results
			sum += v
		}
		return fmt.Sprint(g.Wait(), sum)
	})
}

func TestErrgroup_Goexit(t *testing.T) {
	eachErrgroup(t, func(t *testing.T, m maker) string {
		g, ctx := m.with(context.Background())
		g.SetLimit(1)
		g.Go(func() error { runtime.Goexit(); return errors.New("not reached") })
		g.Go(func() error { return ctx.Err() })
		return fmt.Sprint(g.Wait())
	})
}

func TestErrgroup_Nested(t *testing.T) {
	eachErrgroup(t, func(t *testing.T, m maker) string {
		var leaves atomic.Int32
		var tree func(depth int) error
		tree = func(depth int) error {
			if depth == 0 {
				leaves.Add(1)
				return nil
			}
			g := m.zero()
			g.SetLimit(2)
			for range 3 {
				g.Go(func() error { return tree(depth - 1) })
			}
			return g.Wait()
		}
		return fmt.Sprint(tree(4), leaves.Load())
	})
}

// An executor that ends loses nothing: what was accepted runs.
func TestErrgroup_OnAnExecutorThatIsClosed(t *testing.T) {
	e, err := executor.New(executor.WithSlots(1))
	require.NoError(t, err)
	g := new(door.Group).On(e)
	started, hold := make(chan struct{}), make(chan struct{})
	var ran atomic.Int32
	g.Go(func() error { close(started); <-hold; return nil })
	<-started
	for range 100 {
		g.Go(func() error { ran.Add(1); return nil })
	}
	closed := make(chan error)
	go func() { closed <- e.Close() }()
	for ran.Load() < 100 {
		runtime.Gosched()
	}
	close(hold)
	require.NoError(t, <-closed)
	g.Go(func() error { ran.Add(1); return nil })
	require.NoError(t, g.Wait())
	require.EqualValues(t, 101, ran.Load())
}

// Random programs: trees of groups with limits, errors and Goexits. What can be observed whatever the order must agree.
func TestErrgroup_RandomPrograms(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			eachErrgroup(t, func(t *testing.T, m maker) string {
				var ran, failed atomic.Int32
				rng := rand.New(rand.NewPCG(seed, 1))
				var build func(depth int) func() error
				build = func(depth int) func() error {
					children := make([]func() error, rng.IntN(4))
					if depth == 0 {
						children = nil
					}
					for i := range children {
						children[i] = build(depth - 1)
					}
					limit, end := rng.IntN(4)-1, rng.IntN(6)
					return func() error {
						ran.Add(1)
						g, _ := m.with(context.Background())
						if limit != 0 {
							g.SetLimit(limit)
						}
						for _, child := range children {
							g.Go(child)
						}
						if g.Wait() != nil {
							failed.Add(1)
						}
						switch end {
						case 0:
							runtime.Goexit()
						case 1:
							return errors.New("an error")
						}
						return nil
					}
				}
				g := m.zero()
				for range 5 {
					g.Go(build(4))
				}
				return fmt.Sprint(g.Wait() != nil, ran.Load(), failed.Load())
			})
		})
	}
}
