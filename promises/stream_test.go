package promises

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
)

type streamFunc func(ctx context.Context, e *executor.Executor, seq iter.Seq[int], fn func(context.Context, int) (string, error)) iter.Seq2[string, error]

// eachStream runs a test for Ordered and Unordered, from outside and inside, on executors of several sizes.
func eachStream(t *testing.T, test func(ctx context.Context, e *executor.Executor, stream streamFunc, ordered bool) error) {
	for name, stream := range map[string]streamFunc{"Ordered": executor.Ordered[int, string], "Unordered": executor.Unordered[int, string]} {
		for _, cfg := range [][2]int{{1, 0}, {1, 2}, {3, 4}} {
			t.Run(fmt.Sprintf("%s/%d-%d", name, cfg[0], cfg[1]), func(t *testing.T) {
				t.Parallel()
				e := spared(t, cfg[0], cfg[1])
				inAndOut(t, e, func(ctx context.Context) error { return test(ctx, e, stream, name == "Ordered") })
				quiet(t, e)
				requireParallelism(t, e, cfg[0])
			})
		}
	}
}

// Mutants: results of Ordered come in the order in which they end; an error, a panic or the element after it is
// lost; an element is run twice; more than twice the slots are pulled ahead.
func TestStream_EveryElementOnceWithItsError(t *testing.T) {
	const n = 500
	eachStream(t, func(ctx context.Context, e *executor.Executor, stream streamFunc, ordered bool) error {
		slots := e.Stats().Slots
		var pulled, given atomic.Int64
		seq := func(yield func(int) bool) {
			for i := range n {
				if ahead := pulled.Add(1) - given.Load(); ahead > int64(2*slots+1) {
					panic(fmt.Sprintf("%d elements pulled and not yielded", ahead))
				}
				if !yield(i) {
					return
				}
			}
		}
		seen := make([]int, 0, n)
		for s, err := range stream(ctx, e, seq, func(ctx context.Context, i int) (string, error) {
			if of, ok := executor.FromContext(ctx); !ok || of != e {
				return "", errors.New("not in a task")
			}
			switch {
			case i%10 == 3:
				return fmt.Sprint(i), errSentinel
			case i%10 == 4:
				panicSite(i)
			case i%16 == 0:
				runtime.Gosched()
			}
			return fmt.Sprint(i), nil
		}) {
			var i int
			var pe *executor.PanicError
			switch {
			case errors.As(err, &pe):
				i = pe.Value.(int)
			default:
				if _, bad := fmt.Sscan(s, &i); bad != nil {
					return errors.Join(bad, err)
				}
			}
			if i%10 == 3 != errors.Is(err, errSentinel) || i%10 == 4 != (pe != nil) {
				return fmt.Errorf("element %d: %w", i, err)
			}
			if ordered && i != len(seen) {
				return fmt.Errorf("result %d is of element %d", len(seen), i)
			}
			seen = append(seen, i)
			if ahead := pulled.Load() - given.Load(); ahead > int64(2*slots+1) {
				return fmt.Errorf("%d elements pulled and not yielded", ahead)
			}
			given.Add(1)
		}
		slices.Sort(seen)
		if len(slices.Compact(seen)) != n {
			return fmt.Errorf("%d of %d elements", len(seen), n)
		}
		return nil
	})
}

// Mutant: a Goexit of an element ends the stream, or the task that waits for it although a spare is left.
func TestStream_GoexitIsTheElementsError(t *testing.T) {
	for _, stream := range []streamFunc{executor.Ordered[int, string], executor.Unordered[int, string]} {
		e := spared(t, 2, 4)
		inAndOut(t, e, func(ctx context.Context) error {
			exits, all := 0, 0
			for _, err := range stream(ctx, e, count(200), func(_ context.Context, i int) (string, error) {
				if i%3 == 0 {
					runtime.Goexit()
				}
				return "", nil
			}) {
				if all++; errors.Is(err, executor.ErrGoexit) {
					exits++
				} else if err != nil {
					return err
				}
			}
			return errors.Join(want(nil, int64(all), 200), want(nil, int64(exits), 67))
		})
		quiet(t, e)
		requireParallelism(t, e, 2)
	}
	// Without a spare the task runs it itself, and ends with it. The executor lives.
	e := bare(t, 1)
	require.ErrorIs(t, inTask(t, e, func(ctx context.Context) error {
		for range executor.Ordered(ctx, e, count(3), func(context.Context, int) (int, error) { runtime.Goexit(); return 0, nil }) {
			continue
		}
		return nil
	}), executor.ErrGoexit)
	quiet(t, e)
	requireParallelism(t, e, 1)
}

