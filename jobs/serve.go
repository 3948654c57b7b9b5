package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-97bda89a/executor"
)

// Worker takes jobs from a Source and runs them on an executor. NewWorker makes one; Serve is the short way.
type Worker struct {
	e     *executor.Executor
	src   Source
	cfg   serveConfig
	r     *runner
	keyed *executor.Keyed[string]
	used  atomic.Bool

	mu      sync.Mutex
	changed chan struct{} // closed and made anew when held or waiting shrinks
	held    map[*held]struct{}
	asking  int // how many may come that are asked for
	waiting int // those of held that nobody has begun, without those that wait for their key's turn
}

// held is a delivery that this worker has.
type held struct {
	d       Delivery
	keyed   bool
	claimed bool      // somebody runs it or gives it back; under Worker.mu
	until   time.Time // it is kept alive until then; under Worker.mu
	overdue bool      // that time has passed and was counted
	told    time.Time // when the broker was last told that it lives; under Worker.mu
	lost    bool      // the lease was over before the broker was told again, and that was counted
}

// NewWorker checks everything and makes a worker. It does nothing until Serve.
func NewWorker(e *executor.Executor, src Source, kinds []AnyKind, opts ...ServeOption) (*Worker, error) {
	var errs []error
	if e == nil {
		errs = append(errs, errors.New("jobs: Serve: the executor must not be nil"))
	}
	if src == nil {
		errs = append(errs, errors.New("jobs: Serve: the Source must not be nil"))
	}
	byName, err := table(kinds)
	errs = append(errs, err)
	cfg := serveConfig{grace: 20 * time.Second}
	for i, opt := range opts {
		if opt == nil {
			errs = append(errs, fmt.Errorf("jobs: Serve: option %d is nil", i))
		} else if err := opt(&cfg); err != nil {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if cfg.log == nil {
		cfg.log = slog.New(slog.DiscardHandler)
	}
	w := &Worker{e: e, src: src, cfg: cfg, keyed: executor.NewKeyed[string](e), held: make(map[*held]struct{}), changed: make(chan struct{})}
	w.r = &runner{kinds: byName, lease: src.Lease(), log: cfg.log}
	return w, nil
}

// Serve runs the jobs of a source on e until ctx is done, e is shut down, or the source has ended. It returns after the drain: nothing more
// is asked for, what had not begun is given back to the broker without counting as an attempt, and what runs is
// waited for: see Grace. It returns nil if ctx ended it. A job of a kind that is not in kinds is a dead letter, so workers of one queue
// must know all its kinds.
//
// It takes a slot of e first, and then asks for at most as many jobs as could start at once; while it waits for them the slot is
// lent. Handlers are tasks of e, with the values of ctx. Call it once for each queue, outside of e's tasks.
func Serve(ctx context.Context, e *executor.Executor, src Source, kinds []AnyKind, opts ...ServeOption) error {
	w, err := NewWorker(e, src, kinds, opts...)
	if err != nil {
		return err
	}
	return w.Serve(ctx)
}

// Serve is the function Serve, once.
func (w *Worker) Serve(ctx context.Context) error {
	if ctx == nil {
		return errors.New("jobs: Serve: the context must not be nil")
	}
	if in, ok := executor.FromContext(ctx); ok && in == w.e {
		return fmt.Errorf("jobs: Serve in a task of its executor, which would wait for itself: %w", executor.ErrInTask)
	}
	if w.used.Swap(true) {
		return errors.New("jobs: Serve: a Worker serves once")
	}
	tel, err := newTelemetry(w.cfg.tp, w.cfg.mp, w.Stats)
	if err != nil {
		return fmt.Errorf("jobs: Serve: %w", err)
	}
	w.r.tel = tel
	defer func() { go func() { _ = tel.stop() }() }() // never wait for somebody else's callback

	base, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	stop := make(chan struct{})
	var helpers sync.WaitGroup
	helpers.Go(func() { w.beat(base, stop) })
	helpers.Go(func() { w.look(base, stop) })

	why := w.fetchAll(ctx, base)
	late := w.drain(ctx, base, cancel)
	close(stop)
	cancel(ErrDraining)
	helpers.Wait()
	if ctx.Err() != nil && !errors.Is(why, ErrSourceGone) {
		why = nil
	}
	return errors.Join(why, late)
}

// fetchers is how many requests of a worker may be on their way at once: while one waits for the broker, another slot may have become free.
const fetchers = 4

// fetchAll asks for jobs until there is a reason to end, with as many requests at once as there are slots, up to fetchers.
func (w *Worker) fetchAll(ctx, base context.Context) error {
	n := min(max(w.e.Stats().Slots, 1), fetchers)
	if w.cfg.prefetch > 0 {
		n = 1 // it asks for many
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	for range n {
		all.Go(func() { cancel(w.fetch(ctx, base, n)) }) // the first reason counts
	}
	all.Wait()
	return context.Cause(ctx)
}

// fetch is one of n loops that ask for jobs.
func (w *Worker) fetch(ctx, base context.Context, n int) error {
	pause := time.Duration(0)
	for {
		room, err := w.room(ctx, n)
		if err != nil {
			return err
		}
		asked := room
		var got []Delivery
		var failure error
		receive := func() {
			if got, failure = w.src.Receive(ctx, room); len(got) > room {
				w.cfg.log.Error("jobs: the source gave more than it was asked for", slog.Int("asked", room), slog.Int("got", len(got)))
			}
		}
		if w.cfg.prefetch > 0 {
			receive()
			w.start(base, got)
		} else {
			// A slot first: then what comes can start.
			err = w.e.Do(ctx, func(ctx context.Context) error {
				executor.Blocking(ctx, receive)
				w.start(base, got)
				return nil
			})
		}
		w.asked(-asked)
		switch {
		case errors.Is(failure, ErrSourceGone):
			return failure
		case err != nil && ctx.Err() == nil && !errors.Is(err, executor.ErrOverloaded):
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case failure == nil && err == nil:
			pause = 0
			continue
		case failure != nil:
			w.r.count.receiveErrors.Add(1)
			w.r.count.note(failure)
			w.cfg.log.Warn("jobs: the source gave no jobs", slog.Any("error", failure))
		}
		// Not all workers at once, and not at once.
		pause = min(max(2*pause, 50*time.Millisecond), 5*time.Second)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause/2 + rand.N(pause/2)):
		}
	}
}

// room waits until something may be asked for, and returns how much: it counts as asked until the caller says otherwise.
func (w *Worker) room(ctx context.Context, n int) (int, error) {
	for {
		s := w.e.Stats()
		most := w.most(s.Slots)
		w.mu.Lock()
		room, changed := w.free(most), w.changed
		if w.cfg.prefetch == 0 {
			room = min(room, 1+s.Idle/n)
		}
		if room > 0 && ctx.Err() == nil {
			w.asking += room
		}
		w.mu.Unlock()
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		if room > 0 {
			return room, nil
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-changed:
		}
	}
}

// free returns how many more the worker may hold. Without prefetch nothing is asked for while something has not begun; with it the
// worker asks when half is used up, for many at a time.
func (w *Worker) free(most int) int {
	room := most - len(w.held) - w.asking
	switch p := w.cfg.prefetch; {
	case p == 0 && w.waiting > 0, p > 0 && w.waiting > p/2:
		return 0
	case p > 0:
		return min(room, p-w.waiting)
	}
	return room
}

// asked changes how much is asked for.
func (w *Worker) asked(by int) {
	w.mu.Lock()
	w.asking += by
	w.tell()
	w.mu.Unlock()
}

// most is MaxInFlight.
func (w *Worker) most(slots int) int {
	if w.cfg.maxInFlight > 0 {
		return w.cfg.maxInFlight
	}
	return w.cfg.prefetch + 4*max(slots, 1)
}

// start makes a task of each delivery.
func (w *Worker) start(base context.Context, list []Delivery) {
	for _, d := range list {
		m := d.Message()
		now := time.Now()
		h := &held{d: d, keyed: m.Key != "", until: now.Add(w.r.deadlineOf(m)), told: now}
		w.r.count.received.Add(1)
		w.mu.Lock()
		w.held[h] = struct{}{}
		if !h.keyed {
			w.waiting++
		}
		w.mu.Unlock()
		run := func(ctx context.Context) {
			if !w.claim(h) {
				return
			}
			defer w.gone(h)
			w.r.run(ctx, d, func(until time.Time) {
				w.mu.Lock()
				h.until = until
				w.mu.Unlock()
			})
		}
		ctx := executor.WithTaskName(base, m.Kind)
		if w.r.kinds[m.Kind] == nil {
			ctx = base // a stranger's name is no name of a task
		}
		var err error
		if h.keyed {
			err = w.keyed.Go(ctx, m.Key, run)
		} else {
			err = w.e.Go(ctx, run)
		}
		if err != nil {
			w.giveBack(base, h)
		}
	}
}

// claim makes the caller the one who deals with h: its task, or the drain.
func (w *Worker) claim(h *held) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if h.claimed {
		return false
	}
	h.claimed = true
	if !h.keyed {
		w.waiting--
		w.tell()
	}
	return true
}

