package executor

import (
	"context"
	"errors"
	"iter"
)

// For calls fn for each i in [0, n), on as many slots as are idle, and returns when all calls have ended.
// The first error, panic (as *PanicError), Goexit (as ErrGoexit) or the end of ctx stops the handing out
// of further indices and is returned. Inside a task of e the caller works along. There is no grain to
// choose: a range is split when an idle slot has taken the half that was there for it, or when a body
// blocks inside Blocking. Bodies that wait for each other have to mark it so, or use ForEach. The calls are
// not tasks of their own: Stats counts the parts of the range, which complete also when a call in them panics.
// Goexit in a call on the caller's own goroutine ends that too, here and in the other loops.
func For(ctx context.Context, e *Executor, n int, fn func(ctx context.Context, i int) error) error {
	return overRange(ctx, e, "For", n, fn == nil, &loop{}, eachIndex(fn))
}

// ForRange is For with fewer calls: fn gets a range [lo, hi), which is never empty, and each index is in exactly
// one. How long the ranges are is up to ForRange: one index at first, then what lasts about 10 µs, so that
// handing them out costs next to nothing, and idle slots and the end of ctx do not wait. A body of a nanosecond
// for each index then is as fast as a loop written by hand.
func ForRange(ctx context.Context, e *Executor, n int, fn func(ctx context.Context, lo, hi int) error) error {
	return overRange(ctx, e, "ForRange", n, fn == nil, &loop{}, eachRange(fn))
}

