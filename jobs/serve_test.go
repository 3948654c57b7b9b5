package jobs_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/executortest"
	"github.com/seed-97bda89a/executor/jobs"
	"github.com/stretchr/testify/require"
)

// watched is a Memory queue that counts what a worker does, and can have another lease for it.
type watched struct {
	*jobs.MemoryQueue
	lease    time.Duration
	extended atomic.Int64
	asked    atomic.Int64 // the most at once
	fail     atomic.Int64 // so many calls of Receive fail
}

func (w *watched) Lease() time.Duration { return w.lease }

func (w *watched) Receive(ctx context.Context, max int) ([]jobs.Delivery, error) {
	if w.fail.Add(-1) >= 0 {
		return nil, errors.New("no route to the broker")
	}
	w.asked.Store(int64(max))
	list, err := w.MemoryQueue.Receive(ctx, max)
	for i, d := range list {
		list[i] = &watchedDelivery{d, w}
	}
	return list, err
}

type watchedDelivery struct {
	jobs.Delivery
	w *watched
}

func (d *watchedDelivery) Extend(ctx context.Context) error {
	d.w.extended.Add(1)
	return d.Delivery.Extend(ctx)
}

func watch() *watched {
	return &watched{MemoryQueue: jobs.Memory(time.Hour), lease: time.Hour}
}

// serve runs a worker until stop, which returns Serve's error.
func serve(t *testing.T, e *executor.Executor, src jobs.Source, kinds []jobs.AnyKind, opts ...jobs.ServeOption) (w *jobs.Worker, stop func() error) {
	t.Helper()
	w, err := jobs.NewWorker(e, src, kinds, opts...)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(bg)
	done := make(chan error, 1)
	go func() { done <- w.Serve(ctx) }()
	var once sync.Once
	stop = func() (err error) {
		once.Do(func() { cancel(); err = <-done })
		return err
	}
	t.Cleanup(func() { _ = stop() })
	return w, stop
}

func TestServe_RunsEverythingOnce(t *testing.T) {
	for name, opts := range map[string][]jobs.ServeOption{"capacity first": nil, "prefetch": {jobs.Prefetch(16)}} {
		t.Run(name, func(t *testing.T) {
			q := watch()
			var mu sync.Mutex
			ran := make(map[int]int)
			kind := jobs.Define("count", func(_ context.Context, n int) error {
				mu.Lock()
				defer mu.Unlock()
				ran[n]++
				return nil
			})
			w, stop := serve(t, executortest.New(t, executor.WithSlots(2)), q, jobs.Kinds(kind), opts...)
			const n = 500
			for i := range n {
				require.NoError(t, kind.Go(bg, q, i))
			}
			waitFor(t, func() bool { return w.Stats().Done == n })
			require.NoError(t, stop())
			require.Len(t, ran, n)
			s := w.Stats()
			require.EqualValues(t, n, s.Received)
			require.Zero(t, s.Held)
			require.Zero(t, s.Returned)
		})
	}
}

// A worker holds nothing that could not start: what computes has the slots, and the rest stays at the broker. What is inside Blocking
// frees its slot for the next, up to MaxInFlight. Mutants: receive without Do; room without waiting; no bound of held.
func TestServe_TakesASlotFirst(t *testing.T) {
	q := watch()
	release, inside := make(chan struct{}), make(chan struct{}, 100)
	compute := jobs.Define("compute", func(ctx context.Context, _ int) error {
		inside <- struct{}{}
		<-release // unmarked, as computing is
		return nil
	})
	wait := jobs.Define("wait", func(ctx context.Context, _ int) error {
		inside <- struct{}{}
		executor.Blocking(ctx, func() { <-release })
		return nil
	})
	for i := range 20 {
		require.NoError(t, compute.Go(bg, q, i))
	}
	exec := executortest.New(t, executor.WithSlots(2), executor.WithStallDetection(false))
	w, stop := serve(t, exec, q, jobs.Kinds(compute, wait), jobs.MaxInFlight(5))
	for range 2 {
		<-inside
	}
	require.NoError(t, exec.TryGo(bg, func(context.Context) {})) // stands behind the worker's own wait for a slot
	require.LessOrEqual(t, w.Stats().Held, 2)
	require.Zero(t, w.Stats().Waiting)
	d, _ := q.Depth(bg)
	require.EqualValues(t, 18, d.Waiting)
	close(release)
	waitFor(t, func() bool { return w.Stats().Done == 20 })

	release = make(chan struct{})
	for len(inside) > 0 {
		<-inside
	}
	for i := range 20 {
		require.NoError(t, wait.Go(bg, q, i))
	}
	for range 5 {
		<-inside
	}
	require.Equal(t, 5, w.Stats().Held)
	require.Empty(t, inside)
	close(release)
	waitFor(t, func() bool { return w.Stats().Done == 40 })
	require.NoError(t, stop())
}

