package executor

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// How a range of indices is worked on by as many runners as have time.

// loop is one call of For or one of its kind.
type loop struct {
	e       *Executor
	tries   bool // every index is tried: a Goexit ends the goroutine, but not the loop
	stopped atomic.Bool
	once    sync.Once
	err     error
}

// body is what a loop does with its indices. It belongs to one part of the loop: the call that began it, or a half
// that somebody else runs.
type body interface {
	// run works on [s.lo, to), or on less if fn blocks. s.lo is what it has not begun.
	run(s *span, to int) error

	// part returns the body of a half.
	part() body

	// add adds what a half gave, which is next to all that this part has done.
	add(half body)
}

// eachIndex is the body of For.
type eachIndex func(ctx context.Context, i int) error

func (fn eachIndex) run(s *span, to int) error {
	ctx := s.ctx
	for i := s.lo; i < to; i++ {
		s.lo = i + 1
		if err := fn(ctx, i); err != nil {
			return err
		}
		if s.hi < to { // fn has blocked, and others have the rest
			to = s.hi
		}
	}
	return nil
}

func (fn eachIndex) part() body { return fn }
func (fn eachIndex) add(body)   {}

// eachRange is the body of ForRange.
type eachRange func(ctx context.Context, lo, hi int) error

func (fn eachRange) run(s *span, to int) error {
	lo := s.lo
	s.lo = to
	return fn(s.ctx, lo, to)
}

func (fn eachRange) part() body { return fn }
func (fn eachRange) add(body)   {}

// fold is the body of one part of Reduce.
type fold[T any] struct {
	fn    func(ctx context.Context, lo, hi int, acc T) (T, error)
	merge func(a, b T) T
	acc   T
}

func (f *fold[T]) run(s *span, to int) (err error) {
	lo := s.lo
	s.lo = to
	f.acc, err = f.fn(s.ctx, lo, to, f.acc)
	return err
}

func (f *fold[T]) part() body    { return &fold[T]{fn: f.fn, merge: f.merge} }
func (f *fold[T]) add(half body) { f.acc = f.merge(f.acc, half.(*fold[T]).acc) }

// overRange works on [0, n): on the spot in a task of e, else in a task of its own.
func overRange(ctx context.Context, e *Executor, name string, n int, nilFunc bool, l *loop, b body) error {
	if err := e.valid(ctx, nilFunc); err != nil {
		return err
	}
	if n < 0 {
		return fmt.Errorf("executor: %s: n is %d: must not be negative", name, n)
	}
	if over(ctx) {
		return errorOf(ctx)
	}
	if n == 0 {
		return nil
	}
	ctx = attached(ctx)
	l.e = e
	caller := currentRunner(ctx)
	if err := error(nil); e.asTask(caller, func() { err = overRange(ctx, e, name, n, nilFunc, l, b) }) {
		return err
	}
	if r := e.own(caller); r != nil && r.block.nested == 0 {
		l.work(r.contextWithin(ctx), b, 0, n)
		return l.result()
	}
	e.meet(caller, name)
	f, err := Submit(ctx, e, func(ctx context.Context) (struct{}, error) {
		l.work(ctx, b, 0, n)
		return struct{}{}, l.result()
	})
	if err != nil {
		return err
	}
	// Not with ctx: fn may use what belongs to the caller, so this returns only when all calls have ended.
	_, err = f.Wait(context.WithoutCancel(ctx))
	if l.stopped.Load() || l.tries && sameError(err, ErrGoexit) {
		return l.result()
	}
	return err
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
	body   body
	lo, hi int
	forked []half  // split off, the newest last: that is next to hi
	outer  unbegun // the range of the loop below it on the same stack, or nil
}

// half is a range that was split off.
type half struct {
	child  Forked[struct{}]
	body   body
	lo, hi int
}

// work runs [lo, hi) in chunks that last about chunkTime. Whenever the own deque is empty it forks the
// upper half of what is left: so there is always something for an idle slot to steal, and a range that
// nobody steals from is split only as often as it can be halved. (Tzannes et al.: Lazy Binary-Splitting,
// PPoPP 2010.) Halves that nobody took are worked on in the same loop, not on top of it. They come in the order
// of their indices, so what they give can be added up.
func (l *loop) work(ctx context.Context, b body, lo, hi int) {
	r := taskOf(ctx).r
	s := &span{l: l, ctx: ctx, body: b, lo: lo, hi: hi, outer: r.stack.span}
	r.stack.span = s
	defer func() { r.stack.span = s.outer }()
	s.work(r)
}

