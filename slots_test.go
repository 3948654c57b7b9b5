package executor

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

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
	poll(t, "the runners park", func() bool { return e.Stats().Parked == n })
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
		require.Equal(t, 1, strings.Count(stackOf(r.goid), ".(*runner).park("))
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
		poll(t, "a runner parks", func() bool { return e.Stats().Parked > i })
	}
	owners := make(map[*runner]bool)
	for _, s := range *e.slots.Load() {
		require.NotNil(t, s.owner(), "a slot that is held by a task that blocks says so")
		owners[s.owner()] = true
	}
	require.Len(t, owners, 2)
	require.NoError(t, e.Go(bg, func(context.Context) { close(unmarked) }))
	<-unmarked
}
