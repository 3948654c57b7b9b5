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

// Mutant: the owner takes its last task without a CAS: a task runs twice. Mutant: a child is counted as
// submitted after it is published: the executor is quiet too early. Mutant: a runner that parks does not
// look at the queues again: a task lies there for ever.
func TestPromise01_EveryAcceptedTaskRunsExactlyOnce(t *testing.T) {
	for _, slots := range []int{1, 2, 4} {
		for _, limit := range []int{1, 64, 4096} {
			t.Run(fmt.Sprintf("slots=%d/limit=%d", slots, limit), func(t *testing.T) {
				e := newExecutor(t, executor.WithSlots(slots), executor.WithQueueLimit(limit))
				exactlyOnce(t, e, 4, scaled(6000))
			})
		}
	}
}

// exactlyOnce lets producers submit n tasks each in every way there is, each of which submits a child.
func exactlyOnce(t *testing.T, e *executor.Executor, producers, n int) {
	total := producers * n * 2
	runs := make([]atomic.Int32, total)
	accepted := make([]atomic.Bool, total)
	var count atomic.Int64
	note := func(id int, err error) {
		switch {
		case err == nil:
			accepted[id].Store(true)
			count.Add(1)
		case !errors.Is(err, executor.ErrQueueFull):
			t.Errorf("task %d: %v", id, err)
		}
	}
	submit := func(ctx context.Context, id int, body func(context.Context)) {
		var err error
		fn := func(ctx context.Context) (int, error) { body(ctx); return id, nil }
		switch id % 4 {
		case 0:
			err = e.Go(ctx, body)
		case 1:
			err = e.TryGo(ctx, body)
		case 2:
			_, err = executor.Submit(ctx, e, fn)
		case 3:
			_, err = executor.TrySubmit(ctx, e, fn)
		}
		note(id, err)
	}
	var wg sync.WaitGroup
	for p := range producers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range n {
				id := 2 * (p*n + i)
				submit(context.Background(), id+i%2, func(ctx context.Context) {
					runs[id+i%2].Add(1)
					child := id + 1 - i%2
					submit(ctx, child, func(context.Context) { runs[child].Add(1) })
				})
			}
		}()
	}
	within(t, "the producers finish", wg.Wait)
	s := quiet(t, e)
	for id := range runs {
		want := int32(0)
		if accepted[id].Load() {
			want = 1
		}
		if got := runs[id].Load(); got != want {
			t.Fatalf("task %d ran %d times, want %d", id, got, want)
		}
	}
	require.EqualValues(t, count.Load(), s.Submitted)
	require.EqualValues(t, count.Load(), s.Completed)
}

// Mutant: the deferred end of a task counts a Goexit as completed as well, or not at all.
func TestPromise01_EveryEndIsCountedOnce(t *testing.T) {
	bad := errors.New("bad")
	var handled atomic.Int64
	e := newExecutor(t, executor.WithSlots(2), executor.WithPanicHandler(func(context.Context, *executor.PanicError) { handled.Add(1) }))
	const n = 100
	for range n {
		require.NoError(t, e.Go(context.Background(), func(context.Context) {}))
		require.NoError(t, e.Go(context.Background(), func(context.Context) { panic("x") }))
		require.NoError(t, e.Go(context.Background(), func(context.Context) { runtime.Goexit() }))
		for _, fn := range []func(context.Context) (int, error){
			func(context.Context) (int, error) { return 1, nil },
			func(context.Context) (int, error) { return 1, bad },
			func(context.Context) (int, error) { panic(bad) },
			func(context.Context) (int, error) { runtime.Goexit(); return 1, nil },
		} {
			_, err := executor.Submit(context.Background(), e, fn)
			require.NoError(t, err)
		}
	}
	s := quiet(t, e)
	require.EqualValues(t, 7*n, s.Submitted)
	require.EqualValues(t, 3*n, s.Completed)
	require.EqualValues(t, n, s.Failed)
	require.EqualValues(t, 4*n, s.Panicked)
	require.Zero(t, s.Canceled)
	require.Zero(t, s.Rejected)
	require.EqualValues(t, n, handled.Load())
}