// work returns when nothing of the span is left. If a body calls Goexit, what is to be done all the same is done in
// the deferred call: wait for what others run, and run the rest if every index is to be tried.
func (s *span) work(r *runner) {
	finished := false
	defer func() {
		if !finished {
			s.work(r)
		}
	}()
	l := s.l
	for chunk := 1; ; {
		if s.lo >= s.hi || l.stopped.Load() {
			s.lo, s.hi = 0, 0
			if !s.next(r) {
				break
			}
			continue
		}
		if s.ctx.Err() != nil {
			l.fail(errorOf(s.ctx))
			continue
		}
		if s.hi-s.lo > chunk && r.slot != nil && r.slot.len() == 0 {
			s.split(r, s.lo+(s.hi-s.lo)/2)
		}
		start := r.shareProcessor(time.Since(epoch))
		s.run(s.lo + min(chunk, s.hi-s.lo))
		if took := time.Since(epoch) - start; took < chunkTime/2 && chunk < maxChunk {
			chunk *= 2
		} else if took > 2*chunkTime && chunk > 1 {
			chunk /= 2
		}
	}
	finished = true
}

// next goes on with the newest half: takes it back if nobody has started it, or waits for it. It reports
// false when there is none left.
func (s *span) next(r *runner) bool {
	last := len(s.forked) - 1
	if last < 0 {
		return false
	}
	h := s.forked[last]
	s.forked[last] = half{}
	s.forked = s.forked[:last]
	if h.child.f.reclaim(r, h.child.use) {
		s.lo, s.hi = h.lo, h.hi
		return true
	}
	s.l.join(s.ctx, h.child)
	if !s.l.stopped.Load() {
		s.guard(func() error { s.body.add(h.body); return nil })
	}
	return true
}

// split forks [mid, hi), if it can be queued.
func (s *span) split(r *runner, mid int) {
	l, b, hi := s.l, s.body.part(), s.hi
	var p *probe
	parent := r.e.parentOf(s.ctx)
	if r.e.pool != nil {
		p = r.e.newExplored(s.ctx, parent, r)
	}
	f, queued := tryFork(r, parent, probeFork(p, func(ctx context.Context) struct{} {
		l.work(ctx, b, mid, hi)
		return struct{}{}
	}))
	if !queued {
		p.abandon()
		r.closeFork(&f.forkNode)
		f.recycle(r)
		return
	}
	s.hi = mid
	s.forked = append(s.forked, half{Forked[struct{}]{f, f.use()}, b, mid, hi})
	p.forkedInTurn()
}

// expose forks all that the runner has not begun, before a body of the loop blocks.
func (s *span) expose(r *runner) {
	if s.lo < s.hi && !s.l.stopped.Load() {
		s.split(r, s.lo)
	}
}

// run calls the body for the indices up to to.
func (s *span) run(to int) {
	s.guard(func() error { return s.body.run(s, to) })
}

// guard runs a part of the loop that is the caller's. How it ends may end the loop.
func (s *span) guard(run func() error) {
	l, returned := s.l, false
	defer func() {
		if returned {
			return
		}
		if value := recover(); value != nil {
			l.fail(asPanicError(value))
		} else if !l.tries {
			l.fail(ErrGoexit) // and the goroutine goes on ending
		}
	}()
	if err := run(); err != nil {
		l.fail(err)
	}
	returned = true
}

// join waits for a half. It fails only if the half ended by Goexit.
func (l *loop) join(ctx context.Context, half Forked[struct{}]) {
	defer func() {
		if value := recover(); value != nil {
			p := asPanicError(value)
			switch cause, ok := p.Value.(error); {
			case !ok || !sameError(cause, ErrGoexit): // as Join says it
				l.fail(p)
			case !l.tries: // else the goroutine has tried what was left of the half before it ended
				l.fail(ErrGoexit)
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
