package executor

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// busy is an executor whose only slot is held by a task until free is called, at the latest at the end.
func busy(t *testing.T, opts ...Option) (e *Executor, free func()) {
	t.Helper()
	e = newTested(t, append([]Option{WithSlots(1), WithMaxSpares(0), WithStallDetection(false)}, opts...)...)
	started, gate := make(chan struct{}), make(chan struct{})
	require.NoError(t, e.Go(context.Background(), func(context.Context) { close(started); <-gate }))
	<-started
	free = sync.OnceFunc(func() { close(gate) })
	t.Cleanup(free)
	return e, free
}

// canceled leaves a dead entry in the queue.
func canceled(t *testing.T, e *Executor) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	f, err := Submit(ctx, e, func(context.Context) (int, error) { return 0, nil })
	require.NoError(t, err)
	done := f.Done()
	cancel()
	<-done
}

// TestClose_TakesDeadEntriesOffTheirCount: found by FuzzTree.
func TestClose_TakesDeadEntriesOffTheirCount(t *testing.T) {
	e, free := busy(t)
	canceled(t, e)
	require.EqualValues(t, 1, e.inject.dead.Load())
	e.stop()
	require.Zero(t, e.inject.dead.Load())
	free()
}

// TestShutdown_LeavesNothingInTheQueue: found by FuzzTree and TestSoak. The last task may be canceled, and leave a
// dead entry, when no runner is going to look any more; and a runner that ends by Goexit does not park again.
func TestShutdown_LeavesNothingInTheQueue(t *testing.T) {
	e := newTested(t)
	q := &e.inject
	q.originOf(context.WithValue(context.Background(), treeKey{}, 1))
	last := newNumbered(0)
	last.gone = true
	q.mu.Lock()
	q.queue.push(entry{of: &last.origin})
	q.used++
	q.dead.Add(1)
	q.unlock()
	require.NoError(t, e.Shutdown(context.Background()))
	require.NoError(t, validate(e))
}

// Entries that a filter keeps are not pushed again: the age of a queue goes by how many ever were.
//
// Mutant: a filter that counts as pops and pushes.
func TestFifo_AFilterPushesNothing(t *testing.T) {
	var q fifo
	for range 3 * chunkCap {
		q.push(entry{})
	}
	n := 0
	q.filter(func(entry) bool { n++; return n%2 == 0 })
	require.EqualValues(t, 3*chunkCap, q.pushed)
	require.Equal(t, 3*chunkCap/2, q.len)
}

// The age of a real queue: behind a task that does not end.
func TestAge_OfAQueueThatStands(t *testing.T) {
	e := newMeasured(t, WithStallDetection(false))
	start := time.Now()
	running, release := make(chan struct{}), make(chan struct{})
	require.NoError(t, e.Go(t.Context(), func(ctx context.Context) { close(running); <-release }))
	<-running
	require.Zero(t, e.Stats().OldestAge)
	for range 3 {
		require.NoError(t, e.Go(t.Context(), func(context.Context) {}))
	}
	for e.Stats().OldestAge < 50*time.Millisecond {
		require.Less(t, time.Since(start), patience)
		time.Sleep(time.Millisecond)
	}
	require.LessOrEqual(t, e.Stats().OldestAge, time.Since(start))
	close(release)
	require.NoError(t, e.Quiesce(t.Context()))
	require.Zero(t, e.Stats().OldestAge)
}

// labeled makes tasks that say who they are, for tests of the queue without runners.
func labeled(ran *[]string, names ...string) (all []entry) {
	for _, name := range names {
		all = append(all, entry{fn: func(context.Context) { *ran = append(*ran, name) }, of: &origin{}})
	}
	return all
}

// takeAll takes from the injector until it is empty, and tells what came in which order, and in which batches.
func takeAll(q *injector, ran *[]string, most int) (batches []int) {
	var d deque
	for {
		first, ok, _ := q.take(&d, most, 1)
		if !ok {
			return batches
		}
		batches = append(batches, 1+d.len())
		for en := first; ok; en, ok = d.popHead() {
			if en.fn == nil {
				*ran = append(*ran, "yielded")
				continue
			}
			en.fn(context.Background())
		}
	}
}

