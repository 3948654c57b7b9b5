package difftest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	peerconc "github.com/sourcegraph/conc"
	peeriter "github.com/sourcegraph/conc/iter"
	peerpanics "github.com/sourcegraph/conc/panics"
	peerpool "github.com/sourcegraph/conc/pool"
	peerstream "github.com/sourcegraph/conc/stream"
	"github.com/stretchr/testify/require"

	"github.com/seed-97bda89a/executor/compat/conc"
	"github.com/seed-97bda89a/executor/compat/conc/iter"
	"github.com/seed-97bda89a/executor/compat/conc/panics"
	"github.com/seed-97bda89a/executor/compat/conc/pool"
	"github.com/seed-97bda89a/executor/compat/conc/stream"
)

// concs is what programs use of conc: the peer's or the door's.
type concs struct {
	waitGroup func() interface {
		Go(func())
		Wait()
	}
	pool func(limit int) interface {
		Go(func())
		Wait()
		MaxGoroutines() int
	}
	reconfigure func()
	errors      func(limit int, first bool) interface {
		Go(func() error)
		Wait() error
	}
	context func(ctx context.Context, limit int, cancelOnError bool) interface {
		Go(func(context.Context) error)
		Wait() error
	}
	results func(limit int) interface {
		Go(func() (int, error))
		Wait() ([]int, error)
	}
	stream func(limit int) (start func(func() func()), wait func())
	mapErr func(limit int, in []int, f func(*int) (int, error)) ([]int, error)
	each   func([]int, func(int, *int))
	shape  func(any) string // of a panic value
}

func theirConc() concs {
	var c concs
	c.waitGroup = func() interface {
		Go(func())
		Wait()
	} {
		return peerconc.NewWaitGroup()
	}
	c.pool = func(limit int) interface {
		Go(func())
		Wait()
		MaxGoroutines() int
	} {
		p := peerpool.New()
		if limit != 0 {
			p.WithMaxGoroutines(limit)
		}
		return p
	}
	c.reconfigure = func() {
		p := peerpool.New()
		p.Go(func() {})
		p.WithErrors()
	}
	c.errors = func(limit int, first bool) interface {
		Go(func() error)
		Wait() error
	} {
		p := peerpool.New().WithMaxGoroutines(limit).WithErrors()
		if first {
			p.WithFirstError()
		}
		return p
	}
	c.context = func(ctx context.Context, limit int, cancelOnError bool) interface {
		Go(func(context.Context) error)
		Wait() error
	} {
		p := peerpool.New().WithMaxGoroutines(limit).WithContext(ctx)
		if cancelOnError {
			p.WithCancelOnError().WithFirstError()
		}
		return p
	}
	c.results = func(limit int) interface {
		Go(func() (int, error))
		Wait() ([]int, error)
	} {
		return peerpool.NewWithResults[int]().WithMaxGoroutines(limit).WithErrors()
	}
	c.stream = func(limit int) (func(func() func()), func()) {
		s := peerstream.New().WithMaxGoroutines(limit)
		return func(f func() func()) { s.Go(func() peerstream.Callback { return f() }) }, s.Wait
	}
	c.mapErr = func(limit int, in []int, f func(*int) (int, error)) ([]int, error) {
		return peeriter.Mapper[int, int]{MaxGoroutines: limit}.MapErr(in, f)
	}
	c.each = peeriter.ForEachIdx[int]
	c.shape = func(v any) string {
		if r, ok := v.(*peerpanics.Recovered); ok {
			return fmt.Sprint("recovered ", r.Value, r.AsError() != nil)
		}
		return fmt.Sprint(v)
	}
	return c
}