// What is held is kept alive, and what is past its deadline is not. Mutant: a beat that ignores until.
func TestServe_KeepsAliveUntilTheDeadline(t *testing.T) {
	q := watch()
	q.lease = 3 * time.Millisecond // as the worker sees it
	alive, over := make(chan struct{}), make(chan struct{})
	kind := jobs.Define("long", func(ctx context.Context, _ int) error {
		executor.Blocking(ctx, func() { <-alive })
		return nil
	}, jobs.Deadline(time.Hour))
	hung := jobs.Define("hung", func(ctx context.Context, n int) error {
		executor.Blocking(ctx, func() { <-over; <-ctx.Done() })
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return errors.New("the context has not ended with its deadline")
		}
		return nil
	}, jobs.Deadline(20*time.Millisecond))
	w, stop := serve(t, executortest.New(t), q, jobs.Kinds(kind, hung))
	require.NoError(t, kind.Go(bg, q, 1))
	waitFor(t, func() bool { return q.extended.Load() >= 3 })
	close(alive)
	waitFor(t, func() bool { return w.Stats().Done == 1 })

	require.NoError(t, hung.Go(bg, q, 2))
	waitFor(t, func() bool { return w.Stats().Overdue == 1 })
	before := q.extended.Load()
	// Another one is kept alive many times; the overdue one is not.
	alive2 := make(chan struct{})
	alive = alive2
	require.NoError(t, kind.Go(bg, q, 1))
	waitFor(t, func() bool { return w.Stats().Held == 2 })
	waitFor(t, func() bool { return q.extended.Load() >= before+10 })
	close(over)
	close(alive2)
	waitFor(t, func() bool { return w.Stats().Done == 3 })
	require.NoError(t, stop())
	require.EqualValues(t, 1, w.Stats().Overdue)
}

// What has not begun, and what the drain has ended, goes back and was no attempt. Mutants: Retry instead of Return; a drain that forgets what waits.
func TestServe_ADrainIsNoAttempt(t *testing.T) {
	q := watch()
	inside := make(chan struct{}, 10)
	kind := jobs.Define("slow", func(ctx context.Context, _ int) error {
		inside <- struct{}{}
		executor.Blocking(ctx, func() { <-ctx.Done() })
		require.ErrorIs(t, context.Cause(ctx), jobs.ErrDraining)
		return ctx.Err()
	}, jobs.Attempts(1))
	exec := executortest.New(t, executor.WithSlots(1), executor.WithMaxSpares(0))
	for i := range 8 {
		require.NoError(t, kind.Go(bg, q, i))
	}
	for range 3 { // each worker would burn an attempt of each job that it held
		w, stop := serve(t, exec, q, jobs.Kinds(kind), jobs.Prefetch(4), jobs.Grace(0))
		<-inside
		waitFor(t, func() bool { return w.Stats().Waiting >= 1 })
		require.NoError(t, stop())
		s := w.Stats()
		require.Zero(t, s.Held)
		require.Equal(t, s.Received, s.Returned)
		require.Empty(t, q.Dead())
	}
	d, _ := q.Depth(bg)
	require.EqualValues(t, 8, d.Waiting)
}

// The executor's end is a drain too.
func TestServe_EndsWithItsExecutor(t *testing.T) {
	q := watch()
	inside := make(chan struct{}, 10)
	kind := jobs.Define("slow", func(ctx context.Context, _ int) error {
		inside <- struct{}{}
		executor.Blocking(ctx, func() { <-ctx.Done() })
		return ctx.Err()
	}, jobs.Attempts(1))
	exec, err := executor.New(executor.WithSlots(2))
	require.NoError(t, err)
	w, err := jobs.NewWorker(exec, q, jobs.Kinds(kind))
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- w.Serve(bg) }()
	require.NoError(t, kind.Go(bg, q, 1))
	<-inside
	go func() { _ = exec.Close() }()
	waitFor(t, func() bool { return w.Stats().Returned >= 1 })
	require.NoError(t, kind.Go(bg, q, 2)) // lets Receive return
	require.ErrorIs(t, <-done, executor.ErrClosed)
	require.Zero(t, w.Stats().Held)
	require.Empty(t, q.Dead())
	d, _ := q.Depth(bg)
	require.EqualValues(t, 2, d.Waiting)
}

type rude struct{}

func (rude) Marshal(v any) ([]byte, error)   { return json.Marshal(v) }
func (rude) Unmarshal(_ []byte, _ any) error { panic("bytes of a stranger") }

