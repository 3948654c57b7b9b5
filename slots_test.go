package executor

import (
	"context"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor/internal/seam"
	"github.com/seed-97bda89a/executor/internal/testkit"
	"github.com/stretchr/testify/require"
)

// Who has a slot: how slots and credits pass from runner to runner, and what becomes of runners without.

// newPool makes an executor that ends with the test, and is then checked.
func newPool(t *testing.T, opts ...Option) *Executor {
	t.Helper()
	e, err := New(opts...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	return e
}

// runAtOnce runs n tasks at once, so that there are n runners, and waits until they are all parked.
func runAtOnce(t *testing.T, e *Executor, n int) {
	t.Helper()
	var all sync.WaitGroup
	all.Add(n)
	for range n {
		require.NoError(t, e.Go(context.Background(), func(context.Context) { all.Done(); all.Wait() }))
	}
	all.Wait()
	testkit.Eventually(t, "the runners park", func() bool { return e.Stats().Parked == n })
}

// parkedRunners lists them.
func parkedRunners(e *Executor) (all []*runner) {
	e.idle.mu.Lock()
	defer e.idle.mu.Unlock()
	for r := e.idle.parked.top; r != nil; r = r.next {
		all = append(all, r)
	}
	return all
}

// Each resize once left two frames on the stack of a sleeper. Mutants: sleep calls park for an empty token; nobody
// ends runners beyond the slots that sleep without a timer.
func TestSlots_ResizingLeavesSleepersAlone(t *testing.T) {
	e := newPool(t, WithSlots(2), WithKeepAlive(time.Hour))
	runAtOnce(t, e, 2)
	for range 50 {
		require.NoError(t, e.Resize(1))
		require.NoError(t, e.Resize(2))
	}
	require.Len(t, parkedRunners(e), 2)
	for _, r := range parkedRunners(e) {
		require.Equal(t, 1, strings.Count(stackOf(r.goid.Load()), ".(*runner).park("))
	}
	require.NoError(t, e.Resize(1))
	e.thin() // the hour is over
	require.Len(t, parkedRunners(e), 1)
	require.Equal(t, 1, e.Stats().Workers)
	require.NoError(t, e.Go(context.Background(), func(context.Context) {}))
	require.NoError(t, e.Quiesce(context.Background()))
}

// With 8 slots at most and no spares, resizing beside tiny tasks led to 113 runners. Mutants: a runner is woken without a
// slot; a retired slot leaves before its runner is listed as parked.
func TestSlots_ResizingStartsNoMoreRunnersThanSlots(t *testing.T) {
	const most = 8
	e := newPool(t, WithSlots(most), WithMaxSpares(0), WithKeepAlive(0), WithQueueLimit(256))
	stop := make(chan struct{})
	var others sync.WaitGroup
	for range 2 {
		others.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					_ = e.Go(context.Background(), func(context.Context) {})
				}
			}
		})
	}
	for i := range 4000 {
		require.NoError(t, e.Resize(i*5%most+1))
		e.idle.mu.Lock()
		live := e.idle.live
		e.idle.mu.Unlock()
		require.LessOrEqual(t, live, most)
	}
	close(stop)
	others.Wait()
	require.NoError(t, e.Quiesce(context.Background()))
}

// Two tasks come back from Blocking while others have their slots, each gets a slot back as a gift in the middle of what
// it does, and blocks without a mark. Once that was invisible: every slot was held by such a task, no slot was lent, and
// the executor stood still. Mutants: look goes by what the runner has adopted (r.slot); repay does not set held.
func TestSlots_AGiftIsSeenByStallDetection(t *testing.T) {
	if seam.Tickless {
		t.Skip("blocking that nobody marks is noticed by the keeper's ticks")
	}
	e := newPool(t, WithSlots(2))
	bg, unmarked := context.Background(), make(chan struct{})
	var in, back, isBack, started, end [2]chan struct{}
	for i := range 2 {
		for _, c := range []*[2]chan struct{}{&in, &back, &isBack, &started, &end} {
			c[i] = make(chan struct{})
		}
		require.NoError(t, e.Go(bg, func(ctx context.Context) {
			Blocking(ctx, func() { close(in[i]); <-back[i] })
			close(isBack[i])
			<-unmarked
		}))
		<-in[i]
	}
	for i := range 2 {
		require.NoError(t, e.Go(bg, func(context.Context) { close(started[i]); <-end[i] }))
		<-started[i]
	}
	for i := range 2 { // each gets the other one's slot
		close(back[i])
		<-isBack[i]
		close(end[1-i])
		testkit.Eventually(t, "a runner parks", func() bool { return e.Stats().Parked > i })
	}
	owners := make(map[*runner]bool)
	for s := range e.slots.Load().all() {
		require.NotNil(t, s.owner(), "a slot that is held by a task that blocks says so")
		owners[s.owner()] = true
	}
	require.Len(t, owners, 2)
	require.NoError(t, e.Go(bg, func(context.Context) { close(unmarked) }))
	<-unmarked
}

