package executor

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"time"
)

// For calls fn for each i in [0, n), on as many slots as are idle, and returns when all calls have ended.
// The first error, panic (as *PanicError), Goexit (as ErrGoexit) or the end of ctx stops the handing out
// of further indices and is returned. Inside a task of e the caller works along. There is no grain to
// choose: a range is split when an idle slot has taken the half that was there for it, or when a body
// blocks inside Blocking. Bodies that wait for each other have to mark it so, or use ForEach. The calls are
// not tasks of their own: Stats counts the parts of the range, which complete also when a call in them panics.
func For(ctx context.Context, e *Executor, n int, fn func(ctx context.Context, i int) error) error {
	if err := e.valid(ctx, fn == nil); err != nil {
		return err
	}
	if n < 0 {
		return fmt.Errorf("executor: For: n is %d: must not be negative", n)
	}
	if over(ctx) {
		return errorOf(ctx)
	}
	if n == 0 {
		return nil
	}
	ctx = attached(ctx)
	l := &loop{e: e, fn: fn}
	if r := e.own(currentRunner(ctx)); r != nil && r.block.nested == 0 {
		l.work(r.contextWithin(ctx), 0, n)
		return l.result()
	}
	e.meet(currentRunner(ctx), "For")
	f, err := Submit(ctx, e, func(ctx context.Context) (struct{}, error) {
		l.work(ctx, 0, n)
		return struct{}{}, l.result()
	})
	if err != nil {
		return err
	}
	// Not with ctx: fn may use what belongs to the caller, so For returns only when all calls have ended.
	_, err = f.Wait(context.WithoutCancel(ctx))
	return err
}