func ourConc() concs {
	var c concs
	c.waitGroup = func() interface {
		Go(func())
		Wait()
	} {
		return conc.NewWaitGroup()
	}
	c.pool = func(limit int) interface {
		Go(func())
		Wait()
		MaxGoroutines() int
	} {
		p := pool.New()
		if limit != 0 {
			p.WithMaxGoroutines(limit)
		}
		return p
	}
	c.reconfigure = func() {
		p := pool.New()
		p.Go(func() {})
		p.WithErrors()
	}
	c.errors = func(limit int, first bool) interface {
		Go(func() error)
		Wait() error
	} {
		p := pool.New().WithMaxGoroutines(limit).WithErrors()
		if first {
			p.WithFirstError()
		}
		return p
	}
	c.context = func(ctx context.Context, limit int, cancelOnError bool) interface {
		Go(func(context.Context) error)
		Wait() error
	} {
		p := pool.New().WithMaxGoroutines(limit).WithContext(ctx)
		if cancelOnError {
			p.WithCancelOnError().WithFirstError()
		}
		return p
	}
	c.results = func(limit int) interface {
		Go(func() (int, error))
		Wait() ([]int, error)
	} {
		return pool.NewWithResults[int]().WithMaxGoroutines(limit).WithErrors()
	}
	c.stream = func(limit int) (func(func() func()), func()) {
		s := stream.New().WithMaxGoroutines(limit)
		return func(f func() func()) { s.Go(func() stream.Callback { return f() }) }, s.Wait
	}
	c.mapErr = func(limit int, in []int, f func(*int) (int, error)) ([]int, error) {
		return iter.Mapper[int, int]{MaxGoroutines: limit}.MapErr(in, f)
	}
	c.each = iter.ForEachIdx[int]
	c.shape = func(v any) string {
		if r, ok := v.(*panics.Recovered); ok {
			return fmt.Sprint("recovered ", r.Value, r.AsError() != nil)
		}
		return fmt.Sprint(v)
	}
	return c
}

// eachConc runs a program on the peer and on the door, unbound and bound to executors of several shapes.
func eachConc(t *testing.T, program func(c concs) []any) {
	t.Helper()
	want := fmt.Sprint(program(theirConc())...)
	t.Run("unbound", func(t *testing.T) { require.Equal(t, want, fmt.Sprint(program(ourConc())...)) })
	for name, opts := range shapes {
		t.Run(name, func(t *testing.T) {
			defer conc.Use(newExecutor(t, opts...))()
			require.Equal(t, want, fmt.Sprint(program(ourConc())...))
		})
	}
}

func TestConc_PanicsComeBackInWait(t *testing.T) {
	eachConc(t, func(c concs) []any {
		var seen []any
		w := c.waitGroup()
		var ran atomic.Int32
		for range 5 {
			w.Go(func() { ran.Add(1); panic(errors.New("boom")) })
		}
		seen = append(seen, c.shape(panicked(w.Wait)), c.shape(panicked(w.Wait)), ran.Load())

		p := c.pool(1)
		for i := range 5 { // which panic is the first is a race in the peer
			p.Go(func() {
				if ran.Add(1); i%2 == 0 {
					panic("one of three")
				}
			})
		}
		seen = append(seen, c.shape(panicked(p.Wait)), ran.Load())

		seen = append(seen, c.shape(panicked(func() {
			c.each(make([]int, 1), func(i int, _ *int) { panic("in a loop") })
		})))
		return seen
	})
}

func panicked(fn func()) (value any) {
	defer func() { value = recover() }()
	fn()
	return nil
}

func TestConc_Misuse(t *testing.T) {
	eachConc(t, func(c concs) []any {
		p := c.pool(3)
		seen := []any{p.MaxGoroutines(), c.pool(0).MaxGoroutines(), panicked(func() { c.pool(-1) }), panicked(c.reconfigure)}
		p.Go(func() {})
		p.Wait()
		return append(seen, panicked(func() { p.Go(func() {}) }), panicked(p.Wait))
	})
}

func TestConc_Errors(t *testing.T) {
	eachConc(t, func(c concs) []any {
		var seen []any
		for _, first := range []bool{false, true} {
			p := c.errors(1, first)
			for i := range 5 {
				p.Go(func() error {
					if i%2 == 0 {
						return fmt.Errorf("error %d", i)
					}
					return nil
				})
			}
			seen = append(seen, p.Wait())
		}
		r := c.results(1)
		for i := range 5 {
			r.Go(func() (int, error) {
				if i == 2 {
					return i, errors.New("two")
				}
				return i, nil
			})
		}
		list, err := r.Wait()
		return append(seen, list, err)
	})
}

