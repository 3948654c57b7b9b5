package executor

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/seed-97bda89a/executor/internal/testkit"
	"github.com/stretchr/testify/require"
)

// The books of a group, step by step: every sequence of up to bookSteps events, for small limits and backlogs,
// against what must hold (G1 to G4). A mutant is a set of rules that differ from the books' own in one place.

const bookSteps = 6

type bookRules struct {
	place func(b *groupBooks, member, wait bool) placement
	end   func(b *groupBooks, t *groupTask, accept func(*waiter) bool) (*groupTask, *waiter)
}

var bookRulesRight = bookRules{(*groupBooks).place, (*groupBooks).end}

// The events. Those that end, end the oldest or the newest of the tasks that run.
const (
	bookGo        = iota // from outside
	bookGoMember         // of the oldest task that runs
	bookTryGo            // from outside
	bookEndOldest        // of the tasks that run
	bookEndNewest        //
	bookLeave            // the newest caller that waits
	bookClose            // from now on, no caller that waits is accepted
	bookEvents
)

// bookRun is a group, seen from outside.
type bookRun struct {
	rules   bookRules
	b       groupBooks
	running []*groupTask // oldest first
	guests  int          // those of running that run in place
	order   []*groupTask // held ones and those whose callers wait, in order of arrival
	waiters map[*groupTask]*waiter
	closed  bool
	started int
	wrong   string
}

func (x *bookRun) fail(format string, args ...any) {
	if x.wrong == "" {
		x.wrong = fmt.Sprintf(format, args...)
	}
}

// add is a call of Go or TryGo.
func (x *bookRun) add(member, wait bool) {
	t := &groupTask{}
	switch place := x.rules.place(&x.b, member, wait); place {
	case placeRefused:
		if wait {
			x.fail("G2: Go is refused")
		}
		return
	case placeWait:
		if member {
			x.fail("G2: a task of the group waits with a permit in its hands")
		}
		w := &waiter{of: t}
		x.waiters[t] = w
		x.b.waiting.push(w)
		x.order = append(x.order, t)
	case placeHeld:
		x.b.enter(t, place)
		x.order = append(x.order, t)
	default:
		if place == placeStart && len(x.order) > 0 {
			x.fail("G4: a new task starts before those that are held")
		}
		if place == placeInPlace {
			x.guests++
		}
		x.b.enter(t, place)
		x.running = append(x.running, t)
		x.started++
	}
}

func (x *bookRun) endOf(i int) {
	t := x.running[i]
	if !t.permit && x.b.limit > 0 {
		x.guests--
	}
	x.running = slices.Delete(x.running, i, i+1)
	next, served := x.rules.end(&x.b, t, func(w *waiter) bool { return !x.closed })
	for w := served; w != nil; w = w.next {
		if delete(x.waiters, w.task()); x.closed {
			x.order = slices.DeleteFunc(x.order, func(t *groupTask) bool { return t == w.task() })
		}
	}
	if next == nil {
		return
	}
	if len(x.order) == 0 || x.order[0] != next {
		x.fail("G4: not the first in line starts")
		return
	}
	x.order = x.order[1:]
	x.running = append(x.running, next)
	x.started++
}

func (x *bookRun) do(event int) (possible bool) {
	switch event {
	case bookGo:
		x.add(false, true)
	case bookTryGo:
		x.add(false, false)
	case bookGoMember:
		if len(x.running) == 0 {
			return false
		}
		x.add(x.b.limit > 0, true)
	case bookEndOldest, bookEndNewest:
		i := 0
		if event == bookEndNewest {
			i = len(x.running) - 1
		}
		if len(x.running) == 0 || event == bookEndNewest && i == 0 {
			return false
		}
		x.endOf(i)
	case bookLeave:
		w := x.b.waiting.last
		if w == nil {
			return false
		}
		x.b.waiting.remove(w)
		delete(x.waiters, w.task())
		x.order = slices.DeleteFunc(x.order, func(t *groupTask) bool { return t == w.task() })
	case bookClose:
		if x.closed {
			return false
		}
		x.closed = true
	}
	x.check()
	return true
}

