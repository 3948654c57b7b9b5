package pond

import (
	"context"
	"errors"
	"sync"

	"github.com/seed-97bda89a/executor/internal/door"
)

// group is what both kinds of groups have.
type group[O any] struct {
	pool   *pool
	ctx    context.Context
	cancel context.CancelCauseFunc
	active sync.WaitGroup // tasks that have not ended and were not refused

	mu        sync.Mutex
	next      int // index of the next task
	ended     int // tasks that ended without an error before there was one
	values    []O // by index
	listeners []listener
}

// listener waits until so many tasks have ended, or one has failed.
type listener struct {
	count int
	ch    chan struct{}
}

// failure is the cause of a group's context after an error of a task.
type failure struct{ error }

// Unwrap returns the task's error.
func (f *failure) Unwrap() error { return f.error }

func newGroup[O any](p *pool, ctx context.Context) *group[O] {
	g := &group[O]{pool: p}
	g.ctx, g.cancel = context.WithCancelCause(ctx)
	return g
}

// add submits a task.
func (g *group[O]) add(fn func() (O, error)) {
	g.mu.Lock()
	index := g.next
	g.next++
	g.mu.Unlock()
	g.active.Add(1)
	m := &member[O]{g, index, fn}
	if err := g.pool.submit(m, g.pool.nonBlocking); err != nil {
		m.refuse(err)
	}
}

// member is a task of a group.
type member[O any] struct {
	g     *group[O]
	index int
	fn    func() (O, error)
}

func (m *member[O]) run(p *pool) error {
	if err := m.g.ctx.Err(); err != nil {
		err = p.count(errors.Join(ErrContextCanceled, err))
		m.refuse(err)
		return err
	}
	defer m.g.active.Done()
	value, err := invoke(m.g.pool, m.fn) // after a Goexit the group has to wait for the end of its context
	m.g.resolve(m.index, value, p.count(err))
	return err
}

func (m *member[O]) refuse(err error) {
	var zero O
	m.g.resolve(m.index, zero, err)
	m.g.active.Done()
}

func (g *group[O]) resolve(index int, value O, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case err != nil:
		g.cancel(&failure{err})
	case g.ctx.Err() == nil:
		g.ended++
		for len(g.values) <= index {
			var zero O
			g.values = append(g.values, zero)
		}
		g.values[index] = value
	}
	g.notify()
}

// notify closes the channels of those whose wait is over. Caller holds g.mu.
func (g *group[O]) notify() {
	rest := g.listeners[:0]
	for _, l := range g.listeners {
		if g.over(l.count) {
			close(l.ch)
		} else {
			rest = append(rest, l)
		}
	}
	clear(g.listeners[len(rest):])
	g.listeners = rest
}

func (g *group[O]) over(count int) bool { return g.ended >= count || g.ctx.Err() != nil }

// listen returns a channel that is closed when as many tasks have ended as came until now, or one has failed.
func (g *group[O]) listen() (count int, ch chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	ch = make(chan struct{})
	if g.over(g.next) {
		close(ch)
	} else {
		g.listeners = append(g.listeners, listener{g.next, ch})
	}
	return g.next, ch
}

// Done is closed when the tasks that came until now have ended, one has failed, or the group is stopped.
func (g *group[O]) Done() <-chan struct{} {
	_, ch := g.listen()
	return ch
}

// Stop keeps tasks from starting.
func (g *group[O]) Stop() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.cancel(ErrGroupStopped)
	g.notify()
}

// Context is done after the first error or Stop, or with the context that the group was made under.
func (g *group[O]) Context() context.Context { return g.ctx }

// wait waits for the tasks that came until now, and returns their values in order, and the first error.
func (g *group[O]) wait() ([]O, error) {
	count, ch := g.listen()
	door.Wait(func() {
		select {
		case <-ch:
		case <-g.ctx.Done():
		}
	})
	g.mu.Lock()
	values := make([]O, count)
	copy(values, g.values)
	var err error
	if f, failed := context.Cause(g.ctx).(*failure); failed {
		err = f.error
	} else if g.ended < count { // else the end of the context came after that of the tasks
		err = context.Cause(g.ctx)
	}
	g.mu.Unlock()
	door.Wait(g.active.Wait) // running ones end
	return values, err
}

type taskGroup struct{ *group[struct{}] }

func (g *taskGroup) Submit(tasks ...func()) TaskGroup {
	for _, fn := range tasks {
		g.add(withoutError(fn))
	}
	return g
}

func (g *taskGroup) SubmitErr(tasks ...func() error) TaskGroup {
	for _, fn := range tasks {
		g.add(withError(fn))
	}
	return g
}

func (g *taskGroup) Wait() error {
	_, err := g.wait()
	return err
}

type resultTaskGroup[O any] struct{ *group[O] }

func (g *resultTaskGroup[O]) Submit(tasks ...func() O) ResultTaskGroup[O] {
	for _, fn := range tasks {
		g.add(func() (O, error) { return fn(), nil })
	}
	return g
}

func (g *resultTaskGroup[O]) SubmitErr(tasks ...func() (O, error)) ResultTaskGroup[O] {
	for _, fn := range tasks {
		g.add(fn)
	}
	return g
}

func (g *resultTaskGroup[O]) Wait() ([]O, error) { return g.wait() }

// resultPool is a pool whose tasks return a value.
type resultPool[R any] struct{ *pool }

// NewResultPool returns a pool that runs maxConcurrency tasks at once, or any number if that is 0.
func NewResultPool[R any](maxConcurrency int, options ...Option) ResultPool[R] {
	return &resultPool[R]{newPool(maxConcurrency, nil, options...)}
}

func plain[R any](fn func() R) func() (R, error) { return func() (R, error) { return fn(), nil } }

func (p *resultPool[R]) Submit(fn func() R) ResultTask[R] {
	f, _ := offer(p.pool, plain(fn), p.nonBlocking)
	return f
}

func (p *resultPool[R]) SubmitErr(fn func() (R, error)) ResultTask[R] {
	f, _ := offer(p.pool, fn, p.nonBlocking)
	return f
}

func (p *resultPool[R]) TrySubmit(fn func() R) (ResultTask[R], bool) {
	return offer(p.pool, plain(fn), true)
}

func (p *resultPool[R]) TrySubmitErr(fn func() (R, error)) (ResultTask[R], bool) {
	return offer(p.pool, fn, true)
}

func (p *resultPool[R]) NewSubpool(most int, options ...Option) ResultPool[R] {
	return &resultPool[R]{newPool(most, p.pool, options...)}
}

func (p *resultPool[R]) NewGroup() ResultTaskGroup[R] { return p.NewGroupContext(p.ctx) }

func (p *resultPool[R]) NewGroupContext(ctx context.Context) ResultTaskGroup[R] {
	return &resultTaskGroup[R]{newGroup[R](p.pool, ctx)}
}
