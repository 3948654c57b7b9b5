package difftest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	peer "github.com/panjf2000/ants/v2"
	"github.com/stretchr/testify/require"

	"github.com/seed-97bda89a/executor"
	door "github.com/seed-97bda89a/executor/compat/ants"
)

// antsPool is what both packages have.
type antsPool interface {
	Submit(func()) error
	Running() int
	Free() int
	Waiting() int
	Cap() int
	Tune(int)
	IsClosed() bool
	Release()
	ReleaseTimeout(time.Duration) error
	ReleaseContext(context.Context) error
	Reboot()
}

// antsOptions are the options that programs use.
type antsOptions struct {
	maxBlocking int
	nonblocking bool
	preAlloc    bool
	handler     func(any)
}

type antsMaker func(size int, o antsOptions) (antsPool, error)

func eachAnts(t *testing.T, program func(t *testing.T, pool antsMaker) []any) {
	t.Helper()
	want := fmt.Sprint(program(t, func(size int, o antsOptions) (antsPool, error) {
		return peer.NewPool(size, peer.WithMaxBlockingTasks(o.maxBlocking), peer.WithNonblocking(o.nonblocking),
			peer.WithPreAlloc(o.preAlloc), peer.WithPanicHandler(o.handler), peer.WithDisablePurge(true))
	})...)
	run := func(name string, e *executor.Executor) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, want, fmt.Sprint(program(t, func(size int, o antsOptions) (antsPool, error) {
				return door.NewPool(size, door.WithMaxBlockingTasks(o.maxBlocking), door.WithNonblocking(o.nonblocking),
					door.WithPreAlloc(o.preAlloc), door.WithPanicHandler(o.handler), door.WithDisablePurge(true), door.WithExecutor(e))
			})...))
		})
	}
	run("own", nil)
	for name, opts := range shapes {
		run(name, newExecutor(t, opts...)) // closed when all of t's parallel tests have ended
	}
}

// settled waits until a figure has a value. It is for what a pool does after a task's last statement.
func settled(figure func() int, want int) int {
	for figure() != want {
		runtime.Gosched()
	}
	return want
}

func TestAnts_SizesAndBooks(t *testing.T) {
	eachAnts(t, func(t *testing.T, pool antsMaker) []any {
		var seen []any
		for _, size := range []int{-5, 0, 1, 3} {
			p, err := pool(size, antsOptions{})
			require.NoError(t, err)
			hold, started := make(chan struct{}), make(chan struct{})
			n := max(1, size)
			for range n {
				require.NoError(t, p.Submit(func() { started <- struct{}{}; <-hold }))
			}
			for range n {
				<-started
			}
			seen = append(seen, p.Cap(), p.Free(), p.Running(), p.Waiting())
			close(hold)
			seen = append(seen, p.ReleaseTimeout(time.Minute), p.Running(), p.IsClosed(), p.Submit(func() {}), p.ReleaseContext(context.Background()))
		}
		_, err := pool(-1, antsOptions{preAlloc: true})
		return append(seen, err)
	})
}

// The pools are full when the one task comes that ends its worker, so that it waits for one that idles: with room, both peer
// and door start a worker for it if the others have not come to rest yet.
func TestAnts_WorkersIdleAndEnd(t *testing.T) {
	eachAnts(t, func(t *testing.T, pool antsMaker) []any {
		var seen []any
		for _, last := range []func(){nil, runtime.Goexit} {
			p, err := pool(3, antsOptions{})
			require.NoError(t, err)
			var all sync.WaitGroup
			all.Add(3)
			for range 3 {
				require.NoError(t, p.Submit(func() { all.Done(); all.Wait() }))
			}
			all.Wait()
			seen = append(seen, p.Running(), p.Free())
			require.NoError(t, p.Submit(last))
			seen = append(seen, settled(p.Running, 2))
			p.Release()
			seen = append(seen, settled(p.Running, 0))
		}
		return seen
	})
}

func TestAnts_BlockingAndOverload(t *testing.T) {
	eachAnts(t, func(t *testing.T, pool antsMaker) []any {
		p, err := pool(1, antsOptions{maxBlocking: 2})
		require.NoError(t, err)
		hold := make(chan struct{})
		require.NoError(t, p.Submit(func() { <-hold }))
		results := make(chan error, 2)
		for range 2 {
			go func() { results <- p.Submit(func() {}) }()
		}
		seen := []any{settled(p.Waiting, 2), p.Submit(func() {})}
		p.Release() // those who wait are sent away
		seen = append(seen, <-results, <-results)
		close(hold)

		p, err = pool(1, antsOptions{nonblocking: true})
		require.NoError(t, err)
		again := make(chan struct{})
		require.NoError(t, p.Submit(func() { <-again }))
		seen = append(seen, p.Submit(func() {}))
		close(again)
		return append(seen, p.ReleaseTimeout(time.Minute))
	})
}

func TestAnts_PanicsCostTheWorkerAndReachTheHandler(t *testing.T) {
	eachAnts(t, func(t *testing.T, pool antsMaker) []any {
		values := make(chan any, 10)
		p, err := pool(1, antsOptions{handler: func(v any) { values <- v }})
		require.NoError(t, err)
		var seen []any
		for i := range 5 {
			require.NoError(t, p.Submit(func() { panic(i) }))
			seen = append(seen, <-values)
		}
		return append(seen, p.ReleaseTimeout(time.Minute))
	})
}

