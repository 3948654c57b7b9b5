package ants

import (
	"context"
	"errors"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/internal/door"
)

// poolCommon is what all pools have: the books of workers. A worker is a permit, not a goroutine: it is taken by a task,
// idle after it, and gone when it was idle too long, and Running, Free and Waiting count as if it were one.
type poolCommon struct {
	options *Options
	home    atomic.Pointer[door.Home] // nil: the functions of the package

	size    atomic.Int32 // -1: no limit
	running atomic.Int32 // workers, the idle ones included; written under mu
	waiting atomic.Int32 // callers of Submit that wait; written under mu
	state   atomic.Int32 // OPENED or CLOSED; written under mu

	mu      sync.Mutex
	changed *sync.Cond    // a worker is idle or gone, or the pool is closed or larger
	idle    []uint32      // for each idle worker the purge after which it became idle; the oldest is first
	purges  uint32        // so many were made
	purging bool          // the next one is due
	timer   *time.Timer   // of purges
	allDone chan struct{} // closed when the pool is closed and has no worker
}

func newPool(size int, options ...Option) (*poolCommon, error) {
	o := new(Options)
	for _, option := range options {
		option(o)
	}
	if size <= 0 {
		size = -1
	}
	if !o.DisablePurge {
		switch {
		case o.ExpiryDuration < 0:
			return nil, ErrInvalidPoolExpiry
		case o.ExpiryDuration == 0:
			o.ExpiryDuration = DefaultCleanIntervalTime
		}
	}
	if o.Logger == nil {
		o.Logger = stderr()
	}
	if o.PreAlloc && size == -1 {
		return nil, ErrInvalidPreAllocSize
	}
	p := newCommon(size, o)
	p.settle()
	return p, nil
}

func newCommon(size int, o *Options) *poolCommon {
	p := &poolCommon{options: o, allDone: make(chan struct{})}
	p.changed = sync.NewCond(&p.mu)
	p.size.Store(int32(size))
	return p
}

// settle gives the pool a home.
func (p *poolCommon) settle() {
	p.home.Store(door.NewHome(p, "ants", p.Cap(), p.options.executor, registry.Strays()))
}

// Executor returns the executor that tasks run on, or nil if that is none.
func (p *poolCommon) Executor() *executor.Executor {
	if h := p.home.Load(); h != nil {
		return h.Executor()
	}
	if d := registry.Bound(); d != nil {
		return d.Executor()
	}
	return nil
}

// Running returns how many workers there are, the idle ones included.
func (p *poolCommon) Running() int { return int(p.running.Load()) }

// Free returns how many more workers there may be, or -1 if there is no limit.
func (p *poolCommon) Free() int {
	size := p.Cap()
	if size < 0 {
		return -1
	}
	return size - p.Running()
}

// Waiting returns how many callers wait for a worker.
func (p *poolCommon) Waiting() int { return int(p.waiting.Load()) }

// Cap returns the size, or -1 if there is no limit.
func (p *poolCommon) Cap() int { return int(p.size.Load()) }

// IsClosed reports whether the pool was released.
func (p *poolCommon) IsClosed() bool { return p.state.Load() == CLOSED }

// Tune changes the size. It does nothing to a pool without a limit or with PreAlloc, and for a size below 1. Tasks that
// run are not stopped.
func (p *poolCommon) Tune(size int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if before := p.Cap(); before == -1 || size <= 0 || size == before || p.options.PreAlloc {
		return
	}
	p.size.Store(int32(size))
	if h := p.home.Load(); h != nil {
		h.Resize(size)
	}
	p.changed.Broadcast()
}

// start runs j when there is a worker for it.
func (p *poolCommon) start(j door.Job) error {
	if err := p.hire(); err != nil {
		return err
	}
	if h := p.home.Load(); h != nil {
		h.Start(j)
	} else {
		registry.Start(registry.Bound(), j)
	}
	return nil
}

// hire takes an idle worker or a new one, and waits for one if it may.
func (p *poolCommon) hire() error {
	if p.IsClosed() {
		return ErrPoolClosed
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.IsClosed() {
		if n := len(p.idle); n > 0 {
			if p.options.PreAlloc { // as the peer's ring of workers: the one that was idle longest
				p.idle = p.idle[1:]
			} else {
				p.idle = p.idle[:n-1]
			}
			return nil
		}
		if size := p.Cap(); size == -1 || size > p.Running() {
			p.running.Add(1)
			return nil
		}
		most := p.options.MaxBlockingTasks
		if p.options.Nonblocking || most != 0 && p.Waiting() >= most {
			return ErrPoolOverload
		}
		p.waiting.Add(1)
		door.Wait(p.changed.Wait)
		p.waiting.Add(-1)
	}
	return ErrPoolClosed
}

// rest makes a worker idle, unless there are too many.
func (p *poolCommon) rest() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if size := p.Cap(); p.IsClosed() || size > 0 && p.Running() > size {
		p.leave()
		return
	}
	p.idle = append(p.idle, p.purges)
	if !p.purging && !p.options.DisablePurge {
		p.purging = true
		if p.timer == nil {
			p.timer = time.AfterFunc(p.options.ExpiryDuration, p.purge)
		} else {
			p.timer.Reset(p.options.ExpiryDuration)
		}
	}
	p.changed.Signal()
}

