package difftest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"

	peer "github.com/alitto/pond/v2"
	"github.com/stretchr/testify/require"

	"github.com/seed-97bda89a/executor"
	door "github.com/seed-97bda89a/executor/compat/pond"
)

// pondTask and the others are what both packages have.
type pondTask interface {
	Done() <-chan struct{}
	Wait() error
}

type pondCounts interface {
	SubmittedTasks() uint64
	FailedTasks() uint64
	SuccessfulTasks() uint64
	CompletedTasks() uint64
	DroppedTasks() uint64
	CanceledTasks() uint64
	WaitingTasks() uint64
}

type pondPool interface {
	pondCounts
	RunningWorkers() int64
	MaxConcurrency() int
	QueueSize() int
	NonBlocking() bool
	Stopped() bool
	Context() context.Context
	StopAndWait()
	Resize(int)
	Go(func()) error
}

// ponds is what programs use of pond.
type ponds struct {
	pool    func(size, queue int, nonBlocking bool, ctx context.Context) pondPool
	sub     func(p pondPool, size int) pondPool
	submit  func(p pondPool, fn func() error) pondTask
	try     func(p pondPool, fn func() error) (pondTask, bool)
	group   func(p pondPool, fns ...func() error) (wait func() error, stop func())
	results func(n int, fail int) ([]int, error)
	panics  error
}

func theirPonds() ponds {
	return ponds{
		pool: func(size, queue int, nonBlocking bool, ctx context.Context) pondPool {
			return peer.NewPool(size, peer.WithQueueSize(queue), peer.WithNonBlocking(nonBlocking), peer.WithContext(ctx))
		},
		sub:    func(p pondPool, size int) pondPool { return p.(peer.Pool).NewSubpool(size) },
		submit: func(p pondPool, fn func() error) pondTask { return p.(peer.Pool).SubmitErr(fn) },
		try:    func(p pondPool, fn func() error) (pondTask, bool) { return p.(peer.Pool).TrySubmitErr(fn) },
		group: func(p pondPool, fns ...func() error) (func() error, func()) {
			g := p.(peer.Pool).NewGroup().SubmitErr(fns...)
			return g.Wait, g.Stop
		},
		results: func(n, fail int) ([]int, error) {
			p := peer.NewResultPool[int](1)
			defer p.StopAndWait()
			g := p.NewGroup()
			for i := range n {
				g.SubmitErr(func() (int, error) { return i, failing(i, fail) })
			}
			return g.Wait()
		},
		panics: peer.ErrPanic,
	}
}

func ourPonds(e *executor.Executor) ponds {
	return ponds{
		pool: func(size, queue int, nonBlocking bool, ctx context.Context) pondPool {
			return door.NewPool(size, door.WithQueueSize(queue), door.WithNonBlocking(nonBlocking), door.WithContext(ctx), door.WithExecutor(e))
		},
		sub:    func(p pondPool, size int) pondPool { return p.(door.Pool).NewSubpool(size) },
		submit: func(p pondPool, fn func() error) pondTask { return p.(door.Pool).SubmitErr(fn) },
		try:    func(p pondPool, fn func() error) (pondTask, bool) { return p.(door.Pool).TrySubmitErr(fn) },
		group: func(p pondPool, fns ...func() error) (func() error, func()) {
			g := p.(door.Pool).NewGroup().SubmitErr(fns...)
			return g.Wait, g.Stop
		},
		results: func(n, fail int) ([]int, error) {
			p := door.NewResultPool[int](1, door.WithExecutor(e))
			defer p.StopAndWait()
			g := p.NewGroup()
			for i := range n {
				g.SubmitErr(func() (int, error) { return i, failing(i, fail) })
			}
			return g.Wait()
		},
		panics: door.ErrPanic,
	}
}

func failing(i, fail int) error {
	if i == fail {
		return fmt.Errorf("no %d", i)
	}
	return nil
}

