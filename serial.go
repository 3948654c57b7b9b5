package executor

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
)

// Serial runs its tasks one at a time, in the order in which they were submitted: what a goroutine that ranges over
// a channel does, without the goroutine. Its methods may be called from any goroutine.
//
// A Serial is exclusive: while its task waits, inside Blocking or not, no other of its tasks runs. That is how it differs
// from an executor with WithSlots(1), where another task runs as soon as one blocks, marked or, after some 10 ms, not.
// Its tasks take turns with everything else: after 16 of them, a budget (WithBudget), or one that came alone, others go first. A panic or a
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
// the same Serial it returns ErrSelfWait instead. If ctx is done before its turn, fn is never started, and its place is free when
// its turn would have come; that of SubmitOn or Do is free at once. Steady-state cost: no allocation.
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
	at, err := s.home.e.orderSpot(r, ctx, en)
	if err != nil {
		return err
	}
	if !s.home.enter(r != nil) {
		return s.submitLate(r, ctx, en, p, at, wait)
	}
	if s.append(en, p, at) {
		s.strand.launch(r)
	}
	return nil
}

// submitLate is submit for a task that waits for room or is refused.
func (s *Serial) submitLate(r *runner, ctx context.Context, en entry, p *promise, at *spot, wait bool) error {
	return s.home.enterLate(r, ctx, s.is, wait, func() *strand {
		if s.append(en, p, at) {
			return &s.strand
		}
		return nil
	})
}

func (s *Serial) append(en entry, p *promise, at *spot) (asleep bool) {
	s.home.mu.Lock()
	defer s.home.mu.Unlock()
	return s.strand.append(en, p, at)
}

func (s *Serial) is(other *strand) bool { return other == &s.strand }

var (
	errNilSerial  = errors.New("executor: nil Serial")
	errZeroSerial = errors.New("executor: Serial not made by NewSerial")
)

// Keyed runs tasks with the same key one at a time, in the order in which they were submitted, and tasks with
// different keys beside each other: all events of one customer in order, say. It is a Serial for each key, made when
// needed and gone when empty: a key without tasks costs nothing. Its methods may be called from any goroutine.
//
// All keys together have one bound, the executor's queue limit unless SetLimit changes it. At it a caller from
// outside waits, and a task too, with its slot lent. Whoever waits inside a task for another task of the same key, or for
// room for one, gets ErrSelfWait; so does a task that waits for room when every place is taken by tasks that wait behind
// such tasks.
//
// It needs no end: without tasks it is only memory, about 8 KB.
type Keyed[K comparable] struct {
	misuse error // NewKeyed got a bad argument
	e      *Executor
	room   room
	seed   maphash.Seed
	shards [keyShards]keyShard[K]
}

const (
	keyShards   = 64
	spareKeys   = 32  // how many strands without a key a shard keeps
	bigKeyTable = 128 // a table that ever had more keys is thrown away when it is empty: it never shrinks
)

// keyShard is some of the keys, behind one lock.
type keyShard[K comparable] struct {
	strandHome
	keys map[K]*keyStrand[K]
	peak int
	idle []*keyStrand[K]
	_    [64]byte
}

type keyStrand[K comparable] struct {
	strand
	key K
}

// NewKeyed returns a Keyed whose tasks run on e.
func NewKeyed[K comparable](e *Executor) *Keyed[K] {
	k := &Keyed[K]{misuse: e.missing(), e: e}
	if k.misuse != nil {
		return k
	}
	k.seed = maphash.MakeSeed()
	for i := range k.shards {
		k.shards[i].init(e, &k.room)
		k.shards[i].owner = &k.shards[i]
	}
	return k
}

// Go starts fn as the last task of the key: see Executor.Go. It waits for room until ctx is done. Steady-state cost: no
// allocation.
func (k *Keyed[K]) Go(ctx context.Context, key K, fn func(context.Context)) error {
	return k.start(ctx, key, fn, true)
}

// TryGo is Go without waiting: at the bound it returns ErrQueueFull.
func (k *Keyed[K]) TryGo(ctx context.Context, key K, fn func(context.Context)) error {
	return k.start(ctx, key, fn, false)
}

// Do runs fn as the last task of the key, waits for its end and returns its error, as Serial.Do does. Inside a task of
// the same key it returns ErrSelfWait.
func (k *Keyed[K]) Do(ctx context.Context, key K, fn func(context.Context) error) error {
	if err := k.valid(ctx, key, fn == nil); err != nil {
		return err
	}
	if currentRunner(ctx).drains(k.is(key)) {
		return k.e.rejected(ErrSelfWait)
	}
	f, err := SubmitKey(ctx, k, key, func(ctx context.Context) (struct{}, error) { return struct{}{}, fn(ctx) })
	if err != nil {
		return err
	}
	return f.awaitEnd(ctx)
}

// SubmitKey starts fn as the last task of the key and returns its Future. Wait on it inside a task lends the slot,
// and runs nothing ahead of its turn; inside a task of the same key it returns ErrSelfWait.
func SubmitKey[K comparable, T any](ctx context.Context, k *Keyed[K], key K, fn func(context.Context) (T, error)) (*Future[T], error) {
	if err := k.valid(ctx, key, fn == nil); err != nil {
		return nil, err
	}
	r, f := newOrdered(ctx, k.e, fn)
	if err := k.e.rejected(k.submit(r, ctx, key, entry{of: &f.origin}, &f.promise, true)); err != nil {
		return nil, err
	}
	return f, nil
}