func (x *bookRun) check() {
	b := &x.b
	lined := b.held.len + b.waiting.len
	switch {
	case lined > 0 && b.permits != b.limit:
		x.fail("G1: %d held, %d wait, and %d permits of %d are taken", b.held.len, b.waiting.len, b.permits, b.limit)
	case b.limit > 0 && b.permits > b.limit:
		x.fail("G2: %d permits of %d", b.permits, b.limit)
	case b.limit > 0 && len(x.running)-x.guests > b.limit:
		x.fail("G2: %d tasks with a permit run, the limit is %d", len(x.running)-x.guests, b.limit)
	case b.held.len > b.backlog:
		x.fail("G2: %d held, the backlog is %d", b.held.len, b.backlog)
	case b.waiting.len > 0 && b.held.len < b.backlog:
		x.fail("G2: somebody waits beside a place in the backlog")
	case b.active != len(x.running)+b.held.len:
		x.fail("G3: %d active, %d run and %d are held", b.active, len(x.running), b.held.len)
	case lined != len(x.order) || b.waiting.len != len(x.waiters):
		x.fail("G3: %d in line, known are %d", lined, len(x.order))
	case b.limit > 0 && len(x.running) == 0 && b.permits != 0:
		x.fail("G1: %d permits are lost", b.permits)
	}
}

// exploreBooks tries every sequence and returns what is wrong with the first bad one.
func exploreBooks(rules bookRules) (sequences int, wrong string) {
	for _, limit := range []int{1, 2, -1} {
		for _, backlog := range []int{0, 1, 2} {
			var try func(events []int) string
			try = func(events []int) string {
				x := &bookRun{rules: rules, b: groupBooks{limit: limit, backlog: backlog}, waiters: map[*groupTask]*waiter{}}
				for i, event := range events {
					if !x.do(event) {
						return ""
					}
					if x.wrong != "" {
						return fmt.Sprintf("limit %d, backlog %d, events %v: %s", limit, backlog, events[:i+1], x.wrong)
					}
				}
				sequences++
				if len(events) < bookSteps {
					for event := range bookEvents {
						if wrong := try(append(events[:len(events):len(events)], event)); wrong != "" {
							return wrong
						}
					}
				}
				for x.wrong == "" && len(x.running) > 0 { // to the end
					x.endOf(0)
					x.check()
				}
				if x.wrong == "" && (x.b.active != 0 || len(x.order) > 0) {
					x.fail("G1: %d tasks never end", x.b.active)
				}
				if x.wrong != "" {
					return fmt.Sprintf("limit %d, backlog %d, events %v, and the end: %s", limit, backlog, events, x.wrong)
				}
				return ""
			}
			if wrong := try(nil); wrong != "" {
				return sequences, wrong
			}
		}
	}
	return sequences, ""
}

func TestGroupBooks_KeepG1ToG4(t *testing.T) {
	n, wrong := exploreBooks(bookRulesRight)
	require.Empty(t, wrong)
	t.Logf("%d sequences", n)
}

func TestGroupBooks_FindsMutants(t *testing.T) {
	place, end := bookRulesRight.place, bookRulesRight.end
	mutants := map[string]bookRules{
		"a permit beyond the limit": {place: func(b *groupBooks, member, wait bool) placement {
			if b.permits == b.limit {
				return placeStart
			}
			return place(b, member, wait)
		}},
		"one more than the backlog": {place: func(b *groupBooks, member, wait bool) placement {
			if v := place(b, member, wait); v != placeWait || b.held.len > b.backlog {
				return v
			}
			return placeHeld
		}},
		"no backlog at all": {place: func(b *groupBooks, member, wait bool) placement {
			if v := place(b, member, wait); v != placeHeld {
				return v
			}
			return placeRefused
		}},
		"a task of the group waits": {place: func(b *groupBooks, member, wait bool) placement {
			return place(b, false, wait)
		}},
		"anybody runs it in place": {place: func(b *groupBooks, member, wait bool) placement {
			if v := place(b, member, wait); v != placeWait {
				return v
			}
			return placeStart
		}},
		"held back beside a free permit": {place: func(b *groupBooks, member, wait bool) placement {
			if b.permits > 0 && b.permits < b.limit && b.held.len < b.backlog {
				return placeHeld
			}
			return place(b, member, wait)
		}},
		"the permit is given back and passed on": {end: func(b *groupBooks, t *groupTask, accept func(*waiter) bool) (*groupTask, *waiter) {
			next, served := end(b, t, accept)
			if next != nil {
				b.permits--
			}
			return next, served
		}},
		"a permit is not given back": {end: func(b *groupBooks, t *groupTask, accept func(*waiter) bool) (*groupTask, *waiter) {
			had := t.permit
			next, served := end(b, t, accept)
			if had && next == nil {
				b.permits++
			}
			return next, served
		}},
		"what ran in place gives a permit back": {end: func(b *groupBooks, t *groupTask, accept func(*waiter) bool) (*groupTask, *waiter) {
			t.permit = b.limit > 0
			return end(b, t, accept)
		}},
		"the one that gets the permit does not know": {end: func(b *groupBooks, t *groupTask, accept func(*waiter) bool) (*groupTask, *waiter) {
			next, served := end(b, t, accept)
			if next != nil {
				next.permit = false
			}
			return next, served
		}},
		"the newest held one starts": {end: func(b *groupBooks, t *groupTask, accept func(*waiter) bool) (*groupTask, *waiter) {
			if last := b.held.last; last != nil && last != b.held.first {
				b.held.remove(last)
				first := b.held.pop()
				b.held.push(last)
				b.held.push(first)
			}
			return end(b, t, accept)
		}},
		"nobody who waits moves up": {end: func(b *groupBooks, t *groupTask, accept func(*waiter) bool) (*groupTask, *waiter) {
			waiting := b.waiting
			b.waiting = waiterList{}
			next, served := end(b, t, accept)
			b.waiting = waiting
			return next, served
		}},
		"the newest who waits moves up": {end: func(b *groupBooks, t *groupTask, accept func(*waiter) bool) (*groupTask, *waiter) {
			if w := b.waiting.first; b.waiting.len > 1 {
				b.waiting.remove(w)
				b.waiting.push(w)
			}
			return end(b, t, accept)
		}},
		"who is refused is accepted all the same": {end: func(b *groupBooks, t *groupTask, accept func(*waiter) bool) (*groupTask, *waiter) {
			return end(b, t, func(*waiter) bool { return true })
		}},
		"who is refused stays active": {end: func(b *groupBooks, t *groupTask, accept func(*waiter) bool) (*groupTask, *waiter) {
			return end(b, t, func(w *waiter) bool {
				if !accept(w) {
					b.active++
					return false
				}
				return true
			})
		}},
		"an end is not counted": {end: func(b *groupBooks, t *groupTask, accept func(*waiter) bool) (*groupTask, *waiter) {
			b.active++
			return end(b, t, accept)
		}},
	}
	for name, rules := range mutants {
		if rules.place == nil {
			rules.place = place
		}
		if rules.end == nil {
			rules.end = end
		}
		_, wrong := exploreBooks(rules)
		require.NotEmpty(t, wrong, "%s: nothing is wrong with this mutant; what is checked is too weak", name)
		t.Logf("%-45s %s", name, wrong)
	}
}

