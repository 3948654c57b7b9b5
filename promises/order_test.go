package promises

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
)

// People use a pool of one as a queue. Mutants: the owner takes a batch from the injector from its end; now and then the
// injector goes first, though what it has came later.
func TestOrder_OneSlotIsFirstInFirstOut(t *testing.T) {
	for _, n := range []int{5, 10, 100, 1000} {
		for _, gated := range []bool{true, false} {
			e := spared(t, 1, 2, executor.WithQueueLimit(1024))
			var g *gate
			if gated {
				g = stick(t, e, 1)
			}
			var order, want []int // one slot: the tasks write one after the other
			for i := range n {
				want = append(want, i)
				require.NoError(t, e.Go(context.Background(), func(context.Context) { order = append(order, i) }))
			}
			if gated {
				g.Open()
			}
			quiet(t, e)
			require.Equal(t, want, order)
		}
	}
}

// Two producers, each in its own order. Mutant: as above.
func TestOrder_EachProducerKeepsItsOwnOnOneSlot(t *testing.T) {
	e := spared(t, 1, 2, executor.WithQueueLimit(16))
	var last [2]int
	bad := 0
	var producers sync.WaitGroup
	for p := range last {
		producers.Go(func() {
			for i := 1; i <= scaled(5000); i++ {
				if err := e.Go(context.Background(), func(context.Context) {
					if i != last[p]+1 {
						bad++
					}
					last[p] = i
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	producers.Wait()
	quiet(t, e)
	require.Zero(t, bad)
}

// On more slots tasks from outside start in order too, but for those that a runner meets in the injector while older ones lie
// in another's deque. Mutant: a batch lies there with its newest entry where thieves take.
func TestOrder_ThievesTakeTheOldest(t *testing.T) {
	e := bare(t, 2)
	rounds, early := scaled(400), 0
	for range rounds {
		g := stick(t, e, 2)
		var meeting sync.WaitGroup
		meeting.Add(2)
		third, before := make(chan struct{}), make(chan bool, 2)
		for range 2 {
			require.NoError(t, e.Go(context.Background(), func(context.Context) {
				meeting.Done()
				meeting.Wait()
				select {
				case <-third:
					before <- true
				default:
					before <- false
				}
			}))
		}
		require.NoError(t, e.Go(context.Background(), func(context.Context) { close(third) }))
		g.Open()
		first, second := await(t, "one of the first two", before), await(t, "the other", before)
		if first && second {
			early++
		}
		quiet(t, e)
	}
	t.Logf("in %d of %d rounds the third task ran before the second", early, rounds)
	require.LessOrEqual(t, early, rounds/4)
}

// As users of errgroup do. Mutant: a submitter takes its permit before its place, so that those without a permit fill the
// queue while it waits for room.
func TestGroup_ManyGoroutinesStartTasksOfALimitedGroup(t *testing.T) {
	for _, limit := range []int{1, 2} {
		e := spared(t, 2, 4, executor.WithQueueLimit(2))
		for range scaled(3000) {
			g := e.NewGroup(context.Background())
			g.SetLimit(limit)
			within(t, "the group ends", func() {
				var wg sync.WaitGroup
				for range 4 {
					wg.Go(func() {
						for range 3 {
							g.Go(func(context.Context) error { return nil })
						}
					})
				}
				wg.Wait()
				require.NoError(t, g.Wait())
			})
		}
	}
}

// A consumer that is woken to help, and has nothing to run, stays asleep: in a bubble time could not go on otherwise.
// Mutant: it waits anew, and wakes itself with that.
func TestStream_AWaitingConsumerRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, other := bare(t, 2, executor.WithMaxSpares(0)), bare(t, 1)
		started := make(chan struct{})
		require.NoError(t, e.Go(bg, func(ctx context.Context) {
			for range executor.Unordered(ctx, e, slices.Values([]int{1}), func(ctx context.Context, _ int) (int, error) {
				close(started)
				_, _, err := executor.Receive(ctx, time.After(time.Second))
				return 0, err
			}) {
			}
		}))
		<-started
		require.NoError(t, other.Go(bg, func(ctx context.Context) { // a visitor, for whom there is no spare
			_ = e.Do(ctx, func(context.Context) error { return nil })
		}))
		require.NoError(t, other.Shutdown(bg))
		require.NoError(t, e.Shutdown(bg))
	})
}
