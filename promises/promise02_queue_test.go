package promises

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
)

// Mutant: the room check and the push are not under one lock, so racing submitters pass the limit.
func TestPromise02_TheQueueLimitIsExactFromOutside(t *testing.T) {
	for _, slots := range []int{1, 3} {
		for _, limit := range []int{1, 2, 7, 64, 1000} {
			e := bare(t, slots, executor.WithQueueLimit(limit))
			alive(t, e)
			g := stick(t, e, slots)
			var taken atomic.Int64
			var wg sync.WaitGroup
			for range 8 {
				wg.Add(1)
				go func() {
					defer wg.Done()
					for range limit {
						if e.TryGo(context.Background(), func(context.Context) {}) == nil {
							taken.Add(1)
						}
					}
				}()
			}
			wg.Wait()
			require.EqualValues(t, limit, taken.Load(), "slots %d", slots)
			require.Equal(t, limit, e.Stats().Queued)
			g.Open()
			quiet(t, e)
		}
	}
}

// waiters starts n goroutines that wait for room one after the other and tells who was accepted.
type waiters struct {
	accepted []atomic.Bool
	errs     []chan error
}

func startWaiters(t *testing.T, e *executor.Executor, n int, ctx func(i int) context.Context, task func(context.Context)) *waiters {
	w := &waiters{accepted: make([]atomic.Bool, n)}
	for i := range n {
		errs := make(chan error, 1)
		w.errs = append(w.errs, errs)
		go func() {
			err := e.Go(ctx(i), task)
			w.accepted[i].Store(err == nil)
			errs <- err
		}()
		eventually(t, "one more submitter waits", func() bool { return e.Stats().Waiting == i+1 })
	}
	return w
}

// prefix gives how many were accepted and fails if they are not the first of order.
func (w *waiters) prefix(t *testing.T, order []int) int {
	k := 0
	for k < len(order) && w.accepted[order[k]].Load() {
		k++
	}
	for _, i := range order[k:] {
		if w.accepted[i].Load() {
			// An earlier one may have been let in meanwhile and not have said so yet.
			eventually(t, fmt.Sprintf("submitter %d overtook %d", i, order[k]), func() bool { return w.accepted[order[k]].Load() })
			return w.prefix(t, order)
		}
	}
	return k
}

// Mutant: room is signalled to all waiters, or given to the last. Mutant: a waiter that left stays in line.
func TestPromise02_BlockedSubmittersAreServedInOrder(t *testing.T) {
	const n = 8
	e := bare(t, 1, executor.WithQueueLimit(1))
	steps := make(chan struct{})
	t.Cleanup(func() { close(steps) })
	step := func(context.Context) { <-steps }
	require.NoError(t, e.Go(context.Background(), step))
	eventually(t, "the slot is taken", func() bool { return e.Stats().Running == 1 && e.Stats().Queued == 0 })
	require.NoError(t, e.TryGo(context.Background(), step))
	cause := errors.New("gone")
	leave, left := context.WithCancelCause(context.Background())
	w := startWaiters(t, e, n, func(i int) context.Context {
		if i == 2 {
			return leave
		}
		return context.Background()
	}, step)
	require.ErrorIs(t, e.TryGo(context.Background(), step), executor.ErrQueueFull)
	left(cause)
	err := await(t, "a submitter leaves when its context is done", w.errs[2])
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, cause)
	require.Equal(t, n-1, e.Stats().Waiting)

	order := []int{0, 1, 3, 4, 5, 6, 7}
	for k := 0; k < len(order); {
		steps <- struct{}{}
		eventually(t, "the next in line is let in", func() bool {
			now := w.prefix(t, order)
			moved := now > k
			k = max(k, now)
			return moved
		})
	}
	for range 2 {
		steps <- struct{}{}
	}
	s := quiet(t, e)
	require.EqualValues(t, n+1, s.Completed)
}

// Mutant: a waiter that leaves just when it is let in keeps the permit: the room shrinks by one for ever.
func TestPromise02_SubmittersThatLeaveGiveTheirPlaceBack(t *testing.T) {
	const limit = 4
	e := newExecutor(t, executor.WithSlots(2), executor.WithQueueLimit(limit), executor.WithStallDetection(false))
	var accepted, ran atomic.Int64
	var wg sync.WaitGroup
	for p := range 16 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range scaled(2000) {
				ctx, cancel := context.WithCancel(context.Background())
				if (i+p)%2 == 0 {
					go func() {
						for range i % 8 {
							runtime.Gosched()
						}
						cancel()
					}()
				}
				err := e.Go(ctx, func(context.Context) { ran.Add(1) })
				if err == nil {
					accepted.Add(1)
				} else if !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
				cancel()
			}
		}()
	}
	within(t, "the submitters end", wg.Wait)
	s := quiet(t, e)
	require.EqualValues(t, accepted.Load(), s.Submitted)
	require.EqualValues(t, ran.Load(), s.Completed)
	g := stick(t, e, 2)
	require.Equal(t, limit, fill(t, e), "room was lost or won")
	g.Open()
}

// Mutant: an accepted task whose context is done keeps its permit when it is thrown away.
func TestPromise02_CanceledTasksGiveTheirRoomBack(t *testing.T) {
	const limit = 8
	e := bare(t, 1, executor.WithQueueLimit(limit))
	for range 20 {
		g := stick(t, e, 1)
		ctx, cancel := context.WithCancel(context.Background())
		for range limit {
			require.NoError(t, e.TryGo(ctx, func(context.Context) { t.Error("a canceled task ran") }))
		}
		cancel()
		g.Open()
		quiet(t, e)
	}
	require.EqualValues(t, 20*limit, e.Stats().Canceled)
	stick(t, e, 1)
	require.Equal(t, limit, fill(t, e))
}

// Mutant: one lossy signal for "there is room": two permits freed at once wake one waiter, and the other
// waits for ever.
func TestPromise02_NoBlockedSubmitterIsForgotten(t *testing.T) {
	for _, limit := range []int{1, 3} {
		e := newExecutor(t, executor.WithSlots(4), executor.WithQueueLimit(limit), executor.WithStallDetection(false))
		for range scaled(100) {
			g := stick(t, e, 4)
			require.Equal(t, limit, fill(t, e))
			var wg sync.WaitGroup
			for range 12 {
				wg.Add(1)
				go func() {
					defer wg.Done()
					if err := e.Go(context.Background(), func(context.Context) {}); err != nil {
						t.Error(err)
					}
				}()
			}
			eventually(t, "all wait", func() bool { return e.Stats().Waiting == 12 })
			g.Open()
			within(t, "all blocked submitters are let in", wg.Wait)
			quiet(t, e)
		}
	}
}