// way is one way out of the loop over a stream.
var waysOut = []string{"break", "panic of the body", "Goexit of the body", "panic of seq", "Goexit of seq", "end of ctx"}

// When the loop has ended, and before seq cleans up, nothing of the stream runs, and what ran has seen its context end.
//
// Mutants: a break does not cancel, or does not wait; seq is told first; a panic leaves tasks behind, or is
// swallowed; the end of ctx is not noticed while the consumer waits, or does not end the stream.
func TestStream_LeavingCancelsAndWaits(t *testing.T) {
	for _, way := range waysOut {
		t.Run(way, func(t *testing.T) {
			eachStream(t, func(ctx context.Context, e *executor.Executor, stream streamFunc, ordered bool) error {
				return leave(ctx, e, stream, way)
			})
		})
	}
}

func leave(ctx context.Context, e *executor.Executor, stream streamFunc, way string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var running, started, atCleanup atomic.Int64
	atCleanup.Store(-1)
	seq := func(yield func(int) bool) {
		defer func() { atCleanup.Store(running.Load()) }()
		for i := 0; ; i++ {
			if i == 1 {
				switch way {
				case "panic of seq":
					panic(errSentinel)
				case "Goexit of seq":
					runtime.Goexit()
				}
			}
			if !yield(i) {
				return
			}
		}
	}
	wait := way == "end of ctx"
	fn := func(ctx context.Context, i int) (string, error) {
		running.Add(1)
		defer running.Add(-1)
		started.Add(1)
		if i > 0 && i < 3 || wait || way == "panic of seq" || way == "Goexit of seq" { // ends only when it is canceled
			if wait {
				cancel(errCause)
			}
			executor.Blocking(ctx, func() { <-ctx.Done() })
		}
		return "", nil
	}
	var got error
	results, after := 0, -1
	ended := make(chan any, 1)
	loop := func(ctx context.Context) {
		returned := false
		defer func() {
			value := recover()
			after = int(running.Load())
			if value == nil && !returned {
				value = "Goexit"
			}
			ended <- value
		}()
		for _, err := range stream(ctx, e, seq, fn) {
			results++
			if got = err; err != nil {
				continue // the stream ends by itself
			}
			switch way {
			case "break":
			case "panic of the body":
				panic(errSentinel)
			case "Goexit of the body":
				runtime.Goexit()
			}
			break
		}
		returned = true
	}
	if way == "Goexit of the body" || way == "Goexit of seq" { // takes the goroutine along
		if r, ok := executor.FromContext(ctx); ok {
			if r.Stats().Slots == 1 {
				ended <- nil
				return nil // nobody else could run that task
			}
			f, err := executor.Submit(ctx, r, func(ctx context.Context) (int, error) {
				loop(ctx)
				return 0, nil
			})
			if err != nil {
				return err
			}
			executor.Blocking(ctx, func() { <-f.Done() })
		} else {
			done := make(chan struct{})
			go func() { defer close(done); loop(ctx) }()
			<-done
		}
	} else {
		loop(ctx)
	}
	value := <-ended
	switch way {
	case "panic of the body", "panic of seq":
		if value != errSentinel {
			return fmt.Errorf("the panic came out as %v", value)
		}
	case "Goexit of the body", "Goexit of seq":
		if value != "Goexit" {
			return fmt.Errorf("the Goexit came out as %v", value)
		}
	case "end of ctx":
		if results != 1 || !errors.Is(got, context.Canceled) || !errors.Is(got, errCause) {
			return fmt.Errorf("%d results, %w", results, got)
		}
		fallthrough
	default:
		if value != nil {
			return fmt.Errorf("recovered %v", value)
		}
	}
	if after != 0 {
		return fmt.Errorf("%d elements run after the loop", after)
	}
	seqFails := way == "panic of seq" || way == "Goexit of seq" // cleans up before anybody knows
	if n := atCleanup.Load(); n != 0 && !seqFails {
		return fmt.Errorf("%d elements run while seq cleans up", n)
	}
	return nil
}