// When 8,000 loans ended, each drop copied what was left of the list: 266 MB. And a list that changes in place must not hide
// a slot from those who read it meanwhile. Mutants: each drop copies; the cell of the slot that moved is cleared; the slot
// that moved does not know where to.
func TestSlots_LoansEndByTheThousand(t *testing.T) {
	const n, stay = 8000, 10
	e := newPool(t, WithSlots(stay), WithMaxSpares(n), WithStallDetection(false))
	own := slices.Collect(e.slots.Load().all())
	lent := make([]*slot, n)
	for i := range lent {
		lent[i] = &slot{loan: &loan{}}
	}
	all := slices.Concat(own[:stay/2], lent, own[stay/2:])
	rand.Shuffle(n, func(i, j int) { lent[i], lent[j] = lent[j], lent[i] })
	e.idle.mu.Lock()
	e.setSlots(all)
	e.idle.lent += n
	e.idle.mu.Unlock()

	stop := make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() {
		for !closed(stop) {
			seen := make(map[*slot]bool)
			for s := range e.slots.Load().all() {
				seen[s] = true
			}
			for _, s := range own {
				if !seen[s] {
					t.Error("a slot that stays was not seen")
					return
				}
			}
		}
	})
	for i, s := range lent {
		e.idle.mu.Lock()
		e.dropSlot(s)
		e.idle.mu.Unlock()
		if i%64 == 0 {
			runtime.Gosched()
		}
	}
	close(stop)
	reader.Wait()
	require.ElementsMatch(t, own, slices.Collect(e.slots.Load().all()))
	require.NoError(t, settled(e, patience))

	e.idle.mu.Lock()
	defer e.idle.mu.Unlock()
	e.setSlots(all)
	e.idle.lent += n
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, s := range lent {
		e.dropSlot(s)
	}
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(8<<20))
}

// A task has come back without a slot, a resize makes one free, and another runner comes to the end of its task: it repays the debt
// with the free slot, keeps its own, and gives the credit back that nobody needs any more. Mutant: it keeps the
// credit. That it gives its own slot, and parks, would do no harm but to its deque.
func TestSlots_AFreeSlotRepaysADebt(t *testing.T) {
	e := newPool(t, WithSlots(1), WithMaxSpares(1), WithStallDetection(false))
	in, back, isBack, leave, started, end := make(chan struct{}), make(chan struct{}), make(chan struct{}), make(chan struct{}), make(chan struct{}), make(chan struct{})
	require.NoError(t, e.Go(context.Background(), func(ctx context.Context) {
		Blocking(ctx, func() { close(in); <-back })
		close(isBack)
		<-leave
	}))
	<-in
	require.NoError(t, e.Go(context.Background(), func(context.Context) { close(started); <-end }))
	<-started
	close(back)
	<-isBack
	require.NoError(t, e.Resize(2))
	close(end)
	testkit.Eventually(t, "the debt is repaid", func() bool { return e.word.Load()&debt == 0 && e.Stats().Parked == 1 })
	require.True(t, e.credits.TryAcquire(1), "nobody is beyond the slots")
	e.credits.Release(1)
	close(leave)
	require.NoError(t, e.Quiesce(context.Background()))
	require.NoError(t, settled(e, patience))
}

// Whatever is queued anywhere is started within a bounded number of picks by others (P6). The tests count later tasks
// that were started first.

// flood keeps the queue full of later tasks until stop is called. started counts them.
func flood(t *testing.T, e *Executor, started *atomic.Int64) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var producers sync.WaitGroup
	for range 2 {
		producers.Go(func() {
			for e.Go(ctx, func(context.Context) { started.Add(1) }) == nil {
			}
		})
	}
	return func() { cancel(); producers.Wait() }
}

// completed tells how many tasks each runner has run. A runner that comes later has run none.
func completed(e *Executor) map[*runner]uint64 {
	all := make(map[*runner]uint64)
	e.registry.mu.Lock()
	defer e.registry.mu.Unlock()
	for r := e.registry.first; r != nil; r = r.sibling {
		all[r] = r.count.completed.Load()
	}
	return all
}

