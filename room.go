package executor

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/seed-97bda89a/executor/internal/chaos"
)

// room bounds how many tasks wait in a Serial or in all strands of a Keyed (Q2).
type room struct {
	books   *orderBooks
	used    atomic.Int64
	limit   atomic.Int64
	waiting atomic.Int32  // waiters.len
	inside  atomic.Int32  // those of them that are tasks of the same Keyed
	moved   atomic.Uint64 // counts places given back while somebody waited

	mu      sync.Mutex
	waiters waiterList
	seen    uint64 // moved, when the keeper last looked
	still   int    // looks in a row at which nothing had moved
}

// take takes a place, if there is one and nobody waits.
func (m *room) take() bool { return m.waiting.Load() == 0 && m.takeBelow(m.limit.Load()) }

func (m *room) takeBelow(limit int64) bool {
	for {
		n := m.used.Load()
		if n >= limit {
			return false
		}
		if m.used.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// give gives a place back. Somebody may wait for it.
func (m *room) give() {
	m.used.Add(-1)
	if m.waiting.Load() > 0 { // pairs with await
		m.moved.Add(1)
		m.settle(func(*waiter) verdict { return verdictWait })
	}
}

// verdict is what becomes of a waiter for whom there is no place.
type verdict int

const (
	verdictWait   verdict = iota
	verdictPass           // it is accepted beyond the limit, up to twice that
	verdictClosed         // it is refused
)

// pass accepts those beyond the limit that are tasks.
func (m *room) pass() {
	m.settle(func(w *waiter) verdict {
		if w.inTask {
			return verdictPass
		}
		return verdictWait
	})
}

// settle gives the places that there are to those who wait, in order, and does with the others what judge says.
func (m *room) settle(judge func(*waiter) verdict) {
	var done *waiter
	var ready []*strand
	m.mu.Lock()
	for w := m.waiters.first; w != nil; {
		next := w.next
		if s, settled := m.serve(w, judge(w)); settled {
			if s != nil {
				ready = append(ready, s)
			}
			m.remove(w)
			w.next, done = done, w
		}
		w = next
	}
	m.mu.Unlock()
	for _, s := range ready {
		s.launch(nil)
	}
	chaos.At(chaos.I1Granted)
	wakeAll(done)
	if done != nil {
		m.books.e.checkQuiet()
		m.breakCircle()
	}
}

// serve ends the wait of w if it can. It returns the strand to launch. Caller holds mu.
func (m *room) serve(w *waiter, v verdict) (s *strand, settled bool) {
	switch {
	case v == verdictClosed:
		w.err = ErrClosed
		return nil, true
	case m.takeBelow(m.limit.Load()), v == verdictPass && m.takeBelow(2*m.limit.Load()):
	case v == verdictPass:
		w.err = ErrQueueFull
		return nil, true
	default:
		return nil, false
	}
	if !w.order().home.enroll(w.own) {
		m.used.Add(-1)
		w.err = ErrClosed
		return nil, true
	}
	return w.order().put(), true
}

// order returns what a waiter for room in a Serial or Keyed has.
func (w *waiter) order() *orderWait { return w.of.(*orderWait) }

// orderWait is what a waiter for room in a Serial or Keyed has beside others.
type orderWait struct {
	home *strandHome
	put  func() *strand // queues the task and returns the strand to launch, or nil
	from *strand        // of the same Keyed, whose task waits, or nil
}

// enterLate is enter for a task that waits for room or is refused, with all that follows: put queues the task. same tells
// the strand that it is for.
func (h *strandHome) enterLate(r *runner, ctx context.Context, same func(*strand) bool, wait bool, put func() *strand) error {
	m, e := h.room, h.e
	caller := r
	if r == nil {
		caller = currentRunner(ctx)
		if err := error(nil); e.asTask(caller, func() { err = h.enterLate(nil, ctx, same, wait, put) }) {
			return err
		}
		r = e.own(caller)
	}
	switch {
	case e.refuses(r != nil):
		return ErrClosed
	case wait && caller.drains(same):
		return ErrSelfWait
	}
	if wait {
		e.meet(caller, "waiting for room")
	}
	w := &waiter{caller: caller, own: r != nil, inTask: caller != nil, ready: make(chan struct{}), of: &orderWait{home: h, put: put}}
	if !wait {
		return m.try(w)
	}
	if caller != nil {
		for o := caller.strand.Load(); o != nil; o = o.below.Load() {
			if s := o.strand(); s.home.room == m {
				w.order().from = s
			}
		}
	}
	caller.lendFor(e, func() { m.await(ctx, w) })
	return w.err
}

// try is for who does not wait.
func (m *room) try(w *waiter) error {
	if m.waiting.Load() > 0 {
		return ErrQueueFull
	}
	m.mu.Lock()
	s, settled := m.serve(w, verdictWait)
	m.mu.Unlock()
	switch {
	case !settled:
		return ErrQueueFull
	case s != nil:
		s.launch(nil)
	}
	if w.err != nil {
		m.books.e.checkQuiet()
	}
	return w.err
}

// await waits until w is settled or ctx is done. The slot of a task is lent.
func (m *room) await(ctx context.Context, w *waiter) {
	b := m.books
	m.mu.Lock()
	b.held.Add(1)
	m.waiters.push(w)
	m.waiting.Store(int32(m.waiters.len))
	if w.order().from != nil {
		m.inside.Add(1)
	}
	b.mu.Lock()
	b.rooms[m] = struct{}{}
	b.mu.Unlock()
	m.mu.Unlock()
	chaos.At(chaos.I1Waits)
	m.settle(func(o *waiter) verdict { // look again: room (pairs with give), the end (with refuse)
		if b.e.refuses(o.own) {
			return verdictClosed
		}
		return verdictWait
	})
	m.breakCircle()
	if w.own {
		b.relieve()
		b.e.attend() // the keeper notices when nothing moves
	}
	if ctx.Done() == nil {
		<-w.ready
		return
	}
	select {
	case <-w.ready:
	case <-ctx.Done():
		chaos.At(chaos.I1Leaves)
		m.mu.Lock()
		left := w.listed
		if left {
			m.remove(w)
		}
		m.mu.Unlock()
		if !left {
			<-w.ready
			return
		}
		w.err = errorOf(ctx)
		b.e.checkQuiet()
	}
}

// remove takes w off the list. Caller holds mu.
func (m *room) remove(w *waiter) {
	b := m.books
	m.waiters.remove(w)
	m.waiting.Store(int32(m.waiters.len))
	b.held.Add(-1)
	if w.order().from != nil {
		m.inside.Add(-1)
	}
	if m.waiters.len == 0 {
		b.mu.Lock()
		delete(b.rooms, m)
		b.mu.Unlock()
	}
}

// breakCircle refuses the last task that waits for room in its own Keyed if every place is taken by tasks behind such
// tasks: nobody would ever give one back. It is called whenever that may have come to be: after somebody began to
// wait, and after a task was queued.
func (m *room) breakCircle() {
	if m.inside.Load() == 0 {
		return
	}
	m.mu.Lock()
	behind, last := int64(0), (*waiter)(nil)
	seen := make(map[*strand]bool)
	for w := m.waiters.first; w != nil; w = w.next {
		s := w.order().from
		if s == nil {
			continue
		}
		last = w
		if !seen[s] {
			seen[s] = true
			s.home.mu.Lock()
			behind += int64(s.len - max(0, s.lost))
			s.home.mu.Unlock()
		}
	}
	if last == nil || behind < m.used.Load() {
		m.mu.Unlock()
		return
	}
	last.err = ErrSelfWait
	m.remove(last)
	m.mu.Unlock()
	wakeAll(last)
}

// refuses reports whether the executor takes no more tasks, of its own tasks or of others.
func (e *Executor) refuses(own bool) bool {
	word := e.word.Load()
	return word&stopping != 0 || word&draining != 0 && !own
}
