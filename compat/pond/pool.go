package pond

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/internal/door"
)

// unit is a task in a pool's queue. run runs it and has p count it, before anybody is told that it has ended. It returns
// the error that was counted. After a Goexit the caller counts.
type unit interface{ run(p *pool) error }

// pool is every pool. Its workers are permits: each is a job on the executor that runs units until none is queued. A
// subpool's worker is a unit of its parent, one for each unit of its own, so that all wait in the parent's queue in order.
type pool struct {
	parent        *pool
	shared        *executor.Executor // WithExecutor
	public        bool               // it is the pool of the package's functions
	ctx           context.Context
	cancel        context.CancelCauseFunc
	nonBlocking   bool
	panicRecovery bool
	queueSize     int

	mu      sync.Mutex
	max     int
	closed  bool
	workers atomic.Int64 // written under mu
	queue   door.Queue[unit]
	waiters []chan struct{} // of submitters that wait for room, oldest first

	active sync.WaitGroup // workers
	once   sync.Once
	home   atomic.Pointer[door.Home] // made by the first task; nil in subpools and in the pool of the package

	submitted, successful, failed, dropped, canceled atomic.Uint64
}

// NewPool returns a pool that runs maxConcurrency tasks at once, or any number if that is 0.
func NewPool(maxConcurrency int, options ...Option) Pool {
	return newPool(maxConcurrency, nil, options...)
}

var errNegative = errors.New("maxConcurrency must be greater than or equal to 0")

func newPool(most int, parent *pool, options ...Option) *pool {
	if parent != nil {
		if limit := parent.MaxConcurrency(); most > limit {
			panic(fmt.Errorf("maxConcurrency cannot be greater than the parent pool's maxConcurrency (%d)", limit))
		} else if most == 0 {
			most = limit
		}
	}
	switch {
	case most < 0:
		panic(errNegative)
	case most == 0:
		most = math.MaxInt
	}
	p := &pool{parent: parent, max: most, ctx: context.Background(), nonBlocking: DefaultNonBlocking, panicRecovery: true, queueSize: DefaultQueueSize}
	if parent != nil {
		p.ctx, p.nonBlocking, p.panicRecovery, p.queueSize = parent.ctx, parent.nonBlocking, parent.panicRecovery, parent.queueSize
	}
	for _, option := range options {
		option(p)
	}
	p.ctx, p.cancel = context.WithCancelCause(p.ctx)
	return p
}

// Executor returns the executor that tasks run on, or nil if that is none.
func (p *pool) Executor() *executor.Executor {
	switch {
	case p.parent != nil:
		return p.parent.Executor()
	case !p.public:
		return p.atHome().Executor()
	}
	if d := registry.Bound(); d != nil {
		return d.Executor()
	}
	return nil
}

// atHome returns where workers run.
func (p *pool) atHome() *door.Home {
	p.once.Do(func() {
		p.home.Store(door.NewHome(p, "pond", min(p.MaxConcurrency(), math.MaxInt32), p.shared, registry.Strays()))
		context.AfterFunc(p.ctx, p.leave)
	})
	return p.home.Load()
}

// leave gives the executor up when the pool has stopped: its context is done, by Stop or by itself.
func (p *pool) leave() {
	gone := make(chan struct{})
	p.home.Load().End(gone)
	p.active.Wait()
	close(gone)
}

func (p *pool) Context() context.Context { return p.ctx }
func (p *pool) QueueSize() int           { return p.queueSize }
func (p *pool) NonBlocking() bool        { return p.nonBlocking }
func (p *pool) RunningWorkers() int64    { return p.workers.Load() }
func (p *pool) SubmittedTasks() uint64   { return p.submitted.Load() }
func (p *pool) FailedTasks() uint64      { return p.failed.Load() }
func (p *pool) SuccessfulTasks() uint64  { return p.successful.Load() }
func (p *pool) CompletedTasks() uint64   { return p.successful.Load() + p.failed.Load() }
func (p *pool) DroppedTasks() uint64     { return p.dropped.Load() }
func (p *pool) CanceledTasks() uint64    { return p.canceled.Load() }

func (p *pool) WaitingTasks() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return uint64(p.queue.Len())
}

func (p *pool) MaxConcurrency() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.max
}

func (p *pool) Stopped() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stopped()
}

// stopped is Stopped under the lock.
func (p *pool) stopped() bool { return p.closed || p.ctx.Err() != nil }

// Resize changes how many tasks may run at once; 0 is any number. Tasks that run are not stopped.
func (p *pool) Resize(most int) {
	switch {
	case most < 0:
		panic(errNegative)
	case most == 0:
		most = math.MaxInt
	}
	p.mu.Lock()
	more := min(most-p.max, p.queue.Len())
	p.max = most
	if more > 0 {
		p.workers.Add(int64(more))
		p.active.Add(more)
	}
	p.mu.Unlock()
	if h := p.home.Load(); h != nil {
		h.Resize(min(most, math.MaxInt32))
	}
	for range more {
		if p.launch(nil) != nil { // refused by the parent: what is queued waits for the other workers
			p.mu.Lock()
			p.dismiss()
			p.mu.Unlock()
		}
	}
}