func eachPond(t *testing.T, program func(t *testing.T, p ponds) []any) {
	t.Helper()
	want := fmt.Sprint(program(t, theirPonds())...)
	t.Run("own", func(t *testing.T) { require.Equal(t, want, fmt.Sprint(program(t, ourPonds(nil))...)) })
	for name, opts := range shapes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, want, fmt.Sprint(program(t, ourPonds(newExecutor(t, opts...)))...))
		})
	}
}

func counts(p pondCounts) string {
	return fmt.Sprint(" submitted ", p.SubmittedTasks(), " failed ", p.FailedTasks(), " ok ", p.SuccessfulTasks(), " completed ",
		p.CompletedTasks(), " dropped ", p.DroppedTasks(), " canceled ", p.CanceledTasks(), " waiting ", p.WaitingTasks())
}

var background = context.Background()

func TestPond_ErrorsAndPanics(t *testing.T) {
	eachPond(t, func(t *testing.T, ps ponds) []any {
		p := ps.pool(2, 10, false, background)
		inner := errors.New("inner")
		first := ps.submit(p, func() error { return errors.New("an error") })
		second := ps.submit(p, func() error { panic(inner) })
		third := ps.submit(p, func() error { panic("a text") })
		seen := []any{first.Wait(), errors.Is(second.Wait(), ps.panics), errors.Is(second.Wait(), inner),
			errors.Is(third.Wait(), ps.panics), strings.HasPrefix(third.Wait().Error(), "task panicked: a text, goroutine")}
		<-third.Done()
		seen = append(seen, p.Go(func() { panic("alone") }))
		p.StopAndWait()
		seen = append(seen, p.Stopped(), p.Context().Err(), context.Cause(p.Context()), p.Go(func() {}),
			ps.submit(p, func() error { return nil }).Wait())
		return append(seen, counts(p))
	})
}

func TestPond_FullQueues(t *testing.T) {
	eachPond(t, func(t *testing.T, ps ponds) []any {
		var seen []any
		for _, queue := range []int{0, 2} {
			for _, nonBlocking := range []bool{false, true} {
				p := ps.pool(1, queue, nonBlocking, background)
				hold, started := make(chan struct{}), make(chan struct{})
				require.NoError(t, p.Go(func() { close(started); <-hold }))
				<-started
				for range 4 {
					_, ok := ps.try(p, func() error { return nil })
					seen = append(seen, ok)
				}
				if nonBlocking {
					seen = append(seen, p.Go(func() {}), ps.submit(p, func() error { return nil }).Wait())
				}
				seen = append(seen, p.RunningWorkers(), p.QueueSize(), p.NonBlocking())
				close(hold)
				p.StopAndWait()
				seen = append(seen, counts(p))
			}
		}
		return seen
	})
}

// A submitter that waits for room gets it.
func TestPond_WaitsForRoom(t *testing.T) {
	eachPond(t, func(t *testing.T, ps ponds) []any {
		p := ps.pool(2, 1, false, background)
		var ran atomic.Int32
		for range 200 {
			require.NoError(t, p.Go(func() { ran.Add(1) }))
		}
		p.StopAndWait()
		return []any{ran.Load(), counts(p)}
	})
}

func TestPond_ContextThatEnds(t *testing.T) {
	eachPond(t, func(t *testing.T, ps ponds) []any {
		ctx, cancel := context.WithCancel(background)
		p := ps.pool(1, 10, false, ctx)
		hold, started := make(chan struct{}), make(chan struct{})
		running := ps.submit(p, func() error { close(started); <-hold; return nil })
		<-started
		queued := ps.submit(p, func() error { return nil })
		cancel()
		seen := []any{running.Wait(), queued.Wait(), p.Stopped(), p.Go(func() {})}
		close(hold)
		p.StopAndWait()
		return append(seen, counts(p))
	})
}