func TestConc_ContextAndCancelOnError(t *testing.T) {
	eachConc(t, func(c concs) []any {
		var seen []any
		for _, onError := range []bool{false, true} {
			p := c.context(context.Background(), 1, onError)
			p.Go(func(context.Context) error { return errors.New("first") })
			p.Go(func(ctx context.Context) error { return ctx.Err() })
			seen = append(seen, p.Wait())

			p = c.context(context.Background(), 1, onError)
			var canceled error
			p.Go(func(context.Context) error { panic("boom") })
			p.Go(func(ctx context.Context) error { canceled = ctx.Err(); return nil })
			seen = append(seen, c.shape(panicked(func() { _ = p.Wait() })), canceled)
		}
		return seen
	})
}

func TestConc_StreamKeepsOrder(t *testing.T) {
	eachConc(t, func(c concs) []any {
		var seen []any
		for _, limit := range []int{1, 2, 7, 100} {
			start, wait := c.stream(limit)
			var order strings.Builder
			for i := range 50 {
				start(func() func() {
					for range (i * 7) % 5 {
						runtime.Gosched()
					}
					if i == 20 {
						panic("in a task")
					}
					return func() { fmt.Fprint(&order, i, " ") }
				})
			}
			seen = append(seen, c.shape(panicked(wait)), order.String())
		}
		return seen
	})
}

func TestConc_Iter(t *testing.T) {
	eachConc(t, func(c concs) []any {
		in := make([]int, 100)
		c.each(in, func(i int, v *int) { *v = i })
		out, err := c.mapErr(1, in, func(v *int) (int, error) {
			if *v%33 == 0 {
				return *v, fmt.Errorf("no %d", *v)
			}
			return 2 * *v, nil
		})
		var none []int
		c.each(none, func(int, *int) {})
		return []any{in, out, err}
	})
}

// As many tasks as the limit allows run at once, although they wait without telling.
func TestConc_TheLimitIsReached(t *testing.T) {
	eachConc(t, func(c concs) []any {
		var seen []any
		for _, limit := range []int{0, 3, 400} {
			n := int32(max(limit, 40))
			if limit != 0 {
				n = int32(limit)
			}
			p := c.pool(limit)
			var here atomic.Int32
			all := make(chan struct{})
			for range n {
				p.Go(func() {
					if here.Add(1) == n {
						close(all)
					}
					<-all
				})
			}
			p.Wait()
			seen = append(seen, here.Load())
		}
		return seen
	})
}

// Random trees of pools and wait groups with panics and Goexits.
func TestConc_RandomPrograms(t *testing.T) {
	for seed := range uint64(5) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			eachConc(t, func(c concs) []any {
				var ran, panicking atomic.Int32
				rng := rand.New(rand.NewPCG(seed, 2))
				var build func(depth int) func()
				build = func(depth int) func() {
					children := make([]func(), rng.IntN(4)*min(depth, 1))
					for i := range children {
						children[i] = build(depth - 1)
					}
					kind, end := rng.IntN(3), rng.IntN(8)
					return func() {
						ran.Add(1)
						var start func(func())
						var wait func()
						switch kind {
						case 0:
							w := c.waitGroup()
							start, wait = w.Go, w.Wait
						default:
							p := c.pool(kind * 2)
							start, wait = p.Go, p.Wait
						}
						for _, child := range children {
							start(child)
						}
						if panicked(wait) != nil {
							panicking.Add(1)
						}
						switch end {
						case 0:
							runtime.Goexit()
						case 1:
							panic("an end")
						}
					}
				}
				root := c.waitGroup()
				for range 5 {
					root.Go(build(4))
				}
				return []any{panicked(root.Wait) != nil, ran.Load(), panicking.Load()}
			})
		})
	}
}
