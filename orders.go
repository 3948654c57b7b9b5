package executor

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/seed-97bda89a/executor/internal/sched"
)

// ordering is what the core knows of Serials and Keyeds. An executor has one as soon as it has one of those; a program
// without them does not link what is behind it.
type ordering interface {
	counts() (accepted, started uint64, tickets int)
	waiting() int          // submitters that wait for room
	refuse(everybody bool) // the executor is closed
	stop()                 // Close: what waits behind running tasks is dropped
	exited(r *runner)      // r's task has called Goexit
	relieve()              // nobody may be running, and no spare is left
	tick()                 // the keeper's
	awaits(p *promise, r *runner, ctx context.Context, at *waitPoint, early <-chan struct{}) (canceled bool, err error)
	canceled(p *promise) // p was claimed without its turn
	claimed(p *promise)  // p starts
}

// orders returns the executor's ordering, or nil.
func (e *Executor) orders() ordering {
	if o := e.order.Load(); o != nil {
		return *o
	}
	return nil
}

// orderBooks is what all Serials and Keyeds of an executor have in common.
type orderBooks struct {
	e     *Executor
	cells [8]orderCell
	next  atomic.Uint32 // which cell the next home gets
	held  atomic.Int32  // submitters that wait for room

	mu    sync.Mutex
	rooms map[*room]struct{}          // in which somebody waits
	waits map[*strand][]chan struct{} // tasks that wait for a task of the strand; closed if they are to run it themselves
}

// orderCell counts tasks of some Serials and Keyeds.
type orderCell struct {
	accepted atomic.Uint64
	started  atomic.Uint64 // or canceled
	tickets  atomic.Int64  // entries of strands that are queued
	_        [104]byte
}

func (e *Executor) orderBooks() *orderBooks {
	if e.order.Load() == nil {
		var o ordering = &orderBooks{e: e, rooms: make(map[*room]struct{}), waits: make(map[*strand][]chan struct{})}
		e.order.CompareAndSwap(nil, &o)
	}
	return e.orders().(*orderBooks)
}

func (b *orderBooks) counts() (accepted, started uint64, tickets int) {
	for i := range b.cells { // what starts tasks first: accepted is never less
		started += b.cells[i].started.Load()
	}
	for i := range b.cells {
		accepted += b.cells[i].accepted.Load()
		tickets += int(b.cells[i].tickets.Load())
	}
	return accepted, started, tickets
}

func (b *orderBooks) waiting() int { return int(b.held.Load()) }

// list calls fn for each room in which somebody waits.
func (b *orderBooks) list(fn func(*room)) {
	b.mu.Lock()
	rooms := make([]*room, 0, len(b.rooms))
	for m := range b.rooms {
		rooms = append(rooms, m)
	}
	b.mu.Unlock()
	for _, m := range rooms {
		fn(m)
	}
}

func (b *orderBooks) refuse(everybody bool) {
	b.list(func(m *room) {
		m.settle(func(w *waiter) verdict {
			if everybody || !w.own {
				return verdictClosed
			}
			return verdictWait
		})
	})
}

func (b *orderBooks) stop() {
	g := &b.e.registry
	g.mu.Lock()
	var draining []*strand
	for r := g.first; r != nil; r = r.sibling {
		for s := r.strand.Load(); s != nil; s = s.below.Load() {
			draining = append(draining, s.strand())
		}
	}
	g.mu.Unlock()
	for _, s := range draining {
		s.stop(ErrClosed)
	}
}

func (b *orderBooks) exited(r *runner) {
	for s := r.strand.Load(); s != nil; {
		below := s.below.Load()
		s.strand().rest()
		s = below
	}
	r.strand.Store(nil)
}

// relieve helps tasks that wait, with no spare left, when every slot is held by a task that waits: those that wait
// for room get it beyond the limit (I2), those that wait for a strand that is ready run it in place (W1).
func (b *orderBooks) relieve() {
	if !b.e.nobodyRuns() {
		return
	}
	b.list(func(m *room) { m.pass() })
	b.mu.Lock()
	defer b.mu.Unlock()
	for s, waits := range b.waits {
		if !s.ready() {
			continue
		}
		for _, wake := range waits {
			close(wake)
		}
		delete(b.waits, s)
	}
}

// tick lets tasks pass that wait for room in something that has stood still (I2).
func (b *orderBooks) tick() {
	b.list(func(m *room) {
		m.mu.Lock()
		if m.waiters.inTask == 0 || m.moved.Load() != m.seen {
			m.seen, m.still = m.moved.Load(), 0
		} else {
			m.still++
		}
		pass := m.still >= stillTicks
		m.mu.Unlock()
		if pass {
			m.pass()
		}
	})
}

// ready reports whether somebody could drain the strand.
func (s *strand) ready() bool {
	s.home.mu.Lock()
	defer s.home.mu.Unlock()
	return s.state == strandReady
}

// drains reports whether a task of the strand that is tells is on r's stack, or waits for the caller. r is nil outside of tasks.
func (r *runner) drains(is func(*strand) bool) bool {
	return r.orBelow(func(r *runner) bool {
		for s := r.strand.Load(); s != nil; s = s.below.Load() {
			if is(s.strand()) {
				return true
			}
		}
		return false
	})
}