// Mutant: the end of ctx, of the executor, or a wrong argument is said twice, or by no result at all.
func TestStream_SaysOnceWhyItEnds(t *testing.T) {
	done, cancel := context.WithCancelCause(context.Background())
	cancel(errCause)
	e := bare(t, 1)
	var noCtx context.Context
	closed := newExecutor(t)
	closeNow(t, closed)
	ok := func(context.Context, int) (string, error) { return "", nil }
	for name, stream := range map[string]streamFunc{"Ordered": executor.Ordered[int, string], "Unordered": executor.Unordered[int, string]} {
		for what, c := range map[string]struct {
			seq  iter.Seq2[string, error]
			want error
		}{
			"ctx done":     {stream(done, e, count(-1), ok), errCause},
			"closed":       {stream(context.Background(), closed, count(-1), ok), executor.ErrClosed},
			"nil executor": {stream(context.Background(), nil, count(-1), ok), nil},
			"nil ctx":      {stream(noCtx, e, count(-1), ok), nil},
			"nil seq":      {stream(context.Background(), e, nil, ok), nil},
			"nil fn":       {stream(context.Background(), e, count(-1), nil), nil},
		} {
			for range 2 { // each range is a new run
				n := 0
				for _, err := range c.seq {
					n++
					require.Error(t, err, "%s, %s", name, what)
					if c.want != nil {
						require.ErrorIs(t, err, c.want, "%s, %s", name, what)
					}
				}
				require.Equal(t, 1, n, "%s, %s", name, what)
			}
		}
	}
	quiet(t, e)
}

// Elements that Close dropped have ErrClosed; then the stream ends with it.
func TestStream_Close(t *testing.T) {
	for _, stream := range []streamFunc{executor.Ordered[int, string], executor.Unordered[int, string]} {
		e := bare(t, 1)
		started := make(chan struct{}, 100)
		var closing atomic.Bool
		var last error
		within(t, "the stream", func() {
			for _, err := range stream(context.Background(), e, count(-1), func(ctx context.Context, _ int) (string, error) {
				started <- struct{}{}
				if closing.Load() {
					<-ctx.Done()
				}
				return "", nil
			}) {
				last = err
				if closing.CompareAndSwap(false, true) {
					go func() { _ = e.Close() }()
				}
			}
		})
		require.ErrorIs(t, last, executor.ErrClosed)
		closeNow(t, e)
	}
}

// Streams in streams, and what comes late: with fake time, the results of Unordered come as they end.
func TestStream_AsTheyComeAndNested(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := spared(t, 3, 8)
		fn := func(ctx context.Context, i int) (string, error) {
			executor.Blocking(ctx, func() { time.Sleep(time.Duration(4-i) * time.Second) })
			return fmt.Sprint(i), nil
		}
		var got []string
		for s, err := range executor.Unordered(context.Background(), e, count(4), fn) {
			require.NoError(t, err)
			got = append(got, s)
		}
		require.Equal(t, []string{"3", "2", "1", "0"}, got)
		got = nil
		for s, err := range executor.Ordered(context.Background(), e, count(4), fn) {
			require.NoError(t, err)
			got = append(got, s)
		}
		require.Equal(t, []string{"0", "1", "2", "3"}, got)
		require.NoError(t, e.Close())
	})
	eachStream(t, func(ctx context.Context, e *executor.Executor, stream streamFunc, _ bool) error {
		n := 0
		for s, err := range stream(ctx, e, count(20), func(ctx context.Context, i int) (string, error) {
			sum := 0
			for s, err := range stream(ctx, e, count(i), func(_ context.Context, j int) (string, error) { return fmt.Sprint(j), nil }) {
				if err != nil {
					return s, err
				}
				sum++
			}
			return fmt.Sprint(i), want(nil, int64(sum), int64(i))
		}) {
			if n++; err != nil {
				return fmt.Errorf("%s: %w", s, err)
			}
		}
		return want(nil, int64(n), 20)
	})
}

// With every slot in the hands of a task that waits for its stream, and no spare, the tasks run the elements.
//
// Mutant: nobody wakes a consumer that waits when the last other slot begins to wait too.
func TestStream_EverySlotConsumesOne(t *testing.T) {
	for _, stream := range []streamFunc{executor.Ordered[int, string], executor.Unordered[int, string]} {
		e := bare(t, 3, executor.WithQueueLimit(4))
		g := e.NewGroup(context.Background())
		for range 12 {
			g.Go(func(ctx context.Context) error {
				n := 0
				for _, err := range stream(ctx, e, count(100), func(context.Context, int) (string, error) { runtime.Gosched(); return "", nil }) {
					if n++; err != nil {
						return err
					}
				}
				return want(nil, int64(n), 100)
			})
		}
		within(t, "all streams", func() {
			if err := g.Wait(); err != nil {
				t.Error(err)
			}
		})
		quiet(t, e)
	}
}
