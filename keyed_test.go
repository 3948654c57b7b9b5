package executor_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
)

// Keyed, and the end of both kinds.

// Many keys from many producers: exact order for each key, and no key is left at the end.
func TestKeyed_ManyKeys(t *testing.T) {
	t.Parallel()
	e := newExecutor(t, executor.WithSlots(4))
	k := executor.NewKeyed[int](e)
	keys, rounds := 1000, scaled(40)
	last := make([]int, keys) // written by the key's tasks only: the race detector sees whether they are alone
	var producers sync.WaitGroup
	for p := range 4 { // each has its own keys
		producers.Go(func() {
			for i := range rounds {
				for key := p; key < keys; key += 4 {
					err := k.Go(context.Background(), key, func(ctx context.Context) {
						if last[key] != i {
							t.Errorf("key %d: %d after %d", key, i, last[key])
						}
						last[key] = i + 1
						if key%100 == 7 {
							executor.Blocking(ctx, runtime.Gosched)
						}
					})
					if err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	producers.Wait()
	st := quiet(t, e)
	require.EqualValues(t, keys*rounds, st.Completed)
	eventually(t, "no key is left", func() bool { return k.Len() == 0 })
	require.NoError(t, executor.Settled(e, guard))
}

// Tasks of a Keyed that feed other keys of it wait for room, unless nobody could ever give any back: then one is told.
func TestKeyed_ACircleForRoomIsBroken(t *testing.T) {
	e := spared(t, 2, 8)
	k := executor.NewKeyed[string](e)
	k.SetLimit(2)
	var selfWaits atomic.Int32
	both := make(chan struct{}, 2)
	go1 := newGate(t)
	feed := func(to string) func(context.Context) {
		return func(ctx context.Context) {
			both <- struct{}{}
			go1.Wait()
			if err := k.Go(ctx, to, func(context.Context) {}); errors.Is(err, executor.ErrSelfWait) {
				selfWaits.Add(1)
			} else if err != nil {
				t.Error(err)
			}
		}
	}
	require.NoError(t, k.Go(context.Background(), "a", feed("b")))
	require.NoError(t, k.Go(context.Background(), "b", feed("a")))
	await(t, "a runs", both)
	await(t, "b runs", both)
	require.NoError(t, k.Go(context.Background(), "a", func(context.Context) {}))
	require.NoError(t, k.Go(context.Background(), "b", func(context.Context) {}))
	go1.Open()
	quiet(t, e)
	require.EqualValues(t, 1, selfWaits.Load(), "only one is told, the other gets room then")
}

// Submissions race Shutdown and Close: each is refused, or ends once.
func TestSerial_RacesTheEnd(t *testing.T) {
	for round := range scaled(60) + 10 {
		e, err := executor.New(executor.WithSlots(2), executor.WithQueueLimit(4))
		require.NoError(t, err)
		s, k := executor.NewSerial(e), executor.NewKeyed[int](e)
		k.SetLimit(4)
		var accepted, ran atomic.Int64
		var producers sync.WaitGroup
		for p := range 4 {
			producers.Go(func() {
				for i := range 200 {
					var err error
					fn := func(context.Context) { ran.Add(1) }
					if p%2 == 0 {
						err = s.Go(context.Background(), fn)
					} else {
						err = k.Go(context.Background(), i%5, fn)
					}
					if err != nil {
						require.ErrorIs(t, err, executor.ErrClosed)
						return
					}
					accepted.Add(1)
				}
			})
		}
		within(t, "the end", func() {
			if round%2 == 0 {
				require.NoError(t, e.Shutdown(context.Background()))
			} else {
				require.NoError(t, e.Close())
			}
		})
		producers.Wait()
		st := balanced(t, e)
		require.EqualValues(t, accepted.Load(), st.Submitted)
		require.Equal(t, uint64(ran.Load()), st.Completed)
		if round%2 == 0 {
			require.Zero(t, st.Canceled)
		}
	}
}

func TestSerial_BadArguments(t *testing.T) {
	e := newExecutor(t)
	nothing := func(context.Context) {}
	var nilSerial *executor.Serial
	require.EqualError(t, nilSerial.Go(context.Background(), nothing), "executor: nil Serial")
	require.EqualError(t, new(executor.Serial).Go(context.Background(), nothing), "executor: Serial not made by NewSerial")
	require.EqualError(t, executor.NewSerial(nil).TryGo(context.Background(), nothing), "executor: nil Executor")
	//lint:ignore SA1012 nil is what is tested
	require.EqualError(t, executor.NewSerial(e).Go(nil, nothing), "executor: nil context")
	require.EqualError(t, executor.NewSerial(e).Go(context.Background(), nil), "executor: nil function")
	var nilKeyed *executor.Keyed[int]
	require.EqualError(t, nilKeyed.Go(context.Background(), 1, nothing), "executor: nil Keyed")
	require.EqualError(t, new(executor.Keyed[int]).Do(context.Background(), 1, nil), "executor: Keyed not made by NewKeyed")
	nan := 0.0
	require.EqualError(t, executor.NewKeyed[float64](e).Go(context.Background(), nan/nan, nothing), "executor: Keyed: the key NaN is not equal to itself")
	require.PanicsWithError(t, "executor: Keyed.SetLimit(0): must be at least 1", func() { executor.NewKeyed[int](e).SetLimit(0) })
}