// Reduce folds [0, n) into one value. fn folds a range [lo, hi), as in ForRange, into what the range before it gave,
// acc, or into T's zero where a part of the loop begins; merge puts the results of two neighboring parts together,
// the lower one first, and gets no other values. So the result is that of a loop on one goroutine if merge is associative:
// it need not be commutative. merge runs on the goroutine of a part too. Errors, panics (also of merge), Goexit and
// the end of ctx are as in For; the result is T's zero then. With n 0 nothing is called.
func Reduce[T any](ctx context.Context, e *Executor, n int, fn func(ctx context.Context, lo, hi int, acc T) (T, error), merge func(a, b T) T) (T, error) {
	all := &fold[T]{fn: fn, merge: merge}
	if err := overRange(ctx, e, "Reduce", n, fn == nil || merge == nil, &loop{}, all); err != nil {
		var none T
		return none, err
	}
	return all.acc, nil
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

// MapAll is Map that tries every element: an error, a panic (as *PanicError) or a Goexit (as ErrGoexit) is that
// element's, and the others are tried all the same. Both slices are as long as in. When ctx ends or e is closed
// the elements that were not tried have that error; an argument that is nil is every element's error. See
// errors.Join for one error of all.
func MapAll[T, R any](ctx context.Context, e *Executor, in []T, fn func(context.Context, T) (R, error)) ([]R, []error) {
	out, errs := make([]R, len(in)), make([]error, len(in))
	for i := range errs {
		errs[i] = errUntried
	}
	err := overRange(ctx, e, "MapAll", len(in), fn == nil, &loop{tries: true}, eachIndex(func(ctx context.Context, i int) error {
		errs[i] = ErrGoexit // unless it returns or panics
		defer func() {
			if value := recover(); value != nil {
				errs[i] = asPanicError(value)
			}
		}()
		out[i], errs[i] = fn(ctx, in[i])
		return nil
	}))
	for i := range errs {
		if sameError(errs[i], errUntried) {
			errs[i] = err
		}
	}
	return out, errs
}

var errUntried = errors.New("executor: not tried")

// ForEach calls fn for each element of seq, each call a task of its own, and returns when all have ended,
// with the first error. It pulls elements on the calling goroutine, no faster than the queue has room,
// and stops pulling at the first error or when ctx is done; so seq may be endless. If seq panics or calls Goexit, what
// runs is canceled and awaited first.
func ForEach[T any](ctx context.Context, e *Executor, seq iter.Seq[T], fn func(context.Context, T) error) error {
	if err := e.valid(ctx, fn == nil || seq == nil); err != nil {
		return err
	}
	if over(ctx) {
		return errorOf(ctx)
	}
	g := e.NewGroup(ctx)
	pulled := false
	defer func() {
		if !pulled { // seq panicked or called Goexit, and that goes on when what runs has ended
			g.fail(nil, errSeqEnded)
			_ = g.Wait()
		}
	}()
	for v := range seq {
		g.Go(func(ctx context.Context) error { return fn(ctx, v) })
		if g.stopped() {
			break
		}
	}
	pulled = true
	if err := g.Wait(); err != nil {
		return err // the first one
	}
	if over(ctx) {
		return errorOf(ctx)
	}
	return nil
}

// errSeqEnded is why the contexts of ForEach's calls end when its sequence did not return.
var errSeqEnded = errors.New("executor: ForEach: the sequence panicked or called Goexit")

// Streams: results in order, or as they come, of a sequence that may be endless.

// Ordered calls fn for each element of seq, each call a task of its own, and yields the results in the order of the
// elements. It pulls seq on the goroutine that ranges over the result, and at most 2 x slots elements beyond the one
// that the loop waits for or has: so a slow loop holds up seq, and neither waits for more than it needs. A result that
// is there is yielded before seq is asked for more; one that comes later waits until seq has yielded its next element.
//
// An error of fn is yielded and the stream goes on; a panic (*PanicError) or Goexit (ErrGoexit) of it is the element's
// error. The end of ctx ends the stream with ctx's error, and a closed executor with ErrClosed. Leaving the loop
// cancels the context of what runs and waits for it, before seq is told; so does a panic of the loop's body or of
// seq, which passes through then. Each range over the result is a new run.
//
// Inside a task of e the loop lends its slot while it waits. Only when no spare can take that (WithMaxSpares), an
// element runs on the loop's goroutine, and its Goexit then ends the loop's task too. With iter.Pull inside a task,
// call next inside Blocking: it waits on a goroutine that is not the task's.
func Ordered[T, R any](ctx context.Context, e *Executor, seq iter.Seq[T], fn func(context.Context, T) (R, error)) iter.Seq2[R, error] {
	return streamOf(ctx, e, seq, fn, "Ordered")
}

// Unordered is Ordered with the results as they come.
func Unordered[T, R any](ctx context.Context, e *Executor, seq iter.Seq[T], fn func(context.Context, T) (R, error)) iter.Seq2[R, error] {
	return streamOf(ctx, e, seq, fn, "Unordered")
}

func streamOf[T, R any](ctx context.Context, e *Executor, seq iter.Seq[T], fn func(context.Context, T) (R, error), name string) iter.Seq2[R, error] {
	return func(yield func(R, error) bool) {
		if err := e.valid(ctx, fn == nil || seq == nil); err != nil {
			var none R
			yield(none, err)
			return
		}
		ctx := attached(ctx)
		e.meet(currentRunner(ctx), name)
		s := &stream[T, R]{e: e, ctx: ctx, fn: fn, yield: yield, stuck: make(chan struct{}, 1)}
		if name == "Unordered" {
			s.ended = make(chan struct{}, maxEnded)
		}
		s.within, s.cancel = context.WithCancelCause(ctx)
		s.run(seq)
	}
}

// maxEnded is more than there can be elements under way. A channel of empty values takes no memory for them.
const maxEnded = 1 << 30

// stream is one range over what Ordered or Unordered returned. All of it is the consumer's own but the channels.
type stream[T, R any] struct {
	e      *Executor
	ctx    context.Context
	within context.Context // of the elements: it ends with the stream
	cancel context.CancelCauseFunc
	fn     func(context.Context, T) (R, error)
	yield  func(R, error) bool

	pulled []*Future[R]  // and not yielded yet, oldest first
	ended  chan struct{} // as they come: gets a value for each element that has ended; else nil
	stuck  chan struct{} // gets a value when every slot is held by a task that waits, and no spare is left
}

var errStreamLeft = errors.New("executor: the loop over the results has ended")

// run pulls, and yields.
func (s *stream[T, R]) run(seq iter.Seq[T]) {
	defer s.stop() // also when seq panics
	if over(s.ctx) {
		s.end(errorOf(s.ctx))
		return
	}
	for v := range seq {
		if !s.add(v) {
			return
		}
	}
	s.drain()
}

// add starts an element, and yields what is there or has to be yielded before another one may be pulled. It reports
// whether to go on. If not, nothing of the stream runs when it returns or panics: not before then may what seq
// does at its end take place.
func (s *stream[T, R]) add(v T) (more bool) {
	defer func() {
		if !more {
			s.stop()
		}
	}()
	if err := s.start(v); err != nil {
		if s.drain() { // what was accepted is yielded first
			s.end(err)
		}
		return false
	}
	for len(s.pulled) > 2*s.e.slotCount() || s.ready() {
		if !s.deliver() {
			return false
		}
	}
	return true
}

// start submits a task for v.
func (s *stream[T, R]) start(v T) error {
	caller := currentRunner(s.within)
	if err := error(nil); s.e.asTask(caller, func() { err = s.start(v) }) {
		return err
	}
	fn, r := s.fn, s.e.own(caller)
	f := newFuture(r, s.e, s.within, func(ctx context.Context) (R, error) { return fn(ctx, v) })
	if s.ended != nil {
		f.at.Store(&waitPoint{c: s.ended})
	}
	err := s.e.submit(r, s.within, entry{of: &f.origin}, true)
	switch {
	case err == nil:
	case r != nil && sameError(err, ErrQueueFull): // even twice the limit is queued
		r.count.submitted.inc()
		f.claim()
		r.inPlace(func() { f.run(r) })
	default:
		return s.e.rejected(err)
	}
	s.pulled = append(s.pulled, f)
	return nil
}

// ready reports whether there is a result to yield.
func (s *stream[T, R]) ready() bool {
	if s.ended != nil {
		return len(s.ended) > 0
	}
	return len(s.pulled) > 0 && s.pulled[0].done()
}

// deliver waits for the next result and yields it. It reports false if the stream has ended.
func (s *stream[T, R]) deliver() bool {
	for !over(s.ctx) {
		f := s.take()
		if f == nil {
			s.wait()
			continue
		}
		if s.yield(f.val, f.err) {
			return true
		}
		s.stop()
		return false
	}
	s.end(errorOf(s.ctx))
	return false
}

// drain yields what has been started. It reports false if the stream has ended meanwhile.
func (s *stream[T, R]) drain() bool {
	for len(s.pulled) > 0 {
		if !s.deliver() {
			return false
		}
	}
	return true
}

// take takes the next result, if it is there.
func (s *stream[T, R]) take() *Future[R] {
	if !s.ready() {
		return nil
	}
	i := 0
	if s.ended != nil {
		<-s.ended // one value for each: so there is one
		for !s.pulled[i].done() {
			i++
		}
	}
	f := s.pulled[i]
	copy(s.pulled[i:], s.pulled[i+1:])
	s.pulled[len(s.pulled)-1] = nil
	s.pulled = s.pulled[:len(s.pulled)-1]
	return f
}

// wait waits until there may be a result, or ctx is done. A task lends its slot rather than run the element: then
// an element's Goexit ends nothing but that. Only when nobody else can run it, the task does (W1).
func (s *stream[T, R]) wait() {
	r := currentRunner(s.ctx)
	if s.e.asTask(r, s.wait) {
		return
	}
	own := s.e.own(r) != nil
	first := s.pulled[0]
	done, at := s.ended, (*waitPoint)(nil)
	if done == nil {
		at = first.pointToWait()
		done = at.c
	}
	if own {
		s.e.stuck.add(s)
		defer s.e.stuck.remove(s)
	}
	received, stuck := false, false
	r.lendFor(s.e, func() {
		if stuck = own && s.e.nobodyRuns() && s.idles(); stuck {
			return
		}
		for again := true; again; {
			again = false
			select {
			case <-done:
				received = true
			case <-s.stuck:
				stuck = s.idles()
				again = !stuck // to wait anew would be to wake itself, for ever
			case <-s.ctx.Done():
			}
		}
	})
	if at != nil {
		first.leavePoint(at, received)
	} else if received {
		s.ended <- struct{}{} // for take
	}
	if stuck && own {
		s.help(r)
	}
}

// idles reports whether nobody has started the element that the consumer waits for, or one of them.
func (s *stream[T, R]) idles() bool {
	for _, f := range s.pulled {
		if !f.dead() {
			return true
		}
		if s.ended == nil {
			break
		}
	}
	return false
}

// help runs an element on the consumer's goroutine, if there is one that nobody has started and that it waits for.
func (s *stream[T, R]) help(r *runner) {
	for _, f := range s.pulled {
		if f.claim() {
			r.bury()
			r.inPlace(func() { f.run(r) })
			return
		}
		if s.ended == nil {
			return
		}
	}
}

func (s *stream[T, R]) wakeStuck() {
	select {
	case s.stuck <- struct{}{}:
	default:
	}
}

// end yields the error that the stream ends with.
func (s *stream[T, R]) end(err error) {
	s.stop()
	var none R
	s.yield(none, err)
}

// stop cancels what runs and waits for it.
func (s *stream[T, R]) stop() {
	s.cancel(errStreamLeft)
	for _, f := range s.pulled {
		_, _ = f.Wait(background)
	}
	s.pulled = nil
}
