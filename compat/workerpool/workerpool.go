// Package workerpool has the API of github.com/gammazero/workerpool, name for name and in every meaning, and runs tasks
// on an executor. Change the import; that is all.
//
// What one gets: a pool of n runs n tasks at once as before, in the order in which they came, on slots that the live page
// and the metrics show, and a task that waits for another lends its slot. Each pool owns an executor, which Stop ends;
// WithExecutor shares one instead, and Executor leads to it.
// What is next: [executor.Executor.Go] on a shared executor. Its queue has a bound, so a flood of tasks is slowed down
// instead of filling the memory, which this package's does like the one that it stands for.
package workerpool

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/internal/door"
)

// ErrStopped is returned by Do and DoWait when the pool is stopped.
var ErrStopped = errors.New("submitting work to stopped workerpool")

// DefaultIdleTimeout is how long a worker stays idle, unless WithIdleTimeout says otherwise. Here nothing idles: a worker
// is a permit, not a goroutine, and the executor's own keep-alive applies.
const DefaultIdleTimeout = 2 * time.Second

type config struct{ executor *executor.Executor }

// Option changes a pool that is being made.
type Option func(*config)

// WithIdleTimeout has no effect: nothing idles. See DefaultIdleTimeout.
func WithIdleTimeout(timeout time.Duration) Option { return func(*config) {} }

// WithExecutor makes the pool run its tasks on e, which it shares with others and which outlives it, instead of an
// executor of its own. The pool still runs as many tasks at once as its size says: one that e has not started 10 ms after
// the last gets a goroutine.
func WithExecutor(e *executor.Executor) Option { return func(c *config) { c.executor = e } }

// strays counts tasks that ran as plain goroutines, over all pools.
var strays atomic.Uint64

// Unbound returns how many workers of all pools ran as plain goroutines, because an executor had no slot for them.
func Unbound() uint64 { return strays.Load() }

// WorkerPool runs tasks in the order in which they came, at most as many at once as its size says. A panic in a task
// ends the process.
type WorkerPool struct {
	size int
	home *door.Home

	mu      sync.Mutex
	queue   door.Queue[func()] // what no worker has taken; while it is not empty all workers are busy
	workers int
	stopped bool
	dropped int           // how many tasks Stop found in the queue
	gone    chan struct{} // closed when there is no worker any more and none may come

	pause  sync.Mutex    // held by Pause, and by stop while it waits for that
	resume chan struct{} // closed when the pool stops: no pause goes on
	once   sync.Once
}

// New returns a pool of that size; below 1 it is 1.
func New(maxWorkers int, options ...Option) *WorkerPool {
	var c config
	for _, option := range options {
		option(&c)
	}
	p := &WorkerPool{size: max(1, maxWorkers), gone: make(chan struct{}), resume: make(chan struct{})}
	p.home = door.NewHome(p, "workerpool", p.size, c.executor, &strays)
	return p
}

// Executor returns the executor that tasks run on.
func (p *WorkerPool) Executor() *executor.Executor { return p.home.Executor() }

// Size returns how many tasks may run at once.
func (p *WorkerPool) Size() int { return p.size }

// WaitingQueueSize returns how many tasks no worker has taken, those included that Stop has dropped.
func (p *WorkerPool) WaitingQueueSize() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.queue.Len() + p.dropped
}

// Stopped reports whether Stop or StopWait was called.
func (p *WorkerPool) Stopped() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stopped
}

// Do queues task, and never waits. A nil task is ignored. Once the pool is stopped it returns ErrStopped.
func (p *WorkerPool) Do(task func()) error {
	if task == nil {
		return nil
	}
	p.mu.Lock()
	if p.stopped {
		p.mu.Unlock()
		return ErrStopped
	}
	hire := p.workers < p.size
	if hire {
		p.workers++
	} else {
		p.queue.Push(task)
	}
	p.mu.Unlock()
	if hire {
		p.home.Start(&worker{p, task})
	}
	return nil
}

// DoWait queues task and waits until it has run. It returns ErrStopped if the pool is stopped, or if Stop dropped the
// task. A task that calls it lends its slot.
func (p *WorkerPool) DoWait(task func()) error {
	if task == nil {
		return nil
	}
	done := make(chan struct{})
	if err := p.Do(func() { defer close(done); task() }); err != nil {
		return err
	}
	var err error
	door.Wait(func() {
		select {
		case <-done:
		case <-p.gone:
			select {
			case <-done:
			default:
				err = ErrStopped
			}
		}
	})
	return err
}

// Submit is Do, but panics with ErrStopped.
func (p *WorkerPool) Submit(task func()) {
	if err := p.Do(task); err != nil {
		panic(err)
	}
}

// SubmitWait is DoWait, but panics with ErrStopped.
func (p *WorkerPool) SubmitWait(task func()) {
	if err := p.DoWait(task); err != nil {
		panic(err)
	}
}

// Pause stops the pool from running tasks until ctx is done or the pool stops, and returns when all that were queued
// before it have started, and no worker runs a task. A pool that is paused already is paused again after that.
func (p *WorkerPool) Pause(ctx context.Context) {
	door.Wait(p.pause.Lock)
	defer p.pause.Unlock()
	var paused sync.WaitGroup
	paused.Add(p.size)
	for range p.size {
		err := p.Do(func() {
			paused.Done()
			door.Wait(func() {
				select {
				case <-ctx.Done():
				case <-p.resume:
				}
			})
		})
		if err != nil {
			return // stopped: all or none, for stop takes the same lock
		}
	}
	door.Wait(paused.Wait)
}

// Stop stops the pool and waits for the tasks that run. What is queued is dropped.
func (p *WorkerPool) Stop() { p.stop(false) }

// StopWait stops the pool and waits for all tasks, the queued ones too.
func (p *WorkerPool) StopWait() { p.stop(true) }

func (p *WorkerPool) stop(wait bool) {
	p.once.Do(func() {
		close(p.resume)
		door.Wait(p.pause.Lock) // until all workers of a pause in progress are there
		p.mu.Lock()
		p.stopped = true
		if !wait {
			p.dropped = p.queue.Len()
			p.queue = door.Queue[func()]{}
		}
		if p.workers == 0 {
			close(p.gone)
		}
		p.mu.Unlock()
		p.pause.Unlock()
		p.home.End(p.gone)
	})
	door.Wait(func() { <-p.home.Ended() })
}

// worker runs tasks until none is queued.
type worker struct {
	p    *WorkerPool
	task func()
}

// Run implements door.Job.
func (w *worker) Run(ctx context.Context) {
	for task := w.task; task != nil; {
		w.run(task)
		if task = w.p.next(); task != nil {
			executor.Checkpoint(ctx)
		}
	}
}

// run calls task. If that ends by Goexit another worker takes over; a panic ends the process.
func (w *worker) run(task func()) {
	returned := false
	defer func() {
		if returned {
			return
		}
		if next := w.p.next(); next != nil {
			w.p.home.Start(&worker{w.p, next})
		}
	}()
	task()
	returned = true
}

// next takes the oldest task, or ends a worker.
func (p *WorkerPool) next() func() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.queue.Len() > 0 {
		return p.queue.Pop()
	}
	p.workers--
	if p.workers == 0 && p.stopped {
		close(p.gone)
	}
	return nil
}