func TestAnts_TuneAndReboot(t *testing.T) {
	eachAnts(t, func(t *testing.T, pool antsMaker) []any {
		p, err := pool(1, antsOptions{})
		require.NoError(t, err)
		var seen []any
		for round := range 3 {
			hold, started := make(chan struct{}), make(chan struct{}, 10)
			p.Tune(2 + round)
			for range 2 + round {
				require.NoError(t, p.Submit(func() { started <- struct{}{}; <-hold }))
			}
			for range 2 + round {
				<-started
			}
			p.Tune(0) // nothing
			p.Tune(1) // running ones stay
			seen = append(seen, p.Cap(), p.Running())
			close(hold)
			p.Release()
			p.Reboot()
			seen = append(seen, p.IsClosed(), p.Running())
		}
		p.Reboot() // nothing
		return append(seen, p.ReleaseTimeout(time.Minute))
	})
}

func TestAnts_ReleaseGivesUp(t *testing.T) {
	eachAnts(t, func(t *testing.T, pool antsMaker) []any {
		var seen []any
		for _, release := range []func(antsPool) error{
			func(p antsPool) error { return p.ReleaseTimeout(time.Millisecond) },
			func(p antsPool) error {
				ctx, cancel := context.WithCancel(context.Background())
				cancel()
				return p.ReleaseContext(ctx)
			},
		} {
			p, err := pool(1, antsOptions{})
			require.NoError(t, err)
			hold := make(chan struct{})
			require.NoError(t, p.Submit(func() { <-hold }))
			seen = append(seen, release(p), p.IsClosed())
			close(hold)
			seen = append(seen, settled(p.Running, 0))
		}
		return seen
	})
}

// As many tasks as the size says run at once, whether they wait or compute.
func TestAnts_SizeNRunsNAtOnce(t *testing.T) {
	for _, compute := range []bool{false, true} {
		for _, size := range []int32{50, 5000} {
			if compute && size > 50 {
				continue
			}
			t.Run(fmt.Sprint(compute, size), func(t *testing.T) {
				eachAnts(t, func(t *testing.T, pool antsMaker) []any {
					p, err := pool(int(size), antsOptions{})
					require.NoError(t, err)
					var here atomic.Int32
					all := make(chan struct{})
					for range size {
						require.NoError(t, p.Submit(func() {
							if here.Add(1) == size {
								close(all)
							}
							if !compute {
								<-all
							}
							for here.Load() < size {
								runtime.Gosched()
							}
						}))
					}
					<-all
					return []any{p.ReleaseTimeout(time.Minute)}
				})
			})
		}
	}
}

func TestAnts_MultiPools(t *testing.T) {
	type multi interface {
		Submit(func()) error
		Running() int
		RunningByIndex(int) (int, error)
		FreeByIndex(int) (int, error)
		Cap() int
		ReleaseTimeout(time.Duration) error
		Reboot()
		IsClosed() bool
	}
	program := func(m multi, err, wrong error) string {
		require.NoError(t, err)
		hold, started := make(chan struct{}), make(chan struct{}, 10)
		seen := []any{wrong}
		for range 6 {
			seen = append(seen, m.Submit(func() { started <- struct{}{}; <-hold }))
		}
		for range 6 {
			<-started
		}
		for i := -1; i < 4; i++ {
			n, err := m.RunningByIndex(i)
			seen = append(seen, n, err)
			n, err = m.FreeByIndex(i)
			seen = append(seen, n, err)
		}
		seen = append(seen, m.Submit(func() {}), m.Cap(), m.Running())
		close(hold)
		seen = append(seen, m.ReleaseTimeout(time.Minute), m.Submit(nil), m.ReleaseTimeout(0))
		m.Reboot()
		seen = append(seen, m.IsClosed(), m.ReleaseTimeout(time.Minute))
		return fmt.Sprint(seen...)
	}
	theirs, err := peer.NewMultiPool(3, 2, peer.RoundRobin, peer.WithNonblocking(true))
	_, wrong := peer.NewMultiPool(3, 2, 7)
	want := program(theirs, err, wrong)
	ours, err := door.NewMultiPool(3, 2, door.RoundRobin, door.WithNonblocking(true))
	_, wrong = door.NewMultiPool(3, 2, 7)
	require.Equal(t, want, program(ours, err, wrong))
}

// Random programs: submitters of several goroutines, panics, Goexits, sizes that change, a release at the end. Every
// accepted task runs once, and no more at once than the size allows.
func TestAnts_RandomPrograms(t *testing.T) {
	for seed := range uint64(5) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			eachAnts(t, func(t *testing.T, pool antsMaker) []any {
				rng := rand.New(rand.NewPCG(seed, 3))
				size := 1 + rng.IntN(6)
				var handled, ran, accepted, running, most atomic.Int32
				p, err := pool(size, antsOptions{handler: func(any) { handled.Add(1) }})
				require.NoError(t, err)
				var submitters sync.WaitGroup
				for range 1 + rng.IntN(4) {
					ends := make([]int, 50)
					for i := range ends {
						ends[i] = rng.IntN(10)
					}
					submitters.Go(func() {
						for _, end := range ends {
							err := p.Submit(func() {
								n := running.Add(1)
								for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
								}
								ran.Add(1)
								running.Add(-1)
								switch end {
								case 0:
									panic(errors.New("boom"))
								case 1:
									runtime.Goexit()
								case 2:
									runtime.Gosched()
								}
							})
							if err == nil {
								accepted.Add(1)
							}
						}
					})
				}
				submitters.Wait()
				err = p.ReleaseTimeout(time.Minute)
				return []any{err, ran.Load() == accepted.Load(), accepted.Load(), most.Load() <= int32(size)}
			})
		})
	}
}