// Map calls fn for each element of in, as For does, and returns the results in order, or nil and the
// first error.
func Map[T, R any](ctx context.Context, e *Executor, in []T, fn func(context.Context, T) (R, error)) ([]R, error) {
	if err := e.valid(ctx, fn == nil); err != nil {
		return nil, err
	}
	out := make([]R, len(in))
	err := For(ctx, e, len(in), func(ctx context.Context, i int) (err error) {
		out[i], err = fn(ctx, in[i])
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// ForEach calls fn for each element of seq, each call a task of its own, and returns when all have ended,
// with the first error. It pulls elements on the calling goroutine, no faster than the queue has room,
// and stops pulling at the first error or when ctx is done; so seq may be endless.
func ForEach[T any](ctx context.Context, e *Executor, seq iter.Seq[T], fn func(context.Context, T) error) (err error) {
	if err := e.valid(ctx, fn == nil || seq == nil); err != nil {
		return err
	}
	if over(ctx) {
		return errorOf(ctx)
	}
	g := e.NewGroup(ctx)
	defer func() { // also when seq panics
		if waited := g.Wait(); err == nil {
			err = waited
		}
	}()
	for v := range seq {
		g.Go(func(ctx context.Context) error { return fn(ctx, v) })
		if g.stopped() {
			break
		}
	}
	if err := g.Wait(); err != nil {
		return err // the first one
	}
	if ctx.Err() != nil {
		return errorOf(ctx)
	}
	return nil
}

// stopped reports whether the group hands out no more.
func (g *Group) stopped() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.round != nil && g.round.ctx.Err() != nil
}

// loop is one call of For.
type loop struct {
	e       *Executor
	fn      func(context.Context, int) error
	stopped atomic.Bool
	once    sync.Once
	err     error
}

const (
	// chunkTime is about how long a range runs between two looks around. Shorter would spend more on
	// the clock; longer would leave idle slots waiting.
	chunkTime = 10 * time.Microsecond
	maxChunk  = 1 << 20
)

func (l *loop) fail(err error) {
	l.once.Do(func() { l.err = err })
	l.stopped.Store(true)
}

func (l *loop) result() error {
	if l.stopped.Load() {
		return l.err
	}
	return nil
}

// span is a range of a loop that a runner works on: [lo, hi) is what it has not begun.
type span struct {
	l      *loop
	ctx    context.Context
	lo, hi int
	forked []half // split off, the newest last
	outer  *span
}

// half is a range that was split off.
type half struct {
	child  Forked[struct{}]
	lo, hi int
}

// work runs [lo, hi) in chunks that last about chunkTime. Whenever the own deque is empty it forks the
// upper half of what is left: so there is always something for an idle slot to steal, and a range that
// nobody steals from is split only as often as it can be halved. (Tzannes et al.: Lazy Binary-Splitting,
// PPoPP 2010.) Halves that nobody took are worked on in the same loop, not on top of it.
func (l *loop) work(ctx context.Context, lo, hi int) {
	r := taskOf(ctx).r
	s := &span{l: l, ctx: ctx, lo: lo, hi: hi, outer: r.stack.span}
	r.stack.span = s
	defer func() {
		r.stack.span = s.outer
		for len(s.forked) > 0 { // a body called Goexit: wait for what others run
			s.lo, s.hi = 0, 0
			s.next(r)
		}
	}()
	for chunk := 1; ; {
		if s.lo >= s.hi || l.stopped.Load() {
			s.lo, s.hi = 0, 0
			if !s.next(r) {
				return
			}
			continue
		}
		if ctx.Err() != nil {
			l.fail(errorOf(ctx))
			continue
		}
		if s.hi-s.lo > chunk && r.slot != nil && r.slot.len() == 0 {
			s.split(r, s.lo+(s.hi-s.lo)/2)
		}
		start := r.shareProcessor(time.Since(epoch))
		s.run(min(s.hi, s.lo+chunk))
		if took := time.Since(epoch) - start; took < chunkTime/2 && chunk < maxChunk {
			chunk *= 2
		} else if took > 2*chunkTime && chunk > 1 {
			chunk /= 2
		}
	}
}

// next goes on with the newest half: takes it back if nobody has started it, or waits for it. It reports
// false when there is none left.
func (s *span) next(r *runner) bool {
	last := len(s.forked) - 1
	if last < 0 {
		return false
	}
	h := s.forked[last]
	s.forked = s.forked[:last]
	if h.child.f.reclaim(r, h.child.use) {
		s.lo, s.hi = h.lo, h.hi
	} else {
		s.l.join(s.ctx, h.child)
	}
	return true
}

// split forks [mid, hi), if it can be queued.
func (s *span) split(r *runner, mid int) {
	l, hi := s.l, s.hi
	f, queued := tryFork(r, r.e.parentOf(s.ctx), func(ctx context.Context) struct{} {
		l.work(ctx, mid, hi)
		return struct{}{}
	})
	if !queued {
		r.closeFork(&f.forkNode)
		f.recycle(r)
		return
	}
	s.hi = mid
	s.forked = append(s.forked, half{Forked[struct{}]{f, f.use()}, mid, hi})
}

// expose forks all that the runner has not begun, before a body of the loop blocks.
func (r *runner) expose() {
	if s := r.stack.span; s != nil && s.lo < s.hi && !s.l.stopped.Load() {
		s.split(r, s.lo)
	}
}

// run calls fn for the indices up to to. A body that blocks lowers hi.
func (s *span) run(to int) {
	l, returned := s.l, false
	defer func() {
		if returned {
			return
		}
		if value := recover(); value != nil {
			l.fail(asPanicError(value))
		} else {
			l.fail(ErrGoexit) // and the goroutine goes on ending
		}
	}()
	for i := s.lo; i < min(to, s.hi); i++ {
		s.lo = i + 1
		if err := l.fn(s.ctx, i); err != nil {
			l.fail(err)
			break
		}
	}
	returned = true
}

// join waits for a half. It fails only if the half ended by Goexit.
func (l *loop) join(ctx context.Context, half Forked[struct{}]) {
	defer func() {
		if value := recover(); value != nil {
			p := asPanicError(value)
			if cause, ok := p.Value.(error); ok && sameError(cause, ErrGoexit) { // as Join says it
				l.fail(ErrGoexit)
			} else {
				l.fail(p)
			}
		}
	}()
	half.Join(ctx)
}

// contextWithin returns ctx if it belongs to the task that r runs, else a task context made from it.
func (r *runner) contextWithin(ctx context.Context) context.Context {
	if tc := taskOf(ctx); tc != nil && tc.r == r {
		return ctx
	}
	return &taskContext{origin: origin{parent: r.e.parentOf(ctx)}, r: r}
}