func (w *Worker) gone(h *held) {
	w.mu.Lock()
	w.late(h, time.Now())
	delete(w.held, h)
	w.tell()
	w.mu.Unlock()
}

// late counts a job whose lease was over before the broker heard of it again, unless that is so because its own deadline
// has passed. Under w.mu.
func (w *Worker) late(h *held, now time.Time) {
	if w.r.lease > 0 && !h.lost && now.Sub(h.told) > w.r.lease && now.Before(h.until) {
		h.lost = true
		w.r.count.lost.Add(1)
	}
}

func (w *Worker) tell() {
	close(w.changed)
	w.changed = make(chan struct{})
}

// giveBack returns a delivery that has not begun.
func (w *Worker) giveBack(ctx context.Context, h *held) {
	if w.claim(h) {
		w.r.settle(ctx, h.d, giveBack, 0, "")
		w.gone(h)
	}
}

// Stats returns what the worker did and holds.
func (w *Worker) Stats() Stats {
	slots := w.e.Stats().Slots
	s := Stats{Lease: w.r.lease, MaxInFlight: w.most(slots), Prefetch: w.cfg.prefetch, Slots: slots}
	w.r.count.fill(&s)
	w.mu.Lock()
	s.Held, s.Waiting = len(w.held), w.waiting
	w.mu.Unlock()
	return s
}
