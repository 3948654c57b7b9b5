package executor

import (
	"context"
	"errors"
)

// Serial runs its tasks one at a time, in the order in which they were submitted: what a goroutine that ranges over
// a channel does, without the goroutine. Its methods may be called from any goroutine.
//
// A Serial is exclusive: while its task waits, inside Blocking or not, no other of its tasks runs. That is how it differs
// from an executor with WithSlots(1), where another task runs as soon as one blocks, marked or, after some 10 ms, not.
// Its tasks take turns with everything else: after 16 of them, or a budget (WithBudget), others go first. A panic or a
// Goexit ends one task and not the Serial.
//
// A waiting task takes no place in the executor's queue. A Serial has a bound of its own, the executor's queue limit
// when the Serial was made. At it a caller from outside waits, and a task too, with its slot lent.
// Whoever waits inside a task of the Serial for another task of it, or for room in it, gets ErrSelfWait.
//
// It needs no end: without tasks it is only memory.
type Serial struct {
	misuse error // NewSerial got a bad argument
	home   strandHome
	room   room
	strand strand
}

// NewSerial returns a Serial whose tasks run on e.
func NewSerial(e *Executor) *Serial {
	s := &Serial{misuse: e.missing()}
	if s.misuse == nil {
		s.home.init(e, &s.room)
		s.strand.init(&s.home, &s.strand)
	}
	return s
}

// Go starts fn as the last task of the Serial: see Executor.Go. It waits for room until ctx is done; inside a task of
// the same Serial it returns ErrSelfWait instead. Steady-state cost: no allocation.
func (s *Serial) Go(ctx context.Context, fn func(context.Context)) error {
	return s.start(ctx, fn, true)
}

// TryGo is Go without waiting: at the bound it returns ErrQueueFull.
func (s *Serial) TryGo(ctx context.Context, fn func(context.Context)) error {
	return s.start(ctx, fn, false)
}

// Do runs fn as the last task of the Serial, waits for its end and returns its error: *PanicError after a panic,
// ErrGoexit after a Goexit. If ctx is done before fn starts, Do returns ctx's error at once and fn does not
// run; after that it waits for fn, which has a context made from ctx. Inside a task it lends the slot
// meanwhile; inside a task of the same Serial it returns ErrSelfWait.
func (s *Serial) Do(ctx context.Context, fn func(context.Context) error) error {
	if err := s.valid(ctx, fn == nil); err != nil {
		return err
	}
	if currentRunner(ctx).drains(s.is) {
		return s.home.e.rejected(ErrSelfWait)
	}
	f, err := SubmitOn(ctx, s, func(ctx context.Context) (struct{}, error) { return struct{}{}, fn(ctx) })
	if err != nil {
		return err
	}
	return f.awaitEnd(ctx)
}

// SubmitOn starts fn as the last task of s and returns its Future. Wait on it inside a task lends the slot,
// and runs nothing ahead of its turn; inside a task of the same Serial it returns ErrSelfWait.
func SubmitOn[T any](ctx context.Context, s *Serial, fn func(context.Context) (T, error)) (*Future[T], error) {
	if err := s.valid(ctx, fn == nil); err != nil {
		return nil, err
	}
	e := s.home.e
	r, f := newOrdered(ctx, e, fn)
	if err := e.rejected(s.submit(r, ctx, entry{of: &f.origin}, &f.promise, true)); err != nil {
		return nil, err
	}
	return f, nil
}

func (s *Serial) valid(ctx context.Context, nilFunc bool) error {
	switch {
	case s == nil:
		return errNilSerial
	case s.misuse != nil:
		return s.misuse
	case s.home.e == nil:
		return errZeroSerial
	}
	return s.home.e.valid(ctx, nilFunc)
}

func (s *Serial) start(ctx context.Context, fn func(context.Context), wait bool) error {
	if err := s.valid(ctx, fn == nil); err != nil {
		return err
	}
	e := s.home.e
	r, en := e.orderedBare(ctx, fn)
	return e.refused(en, s.submit(r, ctx, en, nil, wait))
}

// submit queues a task behind the others. r is as for Executor.submit; p is the task's promise, if it has one.
func (s *Serial) submit(r *runner, ctx context.Context, en entry, p *promise, wait bool) error {
	if over(ctx) {
		return errorOf(ctx)
	}
	if !s.home.enter(r != nil) {
		return s.submitLate(r, ctx, en, p, wait)
	}
	if s.append(en, p) {
		s.strand.launch(r)
	}
	return nil
}

// submitLate is submit for a task that waits for room or is refused.
func (s *Serial) submitLate(r *runner, ctx context.Context, en entry, p *promise, wait bool) error {
	return s.home.enterLate(r, ctx, s.is, wait, func() *strand {
		if s.append(en, p) {
			return &s.strand
		}
		return nil
	})
}

func (s *Serial) append(en entry, p *promise) (asleep bool) {
	s.home.mu.Lock()
	defer s.home.mu.Unlock()
	return s.strand.append(en, p)
}

func (s *Serial) is(other *strand) bool { return other == &s.strand }

var (
	errNilSerial  = errors.New("executor: nil Serial")
	errZeroSerial = errors.New("executor: Serial not made by NewSerial")
)