func TestPond_Groups(t *testing.T) {
	eachPond(t, func(t *testing.T, ps ponds) []any {
		p := ps.pool(1, 100, false, background)
		var seen []any
		var ran atomic.Int32
		ok := func() error { ran.Add(1); return nil }
		fails := func() error { return errors.New("group error") }
		wait, _ := ps.group(p, ok, ok, ok)
		seen = append(seen, wait(), wait(), ran.Load())
		wait, _ = ps.group(p, ok, fails, ok, ok)
		seen = append(seen, wait(), ran.Load())
		hold, started := make(chan struct{}), make(chan struct{})
		wait, stop := ps.group(p, func() error { close(started); <-hold; return nil }, ok)
		<-started
		stop()
		close(hold)
		seen = append(seen, wait(), ran.Load())
		wait, _ = ps.group(p)
		seen = append(seen, wait())
		list, err := ps.results(10, -1)
		seen = append(seen, list, err)
		list, err = ps.results(10, 5)
		seen = append(seen, list, err)
		p.StopAndWait()
		return append(seen, counts(p))
	})
}

func TestPond_Subpools(t *testing.T) {
	eachPond(t, func(t *testing.T, ps ponds) []any {
		p := ps.pool(3, 1000, false, background)
		sub := ps.sub(p, 2)
		var running, most, ran atomic.Int32
		for range 200 {
			require.NoError(t, sub.Go(func() {
				n := running.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				ran.Add(1)
				running.Add(-1)
			}))
		}
		seen := []any{panicked(func() { ps.sub(p, 4) }), panicked(func() { ps.sub(p, -1) }), ps.sub(p, 0).MaxConcurrency()}
		sub.StopAndWait()
		p.StopAndWait()
		return append(seen, ran.Load(), most.Load() <= 2, counts(sub), counts(p))
	})
}

func TestPond_Resize(t *testing.T) {
	eachPond(t, func(t *testing.T, ps ponds) []any {
		p := ps.pool(1, 1000, false, background)
		const tasks = 60
		var here atomic.Int32
		all := make(chan struct{})
		for range tasks {
			require.NoError(t, p.Go(func() {
				if here.Add(1) == tasks {
					close(all)
				}
				<-all
			}))
		}
		seen := []any{p.MaxConcurrency(), panicked(func() { p.Resize(-1) })}
		p.Resize(tasks)
		<-all
		p.Resize(2)
		p.StopAndWait()
		return append(seen, p.MaxConcurrency(), counts(p))
	})
}

func TestPond_SizeNRunsNAtOnce(t *testing.T) {
	eachPond(t, func(t *testing.T, ps ponds) []any {
		for _, size := range []int32{40, 4500} {
			p := ps.pool(int(size), 10, false, background)
			var here atomic.Int32
			all := make(chan struct{})
			for range size {
				require.NoError(t, p.Go(func() {
					if here.Add(1) == size {
						close(all)
					}
					<-all
				}))
			}
			p.StopAndWait()
		}
		return nil
	})
}

// Random trees of subpools and groups. What can be observed whatever the order must agree.
func TestPond_RandomPrograms(t *testing.T) {
	for seed := range uint64(5) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			eachPond(t, func(t *testing.T, ps ponds) []any {
				rng := rand.New(rand.NewPCG(seed, 4))
				p := ps.pool(1+rng.IntN(4), 10000, false, background)
				pools := []pondPool{p}
				for range rng.IntN(3) {
					pools = append(pools, ps.sub(p, 1+rng.IntN(p.MaxConcurrency())))
				}
				var ran atomic.Int32
				var failed int
				var tasks []pondTask
				for range 200 {
					end := rng.IntN(5)
					tasks = append(tasks, ps.submit(pools[rng.IntN(len(pools))], func() error {
						ran.Add(1)
						switch end {
						case 0:
							panic("boom")
						case 1:
							return errors.New("an error")
						}
						return nil
					}))
				}
				for _, task := range tasks {
					if task.Wait() != nil {
						failed++
					}
				}
				for i := len(pools) - 1; i >= 0; i-- {
					pools[i].StopAndWait()
				}
				seen := []any{ran.Load(), failed}
				for _, p := range pools {
					seen = append(seen, counts(p))
				}
				return seen
			})
		})
	}
}