// Mutant: a refusal after the in-flight count was raised forgets to take it back: Quiesce never returns.
func TestPromise01_RefusedMeansNothingWasAccepted(t *testing.T) {
	e := bare(t, 1, executor.WithQueueLimit(2))
	g := stick(t, e, 1)
	for range 2 {
		require.NoError(t, e.Go(context.Background(), func(context.Context) {}))
	}
	before := e.Stats()
	cause := errors.New("cause")
	done, cancel := context.WithCancelCause(context.Background())
	cancel(cause)
	never := func(context.Context) { t.Error("a refused task ran") }
	neverF := func(context.Context) (int, error) { t.Error("a refused task ran"); return 0, nil }
	refused := 0
	for _, full := range []bool{true, false} {
		if !full {
			g.Open()
			quiet(t, e)
			before = e.Stats()
			refused = 0
		}
		errs := map[string]error{"Go": e.Go(done, never), "TryGo": e.TryGo(done, never)}
		_, errs["Submit"] = executor.Submit(done, e, neverF)
		_, errs["TrySubmit"] = executor.TrySubmit(done, e, neverF)
		for name, err := range errs {
			require.ErrorIs(t, err, context.Canceled, "%s, full %v", name, full)
			require.ErrorIs(t, err, cause, "%s, full %v", name, full)
			refused++
		}
		if full {
			require.ErrorIs(t, e.TryGo(context.Background(), never), executor.ErrQueueFull)
			f, err := executor.TrySubmit(context.Background(), e, neverF)
			require.ErrorIs(t, err, executor.ErrQueueFull)
			require.Nil(t, f)
			refused += 2
		}
		after := e.Stats()
		require.Equal(t, before.Submitted, after.Submitted)
		require.Equal(t, before.Queued, after.Queued)
		require.EqualValues(t, refused, after.Rejected-before.Rejected)
	}
	require.NoError(t, e.Close())
	require.ErrorIs(t, e.Go(context.Background(), never), executor.ErrClosed)
	require.ErrorIs(t, e.TryGo(context.Background(), never), executor.ErrClosed)
	_, err := executor.Submit(context.Background(), e, neverF)
	require.ErrorIs(t, err, executor.ErrClosed)
	_, err = executor.TrySubmit(context.Background(), e, neverF)
	require.ErrorIs(t, err, executor.ErrClosed)
	balanced(t, e)
}

// Mutant: the runner decides by a load and a store of the task's state: the future reports the
// cancellation of a task that runs, or the task ends twice.
func TestPromise01_CancelRacingStartHasOneWinner(t *testing.T) {
	e := newExecutor(t, executor.WithSlots(1))
	n := scaled(50_000)
	canceled := 0
	var now atomic.Int64
	for i := range n {
		ctx, cancel := context.WithCancel(context.Background())
		// The task is next when the one before it sees the mark, and that is when it is canceled.
		require.NoError(t, e.Go(context.Background(), func(context.Context) {
			for now.Load() < int64(i) {
				runtime.Gosched()
			}
		}))
		var ran atomic.Int32
		f, err := executor.Submit(ctx, e, func(context.Context) (int, error) {
			ran.Add(1)
			return i, nil
		})
		require.NoError(t, err)
		done := f.Done() // Watches ctx.
		now.Store(int64(i))
		for range i % 64 {
			now.Load()
		}
		cancel()
		await(t, "the future resolves", done)
		_, verdict := f.Wait(context.Background())
		if i%16 == 0 {
			quiet(t, e)
		}
		if verdict != nil {
			canceled++
			require.ErrorIs(t, verdict, context.Canceled)
			require.Zero(t, ran.Load(), "task %d ran although its future says %v", i, verdict)
		} else {
			require.EqualValues(t, 1, ran.Load(), "task %d", i)
		}
	}
	s := quiet(t, e)
	require.EqualValues(t, canceled, s.Canceled)
	require.EqualValues(t, 2*n, s.Submitted)
}

// Mutant: a claim by a waiter and a pop by a runner do not exclude each other (two loads and a store).
func TestPromise01_ClaimsByWaitersAndRunnersExcludeEachOther(t *testing.T) {
	e := newExecutor(t, executor.WithSlots(4), executor.WithQueueLimit(1<<14))
	const width = 32
	for range scaled(4000) {
		var runs [width]atomic.Int32
		var fs [width]*executor.Future[int]
		for i := range width {
			f, err := executor.Submit(context.Background(), e, func(context.Context) (int, error) {
				return i, func() error { runs[i].Add(1); return nil }()
			})
			require.NoError(t, err)
			fs[i] = f
		}
		g := e.NewGroup(context.Background())
		for w := range 3 {
			g.Go(func(ctx context.Context) error {
				for i := range width {
					k := (i*(2*w+1) + w) % width
					if v, err := fs[k].Wait(ctx); v != k || err != nil {
						return fmt.Errorf("future %d gave %d, %v", k, v, err)
					}
				}
				return nil
			})
		}
		within(t, "the waiters end", func() { require.NoError(t, g.Wait()) })
		for i := range width {
			require.EqualValues(t, 1, runs[i].Load())
		}
	}
	quiet(t, e)
}

// Mutant: a waiter that claims a task from the injector leaves a tombstone that counts as a task for ever.
func TestPromise01_ClaimedEntriesLeaveTheBooksBalanced(t *testing.T) {
	e := bare(t, 1, executor.WithQueueLimit(16))
	for range 500 {
		require.NoError(t, inTask(t, e, func(ctx context.Context) error {
			for range 8 {
				f, err := executor.Submit(context.Background(), e, func(context.Context) (int, error) { return 1, nil })
				if err != nil {
					return err
				}
				if _, err := f.Wait(ctx); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	s := quiet(t, e)
	require.EqualValues(t, 9*500, s.Completed)
	stick(t, e, 1)
	require.Equal(t, 16, fill(t, e), "room lost to claimed entries")
}

// fill submits with TryGo until the queue is full and tells how many were taken.
func fill(t testing.TB, e *executor.Executor) int {
	t.Helper()
	for n := 0; ; n++ {
		if err := e.TryGo(context.Background(), func(context.Context) {}); err != nil {
			require.ErrorIs(t, err, executor.ErrQueueFull)
			return n
		}
		require.Less(t, n, 1<<20, "TryGo never says that the queue is full")
	}
}