// awaits is runner.await for a task of a strand, which runs in its turn and not in place. Only where nobody else could
// run it, with no spare left, the waiter drains the strand up to it (W1). early is the end of its parent.
func (b *orderBooks) awaits(p *promise, r *runner, ctx context.Context, at *waitPoint, early <-chan struct{}) (canceled bool, err error) {
	s := p.strand.(*strand)
	if r.drains(func(other *strand) bool { return other == s }) && !p.done() {
		return false, ErrSelfWait
	}
	if r == nil || r.e != b.e {
		return r.await(b.e, ctx, at.c, early)
	}
	for {
		stuck := false
		wake := b.join(s)
		r.lendFor(b.e, func() {
			if b.e.nobodyRuns() && s.ready() { // pairs with relieve
				stuck = true
				return
			}
			select {
			case <-at.c:
			case <-early:
				canceled = true
			case <-wake:
				stuck = true
			case <-ctx.Done():
				err = errorOf(ctx)
			}
		})
		b.leave(s, wake)
		if !stuck {
			return canceled, err
		}
		s.help(r, p)
		if p.done() {
			<-at.c
			return false, nil
		}
	}
}

// awaitEnd waits for the end of a task that has begun, whatever ctx, and returns its error. Before that the end of
// its parent cancels it.
func (f *Future[T]) awaitEnd(ctx context.Context) error {
	r := currentRunner(ctx)
	if err := error(nil); f.e.asTask(r, func() { err = f.awaitEnd(ctx) }) {
		return err
	}
	f.e.meet(r, "Do")
	if sched.On() {
		takeTurnFor(r, f)
	}
	parent, live := f.source()
	if !live {
		return f.err
	}
	at := f.pointToWait()
	canceled, err := f.waitAt(r, background, at, parent.Done())
	if canceled {
		f.cancel(errorOf(parent))
		_, err = r.await(f.e, background, at.c, nil)
	}
	f.leavePoint(at, err == nil)
	if err != nil {
		return err
	}
	return f.err
}

// join lists a task that waits for a task of the strand.
func (b *orderBooks) join(s *strand) chan struct{} {
	wake := make(chan struct{})
	b.mu.Lock()
	b.waits[s] = append(b.waits[s], wake)
	b.mu.Unlock()
	return wake
}

func (b *orderBooks) leave(s *strand, wake chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	waits := slices.DeleteFunc(b.waits[s], func(c chan struct{}) bool { return c == wake })
	if b.waits[s] = waits; len(waits) == 0 {
		delete(b.waits, s)
	}
}

// help drains the strand in place, up to the task that r waits for, if nobody does.
func (s *strand) help(r *runner, p *promise) {
	s.home.mu.Lock()
	en, more, ok := entry{}, false, false
	if !p.dead() {
		en, more, ok = s.start()
	}
	s.home.mu.Unlock()
	if ok {
		r.inPlace(func() { s.workInPlace(r, en, more, p) })
	}
}

// workInPlace is work on the stack of a waiter. A Goexit of one of the tasks ends the waiter too, and what is below it on the stack may
// wait for others before its goroutine is gone: a loop for its halves, which may wait for this strand. So it is let go first.
func (s *strand) workInPlace(r *runner, en entry, more bool, p *promise) {
	below, returned := r.strand.Load(), false
	defer func() {
		if !returned {
			r.strand.Store(below)
			s.rest()
		}
	}()
	s.work(r, en, more, p)
	returned = true
}

func (b *orderBooks) canceled(p *promise) { p.strand.(*strand).canceled() }
func (b *orderBooks) claimed(p *promise)  { p.strand.(*strand).home.started() }

// orderSpot returns the lane in which a task of a strand waits for its turn, if there are lanes and it is from outside; or
// why it can not be submitted: WithQueueDelay refuses it where it would refuse any other.
func (e *Executor) orderSpot(r *runner, ctx context.Context, en entry) (at *spot, err error) {
	if r != nil || !anyRule.Load() {
		return nil, nil
	}
	at, err = e.spotOf(en.of.parent)
	if err != nil || e.cfg.queueDelay == nil {
		return at, err
	}
	q := &e.inject
	q.mu.Lock()
	if at != nil {
		err = q.lanes.overloaded(at, en)
	} else if e.overloaded(q.delay, &q.queue, en) {
		err = ErrOverloaded
	}
	q.mu.Unlock()
	switch {
	case err == nil:
	case currentRunner(ctx).of(e) != nil: // the context does not tell, but it is a task of this executor
		err = nil
	case at != nil:
		q.lanes.countShed(at)
	}
	return at, err
}

// drop is for Close: it cancels what is queued, with the entry.
func (s *strand) drop(e *Executor, err error) bool {
	h := s.home
	h.cell.tickets.Add(-1)
	h.mu.Lock()
	s.ticket = false
	first := s.detach()
	if s.state != strandDraining {
		s.sleep()
	}
	h.mu.Unlock()
	h.cancel(first, err)
	return true
}

// stop is for Close: it cancels what waits behind a task that runs.
func (s *strand) stop(err error) {
	s.home.mu.Lock()
	first := s.detach()
	s.home.mu.Unlock()
	s.home.cancel(first, err)
}

// detach takes all tasks off the strand. Caller holds the home's lock.
func (s *strand) detach() *bead {
	first := s.head
	s.head, s.tail, s.len, s.lost = nil, nil, 0, 0
	return first
}

func (h *strandHome) cancel(first *bead, err error) {
	for b := first; b != nil; b = b.next {
		if b.fn != nil {
			h.started()
		}
		b.entry.drop(h.e, err)
	}
}
