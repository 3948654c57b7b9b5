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

// stopped reports whether the group hands out no more.
func (g *Group) stopped() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.round != nil && g.round.ctx.Err() != nil
}