// Stop takes no more tasks. The Task is done when all have ended, the queued ones too.
func (p *pool) Stop() Task {
	p.mu.Lock()
	p.closed = true
	waiters := p.waiters
	p.waiters = nil
	p.mu.Unlock()
	for _, w := range waiters {
		close(w)
	}
	stopped := newFuture[struct{}](context.Background())
	go func() {
		p.active.Wait()
		p.cancel(ErrPoolStopped)
		if h := p.home.Load(); h != nil {
			<-h.Ended()
		}
		stopped.resolve(struct{}{}, nil)
	}()
	return task{stopped}
}

func (p *pool) StopAndWait() { _ = p.Stop().Wait() }

func (p *pool) Go(fn func()) error { return p.submit(bare(fn), p.nonBlocking) }

func (p *pool) Submit(fn func()) Task { return one(p.offer(withoutError(fn), p.nonBlocking)) }

func (p *pool) SubmitErr(fn func() error) Task { return one(p.offer(withError(fn), p.nonBlocking)) }

func (p *pool) TrySubmit(fn func()) (Task, bool) { return p.offer(withoutError(fn), true) }

func (p *pool) TrySubmitErr(fn func() error) (Task, bool) { return p.offer(withError(fn), true) }

func one(t Task, _ bool) Task { return t }

func (p *pool) offer(fn func() (struct{}, error), nonBlocking bool) (Task, bool) {
	f, ok := offer(p, fn, nonBlocking)
	return task{f}, ok
}

func (p *pool) NewSubpool(most int, options ...Option) Pool { return newPool(most, p, options...) }
func (p *pool) NewGroup() TaskGroup                         { return p.NewGroupContext(p.ctx) }
func (p *pool) NewGroupContext(ctx context.Context) TaskGroup {
	return &taskGroup{newGroup[struct{}](p, ctx)}
}

// submit queues u, or has a new worker run it. At a full queue it waits for room, if it may.
func (p *pool) submit(u unit, nonBlocking bool) error {
	p.submitted.Add(1)
	for {
		wait, err := p.try(u, !nonBlocking)
		if wait == nil {
			if err != nil {
				p.dropped.Add(1)
			}
			return err
		}
		door.Wait(func() {
			select {
			case <-wait:
			case <-p.ctx.Done():
			}
		})
		if err := p.ctx.Err(); err != nil {
			p.notify() // what woke it may be meant for another
			p.dropped.Add(1)
			return err
		}
	}
}

// try queues u or has a worker run it. If there is no room, it returns a channel that is closed when there may be.
func (p *pool) try(u unit, mayWait bool) (wait chan struct{}, err error) {
	p.mu.Lock()
	waiting := p.queue.Len()
	busy := p.workers.Load() >= int64(p.max)
	switch {
	case p.stopped():
		p.mu.Unlock()
		return nil, ErrPoolStopped
	case p.queueSize > 0 && waiting >= p.queueSize, p.queueSize <= 0 && busy:
		defer p.mu.Unlock()
		if !mayWait {
			return nil, ErrQueueFull
		}
		wait = make(chan struct{})
		p.waiters = append(p.waiters, wait)
		return wait, nil
	case busy:
		p.queue.Push(u)
		p.mu.Unlock()
		return nil, nil
	}
	p.workers.Add(1)
	p.active.Add(1)
	if waiting > 0 { // after Resize: in order
		p.queue.Push(u)
		u = p.queue.Pop()
	}
	p.mu.Unlock()
	if err := p.launch(u); err != nil {
		p.mu.Lock()
		p.dismiss()
		p.mu.Unlock()
		return nil, err
	}
	p.notify()
	return nil, nil
}

// launch starts a worker, which begins with u if there is one. Only a parent can refuse it.
func (p *pool) launch(u unit) error {
	if p.parent != nil {
		return p.parent.submit(&lent{p, u}, p.nonBlocking)
	}
	if p.public {
		registry.Start(registry.Bound(), &worker{p, u})
		return nil
	}
	p.atHome().Start(&worker{p, u})
	return nil
}

// next takes the oldest unit, or ends a worker.
func (p *pool) next() unit {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.queue.Len() > 0 && p.workers.Load() <= int64(p.max) {
		u := p.queue.Pop()
		p.wakeOne()
		return u
	}
	p.dismiss()
	return nil
}

// dismiss ends a worker. Caller holds p.mu.
func (p *pool) dismiss() {
	p.workers.Add(-1)
	p.active.Done()
	p.wakeOne()
}

// notify wakes the submitter that has waited longest: there may be room.
func (p *pool) notify() {
	p.mu.Lock()
	p.wakeOne()
	p.mu.Unlock()
}

func (p *pool) wakeOne() {
	if len(p.waiters) > 0 {
		close(p.waiters[0])
		p.waiters = p.waiters[1:]
	}
}

// count counts a task that has ended, and returns its error.
func (p *pool) count(err error) error {
	switch {
	case err == nil:
		p.successful.Add(1)
	case errors.Is(err, ErrContextCanceled):
		p.canceled.Add(1)
	default:
		p.failed.Add(1)
	}
	return err
}