// Len returns the number of keys that have tasks, running or queued.
func (k *Keyed[K]) Len() int {
	if k == nil {
		return 0
	}
	n := 0
	for i := range k.shards {
		s := &k.shards[i]
		s.mu.Lock()
		n += len(s.keys)
		s.mu.Unlock()
	}
	return n
}

// SetLimit bounds how many tasks of all keys together may wait. It may be called at any time; tasks that wait already
// stay. A limit below 1 panics.
func (k *Keyed[K]) SetLimit(n int) {
	switch {
	case k == nil:
		panic(errNilKeyed)
	case n < 1:
		panic(fmt.Errorf("executor: Keyed.SetLimit(%d): must be at least 1", n))
	case k.e == nil || k.misuse != nil:
		return
	}
	k.e.meetInside(nil, "Keyed.SetLimit") // before it has done anything
	k.room.limit.Store(int64(n))
	if k.room.waiting.Load() > 0 {
		k.room.settle(func(*waiter) verdict { return verdictWait })
	}
}

func (k *Keyed[K]) valid(ctx context.Context, key K, nilFunc bool) error {
	switch {
	case k == nil:
		return errNilKeyed
	case k.misuse != nil:
		return k.misuse
	case k.e == nil:
		return errZeroKeyed
	case key != key: // a NaN: no two tasks would have the same key, and no table could let go of it
		return fmt.Errorf("executor: Keyed: the key %v is not equal to itself", key)
	}
	return k.e.valid(ctx, nilFunc)
}

func (k *Keyed[K]) start(ctx context.Context, key K, fn func(context.Context), wait bool) error {
	if err := k.valid(ctx, key, fn == nil); err != nil {
		return err
	}
	r, en := k.e.orderedBare(ctx, fn)
	return k.e.refused(en, k.submit(r, ctx, key, en, nil, wait))
}

// submit is Serial.submit for a key.
func (k *Keyed[K]) submit(r *runner, ctx context.Context, key K, en entry, p *promise, wait bool) error {
	if over(ctx) {
		return errorOf(ctx)
	}
	at, err := k.e.orderSpot(r, ctx, en)
	if err != nil {
		return err
	}
	home := k.shard(key)
	if !home.enter(r != nil) {
		return k.submitLate(home, r, ctx, key, en, p, at, wait)
	}
	if s := home.append(key, en, p, at); s != nil {
		s.launch(r)
	}
	k.room.breakCircle()
	return nil
}

func (k *Keyed[K]) submitLate(home *keyShard[K], r *runner, ctx context.Context, key K, en entry, p *promise, at *spot, wait bool) error {
	return home.enterLate(r, ctx, k.is(key), wait, func() *strand { return home.append(key, en, p, at) })
}

func (k *Keyed[K]) shard(key K) *keyShard[K] {
	return &k.shards[maphash.Comparable(k.seed, key)%keyShards]
}

// append queues a task for the key, and returns its strand if the caller has to launch it.
func (h *keyShard[K]) append(key K, en entry, p *promise, at *spot) *strand {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.keys[key]
	if s == nil {
		s = h.open(key)
	}
	if s.append(en, p, at) {
		return &s.strand
	}
	return nil
}

// open makes a strand for the key. Caller holds mu.
func (h *keyShard[K]) open(key K) *keyStrand[K] {
	var s *keyStrand[K]
	if last := len(h.idle) - 1; last >= 0 {
		s, h.idle = h.idle[last], h.idle[:last]
	} else {
		s = new(keyStrand[K])
		s.init(&h.strandHome, s)
	}
	s.key = key
	if h.keys == nil {
		h.keys = make(map[K]*keyStrand[K])
	}
	h.keys[key] = s
	h.peak = max(h.peak, len(h.keys))
	return s
}

// emptied lets go of a key.
func (h *keyShard[K]) emptied(s *strand) {
	ks := s.job.(*keyStrand[K])
	delete(h.keys, ks.key)
	var none K
	ks.key = none
	if len(h.idle) < spareKeys {
		h.idle = append(h.idle, ks)
	}
	if len(h.keys) == 0 && h.peak > bigKeyTable {
		h.keys, h.peak = nil, 0
	}
}

// is tells the strand of a key.
func (k *Keyed[K]) is(key K) func(*strand) bool {
	return func(s *strand) bool {
		ks, ok := s.job.(*keyStrand[K])
		return ok && s.home.room == &k.room && ks.key == key
	}
}

var (
	errNilKeyed  = errors.New("executor: nil Keyed")
	errZeroKeyed = errors.New("executor: Keyed not made by NewKeyed")
)

// orderedBare returns the entry of a bare task that is submitted with ctx, and the calling goroutine's runner, if
// ctx names it and it is one of e.
func (e *Executor) orderedBare(ctx context.Context, fn func(context.Context)) (*runner, entry) {
	if tc, ok := ctx.(*taskContext); ok && tc.r.e == e && tc.r.isCurrent() {
		return tc.r, e.probeFor(ctx, tc.parent, tc.r, tc.traced(), true).entry(fn, &tc.origin)
	}
	parent := e.parentOf(ctx)
	r := e.runnerOf(ctx)
	e.meetContext(r, parent)
	o := e.inject.originOf(parent)
	return r, e.probeFor(ctx, o.parent, r, o.traced, true).entry(fn, o)
}

// newOrdered makes the future of a task on a strand.
func newOrdered[T any](ctx context.Context, e *Executor, fn func(context.Context) (T, error)) (*runner, *Future[T]) {
	r := e.runnerOf(ctx)
	return r, newFuture(r, e, ctx, fn)
}