// The owner of a deque blocks and never looks at it again; nothing can be lent. Mutants: nobody visits other deques; the
// visitor looks at the same one each time; a visit takes the newest task, not the oldest.
func TestSteal_TheChildrenOfATaskThatBlocksAreNotForgotten(t *testing.T) {
	for _, slots := range []int{2, 8} {
		const children = 5
		e := newPool(t, WithSlots(slots), WithMaxSpares(0), WithStallDetection(false), WithQueueLimit(256))
		var later atomic.Int64
		var at, most [children]uint64 // how many tasks its runner had run; how many it may have since
		var by [children]*runner
		var before map[*runner]uint64
		started := make(chan struct{})
		blocked := make(chan struct{})
		var all sync.WaitGroup
		all.Add(children)
		stop := flood(t, e, &later)
		require.NoError(t, e.Go(context.Background(), func(ctx context.Context) {
			for i := range children {
				depth := currentRunner(ctx).slot.len() + 1 // the rest of its batch lies below them
				most[i] = uint64((fairness + 1) * slots * (depth + 1))
				_ = e.Go(ctx, func(ctx context.Context) {
					by[i] = currentRunner(ctx)
					at[i] = by[i].count.completed.Load()
					all.Done()
				})
			}
			before = completed(e) // only now: this goroutine may be kept from a processor while it submits
			close(started)
			<-blocked // not marked
		}))
		<-started
		all.Wait()
		stop()
		close(blocked)
		for i := range children { // the runner that took it looks here at every slots-th visit
			n := max(at[i], before[by[i]]) - before[by[i]]
			t.Logf("%d slots: child %d came after %d picks, at most %d", slots, i, n, most[i])
			require.LessOrEqual(t, n, most[i])
		}
	}
}

// With one slot the only ones who pick are the runners of lent slots. On one slot of 1,000 tasks the one that lay behind
// two that blocked was overtaken by 994; now by 4, if nobody is kept from a processor. Mutants: a lent slot begins with the
// injector; it looks behind its lender only; it looks at the others first; who steals runs the newest first.
func TestSteal_ALentSlotBeginsBehindItsLender(t *testing.T) {
	e := newPool(t, WithSlots(3), WithStallDetection(false))
	var ran []string
	fill := func(s *slot, names ...string) {
		for _, en := range labeled(&ran, names...) {
			s.push(en)
		}
	}
	slots := slices.Collect(e.slots.Load().all())
	lender, r := newRunner(e), newRunner(e) // they have no goroutines: nothing runs but what the test runs
	lender.adopt(slots[0])
	r.picks.fair = fairness
	r.adopt(&slot{loan: &loan{lender: lender}})
	e.setSlots(append(slices.Clone(slots), r.slot))
	t.Cleanup(func() { e.setSlots(slots) })

	fill(slots[0], "a", "b", "c", "d", "e", "f", "g")
	fill(slots[2], "h", "i", "j")
	for _, en := range labeled(&ran, "q", "q") {
		e.inject.queue.push(en)
		e.inject.used++
	}
	e.inject.filled.Store(true)
	e.word.Add(oneSearching) // so that nobody else is woken
	for {
		en, ok := r.pick()
		if !ok {
			break
		}
		en.fn(context.Background())
	}
	require.Equal(t, []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "q", "q"}, ran)
	e.word.Add(^uint64(oneSearching - 1))
	r.release()
	lender.release()
}

// A retired slot goes when its task ends, and leaves no credit behind: its runner never had one (B5). Mutants: a credit comes back
// for each slot that goes, or for none, loans included; a retired slot becomes free.
func TestSlots_ARetiredSlotGoes(t *testing.T) {
	e := newPool(t, WithSlots(3), WithMaxSpares(1), WithStallDetection(false))
	for range 3 {
		var started sync.WaitGroup
		started.Add(3)
		leave := make(chan struct{})
		for range 3 {
			require.NoError(t, e.Go(context.Background(), func(context.Context) { started.Done(); <-leave }))
		}
		started.Wait()
		require.NoError(t, e.Resize(1))
		close(leave)
		require.NoError(t, settled(e, patience)) // slots, runners, credits
		require.Len(t, *e.slots.Load(), 1)
		require.NoError(t, e.Resize(3))
	}
	e.idle.mu.Lock()
	defer e.idle.mu.Unlock()
	for _, c := range []struct {
		s      *slot
		credit bool
	}{{&slot{loan: &loan{lender: newRunner(e)}}, true}, {&slot{}, false}} {
		before := slices.Collect(e.slots.Load().all())
		c.s.retire.Store(!c.credit)
		e.setSlots(append(slices.Clone(before), c.s))
		require.Equal(t, c.credit, e.giveBack(c.s), "a loan has one")
		require.Equal(t, before, slices.Collect(e.slots.Load().all()))
	}
	e.idle.lent = 0
}