// Mutant: a refused TryGo leaves its round open, and with it a child on the context given to NewGroup.
func TestGroup_ARefusedTryGoOpensNoRound(t *testing.T) {
	e, err := New(WithSlots(1), WithQueueLimit(1), WithStallDetection(false))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	g := e.NewGroup(ctx)
	release, in := make(chan struct{}), make(chan struct{})
	require.NoError(t, e.Go(context.Background(), func(context.Context) { close(in); <-release }))
	<-in
	require.NoError(t, e.Go(context.Background(), func(context.Context) {}))
	for range 10 {
		require.False(t, g.TryGo(func(context.Context) error { return nil }))
		require.Nil(t, g.round)
	}
	close(release)
	require.NoError(t, e.Quiesce(context.Background()))
	require.True(t, g.TryGo(func(context.Context) error { return nil }))
	require.NoError(t, g.Wait())
	require.Nil(t, g.round)
	cancel()
	require.False(t, g.TryGo(func(context.Context) error { return nil }))
	require.Nil(t, g.round)
	require.NoError(t, g.Wait())
	require.NoError(t, e.Close())
}

// Mutant: a task of a group with a limit waits for room, with the permit of its child in its hands, until the keeper finds that
// the queue stands still.
func TestGroup_ATaskOfALimitedGroupNeverWaitsForRoom(t *testing.T) {
	e, err := New(WithSlots(2), WithQueueLimit(2), WithMaxSpares(4), WithStallDetection(false))
	require.NoError(t, err)
	release, in := make(chan struct{}), make(chan struct{})
	require.NoError(t, e.Go(context.Background(), func(context.Context) { close(in); <-release }))
	<-in
	g := e.NewGroup(context.Background())
	g.SetLimit(4)
	full, added := make(chan struct{}), make(chan bool)
	g.Go(func(ctx context.Context) error {
		Blocking(ctx, func() { // the own deque is out of reach
			full <- struct{}{}
			<-full
			g.Go(func(context.Context) error { return nil })
			g.Go(func(context.Context) error { return nil })
			e.inject.mu.Lock()
			added <- e.inject.stood == 0
			e.inject.mu.Unlock()
		})
		return nil
	})
	<-full
	stop := make(chan struct{}) // what takes the slot that is lent
	require.NoError(t, e.Go(context.Background(), func(context.Context) { <-stop }))
	testkit.Eventually(t, "the slot that is lent has a task", func() bool { return e.Stats().Queued == 0 })
	for e.TryGo(context.Background(), func(context.Context) {}) == nil {
	}
	full <- struct{}{}
	require.True(t, <-added, "Go waited until the queue stood still")
	close(stop)
	close(release)
	require.NoError(t, g.Wait())
	require.NoError(t, e.Shutdown(context.Background()))
}