// What was in the deque of a slot that went is served in turns with the queue: it is not overtaken by the whole queue, nor
// by what comes back later, and does not hold up the queue. Mutants: it goes to the end of the queue; it goes first
// until there is none; it is taken in batches, and may so have to come back again.
func TestInject_WhatASlotLeavesIsServedInTurns(t *testing.T) {
	var ran []string
	q := &injector{limit: 100}
	for _, en := range labeled(&ran, "q0", "q1", "q2", "q3") {
		require.True(t, q.offer(en))
	}
	d := &deque{}
	for _, en := range labeled(&ran, "a", "b", "c") {
		d.push(en)
	}
	q.empty(d)
	require.Zero(t, d.len())
	require.Equal(t, 7, q.used)
	require.Equal(t, []int{1, 1, 1, 1, 1, 1, 1}, takeAll(q, &ran, 1))
	require.Equal(t, []string{"a", "q0", "b", "q1", "c", "q2", "q3"}, ran)
	require.Zero(t, q.used)
	require.False(t, q.filled.Load())

	ran, q = nil, &injector{limit: 100}
	for _, en := range labeled(&ran, "q0", "q1", "q2", "q3") {
		require.True(t, q.offer(en))
	}
	for _, en := range labeled(&ran, "a", "b", "c") {
		d.push(en)
	}
	q.empty(d)
	require.Equal(t, []int{1, 4, 1, 1}, takeAll(q, &ran, 8), "never in a batch")
	require.Equal(t, []string{"a", "q0", "q1", "q2", "q3", "b", "c"}, ran)
	require.Zero(t, q.used)
}

// One yielded runner in the queue does not make everybody take tasks one by one; it has its turn after what was there
// when it yielded, and before what came later. Mutants: batches end when somebody has yielded; they reach beyond its turn;
// its turn comes at once, or last; it counts within the bound.
func TestInject_AYieldedRunnerKeepsItsTurn(t *testing.T) {
	var ran []string
	q := &injector{limit: 100}
	push := func(names ...string) {
		for _, en := range labeled(&ran, names...) {
			require.True(t, q.offer(en))
		}
	}
	first, second := newResume(nil), newResume(nil)
	push("q0", "q1", "q2")
	q.addResume(first)
	push("q3", "q4")
	q.addResume(second)
	push("q5")
	require.Equal(t, 6, q.used)
	require.Nil(t, q.takeOldestResume(), "three are older")
	require.Equal(t, []int{3, 1, 2, 1, 1}, takeAll(q, &ran, 8))
	require.Equal(t, []string{"q0", "q1", "q2", "yielded", "q3", "q4", "yielded", "q5"}, ran)
	require.Zero(t, q.used)
	require.False(t, q.filled.Load())

	// Out of turn, and back in front: the retaker was too late.
	push("q0")
	q.addResume(first)
	q.addResume(second)
	require.Same(t, first, q.takeResume())
	q.putBack(first)
	require.Equal(t, 2, q.yields.len)
	require.Same(t, first, q.takeResume())
	require.Same(t, second, q.takeResume())
	require.Nil(t, q.takeResume())
	q.putBack(second)
	q.addResume(first)
	require.Same(t, second, q.yields.first)
	_, _, _ = q.take(&deque{}, 1, 1)
	require.Same(t, second, q.takeOldestResume())
	require.Same(t, first, q.takeOldestResume())
	require.Nil(t, q.takeOldestResume())
	require.Zero(t, q.len())

	// Beside tasks that have come back they take turns too.
	d := &deque{}
	for _, en := range labeled(&ran, "a", "b") {
		d.push(en)
	}
	q.empty(d)
	q.addResume(first)
	q.addResume(second)
	require.Nil(t, q.takeOldestResume(), "a came before")
	ran = nil
	require.Equal(t, []int{1, 1, 1, 1}, takeAll(q, &ran, 8))
	require.Equal(t, []string{"a", "yielded", "b", "yielded"}, ran)
}

// Close drops what is queued, and leaves the entries of yielded runners where they are: a blocked task that could give its
// slot to one of them may look at any moment. Mutant: stop takes them out, and puts them back.
func TestClose_AYieldedRunnerStaysListed(t *testing.T) {
	e := newPool(t, WithSlots(1))
	y := newResume(nil)
	e.word.Add(oneSearching) // so that nobody else looks
	e.inject.addResume(y)
	missed := 0
	var looker sync.WaitGroup
	stop := make(chan struct{})
	looker.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if e.inject.takeResume() == nil {
				missed++
			} else {
				e.inject.putBack(y)
			}
		}
	})
	for range 2000 {
		e.word.And(^uint64(stopping))
		e.stop()
	}
	close(stop)
	looker.Wait()
	require.Zero(t, missed)
	require.Same(t, y, e.inject.takeResume())
	e.word.Add(^uint64(oneSearching - 1))
}

// What came as a batch runs in the order in which it came, and what came later newest first, also when a slot has not had a batch for
// 2^31 tasks: then the index of the last one would lie ahead. Mutant: forgetBatch does nothing.
func TestInject_ABatchOfLongAgoIsForgotten(t *testing.T) {
	e := newTested(t, WithSlots(1))
	r := newRunner(e) // it has no goroutine: nothing runs but what the test runs
	r.adopt(&slot{})
	d := &r.slot.deque
	for range 6 {
		d.startAt(d.next + 1<<30) // as if as many children had come and gone
		var ran []string
		for _, en := range labeled(&ran, "older", "newer") {
			d.push(en)
		}
		r.picks.fair, r.picks.pops = 0, 0
		for len(ran) < 2 {
			if en, ok := r.pick(); ok {
				en.fn(context.Background())
			}
		}
		require.Equal(t, []string{"newer", "older"}, ran)
	}
}
