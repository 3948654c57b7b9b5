package difftest

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	peer "github.com/gammazero/workerpool"
	"github.com/stretchr/testify/require"

	"github.com/seed-97bda89a/executor"
	door "github.com/seed-97bda89a/executor/compat/workerpool"
)

// workerPool is what both packages have.
type workerPool interface {
	Do(func()) error
	DoWait(func()) error
	Submit(func())
	SubmitWait(func())
	Stop()
	StopWait()
	Stopped() bool
	Pause(context.Context)
	Size() int
	WaitingQueueSize() int
}

func eachWorkerPool(t *testing.T, program func(t *testing.T, pool func(size int) workerPool) []any) {
	t.Helper()
	want := fmt.Sprint(program(t, func(size int) workerPool { return peer.New(size) })...)
	run := func(name string, e *executor.Executor) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, want, fmt.Sprint(program(t, func(size int) workerPool { return door.New(size, door.WithExecutor(e)) })...))
		})
	}
	run("own", nil)
	for name, opts := range shapes {
		run(name, newExecutor(t, opts...))
	}
}

func TestWorkerPool_OrderAndQueue(t *testing.T) {
	eachWorkerPool(t, func(t *testing.T, pool func(int) workerPool) []any {
		p := pool(-3)
		started, hold := make(chan struct{}), make(chan struct{})
		p.Submit(func() { close(started); <-hold })
		<-started
		var order []int
		for i := range 200 {
			p.Submit(func() { order = append(order, i) })
		}
		p.Submit(nil)
		seen := []any{p.Size(), settled(p.WaitingQueueSize, 200), p.Stopped()}
		close(hold)
		seen = append(seen, p.DoWait(func() {}), settled(p.WaitingQueueSize, 0))
		p.StopWait()
		p.Stop()
		return append(seen, order, p.Stopped(), p.Do(func() {}), p.DoWait(func() {}), p.Do(nil),
			panicked(func() { p.Submit(func() {}) }), panicked(func() { p.SubmitWait(func() {}) }))
	})
}

func TestWorkerPool_StopDropsWhatIsQueued(t *testing.T) {
	eachWorkerPool(t, func(t *testing.T, pool func(int) workerPool) []any {
		p := pool(1)
		started, hold := make(chan struct{}), make(chan struct{})
		p.Submit(func() { close(started); <-hold })
		<-started
		var ran atomic.Int32
		for range 10 {
			p.Submit(func() { ran.Add(1) })
		}
		dropped := make(chan error)
		go func() { dropped <- p.DoWait(func() {}) }()
		settled(p.WaitingQueueSize, 11)
		stopped := make(chan struct{})
		go func() { p.Stop(); close(stopped) }()
		for !p.Stopped() {
			runtime.Gosched()
		}
		close(hold)
		<-stopped
		return []any{ran.Load(), <-dropped, p.WaitingQueueSize()}
	})
}

func TestWorkerPool_Pause(t *testing.T) {
	eachWorkerPool(t, func(t *testing.T, pool func(int) workerPool) []any {
		p := pool(5)
		ctx, cancel := context.WithCancel(context.Background())
		p.Pause(ctx)
		var ran atomic.Int32
		for range 20 {
			p.Submit(func() { ran.Add(1) })
		}
		seen := []any{settled(p.WaitingQueueSize, 20), ran.Load()}
		second := make(chan struct{})
		again, cancelAgain := context.WithCancel(context.Background())
		go func() { p.Pause(again); close(second) }()
		settled(p.WaitingQueueSize, 25)
		cancel()
		<-second // what was queued before it has run
		seen = append(seen, ran.Load())
		p.Submit(func() { ran.Add(1) })
		p.StopWait() // ends the pause
		cancelAgain()
		p.Pause(context.Background()) // nothing
		return append(seen, ran.Load())
	})
}

func TestWorkerPool_SizeNRunsNAtOnce(t *testing.T) {
	eachWorkerPool(t, func(t *testing.T, pool func(int) workerPool) []any {
		var seen []any
		for _, size := range []int32{1, 40, 4500} {
			p := pool(int(size))
			var here atomic.Int32
			all := make(chan struct{})
			for range size {
				p.Submit(func() {
					if here.Add(1) == size {
						close(all)
					}
					<-all
				})
			}
			p.StopWait()
			seen = append(seen, here.Load())
		}
		return seen
	})
}

// Tasks submit tasks and wait for them, from several goroutines.
func TestWorkerPool_Nested(t *testing.T) {
	eachWorkerPool(t, func(t *testing.T, pool func(int) workerPool) []any {
		outer, inner := pool(4), pool(2)
		var ran atomic.Int32
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				outer.SubmitWait(func() {
					inner.SubmitWait(func() { ran.Add(1) })
					outer.Submit(func() { ran.Add(1) })
				})
			})
		}
		all.Wait()
		outer.StopWait()
		inner.StopWait()
		return []any{ran.Load()}
	})
}

// What differs: a Goexit costs the peer a worker for ever, and its Stop never returns.
func TestWorkerPool_GoexitLosesNoWorker(t *testing.T) {
	p := door.New(1)
	for range 10 {
		p.Submit(runtime.Goexit)
	}
	require.NoError(t, p.DoWait(func() {}))
	p.StopWait()
}

// An executor of a pool that nobody can reach any more ends.
func TestWorkerPool_LostWithoutStop(t *testing.T) {
	p := door.New(2)
	require.NoError(t, p.DoWait(func() {}))
	e := p.Executor()
	p = nil
	for e.Go(context.Background(), func(context.Context) {}) == nil {
		runtime.GC()
		time.Sleep(time.Millisecond)
	}
}