// quit ends a worker.
func (p *poolCommon) quit() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leave()
}

// leave is quit under the lock.
func (p *poolCommon) leave() {
	if p.running.Add(-1) == 0 && p.IsClosed() {
		close(p.allDone)
	}
	p.changed.Signal()
}

// purge ends the workers that were idle at the last purge already, and goes on as long as there are others.
func (p *poolCommon) purge() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.IsClosed() {
		p.purging = false
		return
	}
	stale := 0
	for stale < len(p.idle) && p.idle[stale] != p.purges {
		stale++
	}
	p.idle = append([]uint32(nil), p.idle[stale:]...)
	p.running.Add(int32(-stale))
	p.purges++
	if p.purging = len(p.idle) > 0; p.purging {
		p.timer.Reset(p.options.ExpiryDuration)
	}
	p.changed.Broadcast()
}

// Release closes the pool. It does not wait: tasks that have a worker run to their end, callers that wait for one get
// ErrPoolClosed, and so does everybody who comes later.
func (p *poolCommon) Release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.release()
}

// release closes the pool under the lock, and reports whether it was open.
func (p *poolCommon) release() bool {
	if p.IsClosed() {
		return false
	}
	p.state.Store(CLOSED)
	if p.running.Add(int32(-len(p.idle))) == 0 {
		close(p.allDone)
	}
	p.idle = nil
	p.changed.Broadcast()
	if h := p.home.Load(); h != nil {
		h.End(p.allDone)
	}
	return true
}

// ReleaseTimeout closes the pool and waits for its tasks, for that long: then it returns ErrTimeout.
func (p *poolCommon) ReleaseTimeout(timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	err := p.ReleaseContext(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return ErrTimeout
	}
	return err
}

// ReleaseContext closes the pool and waits for its tasks, until ctx is done: then it returns ctx's error. With a nil
// ctx it does not wait. A pool that is closed already is ErrPoolClosed.
func (p *poolCommon) ReleaseContext(ctx context.Context) (err error) {
	p.mu.Lock()
	open, ended := p.release(), p.ended()
	p.mu.Unlock()
	if !open {
		return ErrPoolClosed
	}
	if ctx == nil {
		return nil
	}
	door.Wait(func() {
		select {
		case <-ended:
		case <-ctx.Done():
			err = ctx.Err()
		}
	})
	return err
}

// ended is closed when nothing of the pool, which was released, is left.
func (p *poolCommon) ended() <-chan struct{} {
	if h := p.home.Load(); h != nil {
		return h.Ended()
	}
	return p.allDone
}

// Reboot opens a pool that was released, when its tasks have ended.
func (p *poolCommon) Reboot() {
	p.mu.Lock()
	closed, ended := p.IsClosed(), p.ended()
	p.mu.Unlock()
	if !closed {
		return
	}
	door.Wait(func() { <-ended })
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.IsClosed() || p.ended() != ended {
		return
	}
	if p.home.Load() != nil {
		p.settle()
	}
	p.allDone = make(chan struct{})
	p.state.Store(OPENED)
}

// job is a call of fn with an argument, which has a worker.
type job[T any] struct {
	p   *poolCommon
	fn  func(T)
	arg T
}

// Run implements door.Job.
func (j *job[T]) Run(context.Context) {
	returned := false
	defer func() {
		if returned {
			return
		}
		j.p.quit() // a panic or a Goexit costs the worker
		if value := recover(); value != nil {
			j.p.panicked(value)
		}
	}()
	j.fn(j.arg)
	returned = true
	j.p.rest()
}

func (p *poolCommon) panicked(value any) {
	if handler := p.options.PanicHandler; handler != nil {
		handler(value)
		return
	}
	p.options.Logger.Printf("worker exits from panic: %v\n%s\n", value, debug.Stack())
}

// dismissal is a job that only ends its worker.
type dismissal struct{ p *poolCommon }

// Run implements door.Job.
func (d dismissal) Run(context.Context) { d.p.quit() }