// Poison is a dead letter with its reason, at once, and nothing else is hurt.
func TestServe_Poison(t *testing.T) {
	q := watch()
	good := jobs.Define("good", func(context.Context, int) error { return nil }, jobs.MaxBytes(100))
	panics := jobs.Define("rude", func(context.Context, int) error { return nil }, jobs.Encoding(rude{}))
	w, stop := serve(t, executortest.New(t), q, jobs.Kinds(good, panics))
	for id, m := range map[string]jobs.Message{
		`unknown kind "nobody"`:           {Kind: "nobody", Body: []byte("1")},
		"bad payload: ":                   {Kind: "good", Body: []byte("{")},
		"too large: 101 bytes":            {Kind: "good", Body: make([]byte, 101)},
		"bad payload: the codec panicked": {Kind: "rude", Body: []byte("1")},
		"expired: ":                       {Kind: "good", Body: []byte("1"), Until: time.Now().Add(-time.Hour)},
	} {
		m.ID = id
		require.NoError(t, q.Send(bg, &m))
	}
	for i := range 10 {
		require.NoError(t, good.Go(bg, q, i))
	}
	for _, d := range waitDead(t, q, 5) {
		require.Contains(t, d.Reason, d.Message.ID)
		require.Equal(t, 1, d.Attempt)
	}
	waitFor(t, func() bool { return w.Stats().Done == 10 })
	require.NoError(t, stop())
	require.Zero(t, w.Stats().Retried)
}

// A worker that dies leaves a lease behind. The job is dead after its attempts, and never run by the one who finds that out.
func TestServe_AJobThatKillsItsWorkers(t *testing.T) {
	q := jobs.Memory(time.Nanosecond) // the lease of a dead worker is over at once
	require.NoError(t, q.Send(bg, &jobs.Message{ID: "1", Kind: "killer", Body: []byte("1")}))
	for range 3 {
		list, err := q.Receive(bg, 1)
		require.NoError(t, err)
		require.Len(t, list, 1) // and the worker is gone
	}
	kind := jobs.Define("killer", func(context.Context, int) error { panic("it must not run") }, jobs.Attempts(3))
	src := &watched{MemoryQueue: q, lease: time.Hour}
	_, stop := serve(t, executortest.New(t), src, jobs.Kinds(kind))
	require.Regexp(t, `^given to workers \d+ times, and none settled it$`, waitDead(t, q, 1)[0].Reason)
	require.NoError(t, stop())
}

func TestServe_KeysKeepTheirOrder(t *testing.T) {
	q := watch()
	var mu sync.Mutex
	got := make(map[string][]int)
	running := make(map[string]bool)
	kind := jobs.Define("bill", func(ctx context.Context, o order) error {
		mu.Lock()
		if running[o.Customer] {
			mu.Unlock()
			panic("two at once")
		}
		running[o.Customer] = true
		mu.Unlock()
		executor.Yield(ctx)
		mu.Lock()
		defer mu.Unlock()
		running[o.Customer] = false
		if info, _ := jobs.InfoOf(ctx); info.Attempt == 1 && o.N%5 == 2 {
			return errors.New("once")
		}
		got[o.Customer] = append(got[o.Customer], o.N)
		return nil
	}, jobs.KeyOf(func(o order) string { return o.Customer }), soon)
	_, stop1 := serve(t, executortest.New(t, executor.WithSlots(2)), q, jobs.Kinds(kind))
	_, stop2 := serve(t, executortest.New(t, executor.WithSlots(2)), q, jobs.Kinds(kind))
	const n = 30
	for i := range n {
		for c := range 4 {
			require.NoError(t, kind.Go(bg, q, order{fmt.Sprint(c), i}))
		}
	}
	waitFor(t, func() bool { d, _ := q.Depth(bg); return d == jobs.Depth{} })
	require.NoError(t, stop1())
	require.NoError(t, stop2())
	for c, list := range got {
		require.Len(t, list, n, c)
		for i := range n {
			require.Equal(t, i, list[i], c)
		}
	}
}

// A broker that can not be reached is asked again, later; one that has ended is not.
func TestServe_TheSourceFails(t *testing.T) {
	q := watch()
	q.fail.Store(2)
	kind := jobs.Define("x", func(context.Context, int) error { return nil })
	w, stop := serve(t, executortest.New(t), q, jobs.Kinds(kind))
	require.NoError(t, kind.Go(bg, q, 1))
	waitFor(t, func() bool { return w.Stats().Done == 1 })
	require.EqualValues(t, 2, w.Stats().ReceiveErrors)
	require.Equal(t, "no route to the broker", w.Stats().LastError)
	require.NoError(t, stop())
	require.ErrorContains(t, w.Serve(bg), "serves once")
	require.ErrorIs(t, jobs.Serve(bg, executortest.New(t), jobs.Memory(0), nil), jobs.ErrSourceGone)
}

func TestServe_InATaskOfItsExecutor(t *testing.T) {
	exec := executortest.New(t)
	err := exec.Do(bg, func(ctx context.Context) error { return jobs.Serve(ctx, exec, jobs.Memory(1), nil) })
	require.ErrorIs(t, err, executor.ErrInTask)
}

// Serve with Local is what a program does that moves to a broker later: it waits for its end.
func TestServe_Local(t *testing.T) {
	exec := executortest.New(t)
	on := jobs.Local(exec)
	ran := make(chan struct{}, 1)
	kind := jobs.Define("x", func(context.Context, int) error { ran <- struct{}{}; return nil })
	_, stop := serve(t, exec, on, jobs.Kinds(kind))
	require.NoError(t, kind.Go(bg, on, 1))
	<-ran
	require.NoError(t, stop())
}
