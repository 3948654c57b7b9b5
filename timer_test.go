package executor_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
)

// inBubble runs a test in fake time, with an executor of its own.
func inBubble(t *testing.T, test func(t *testing.T, e *executor.Executor, since func() time.Duration), opts ...executor.Option) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		e, err := executor.New(append([]executor.Option{executor.WithSlots(2)}, opts...)...)
		require.NoError(t, err)
		start := time.Now()
		test(t, e, func() time.Duration { return time.Since(start) })
		require.NoError(t, e.Close())
		require.NoError(t, executor.Validate(e))
	})
}

// Timers fire at their time, those of the same time in the order in which they were set, in whatever order they are set and
// stopped. Mutants: before without order; a timer that takes the place of a stopped one never moves up; one that is earlier than all
// others does not change when the time is armed for.
func TestTimer_AfterFiresInOrder(t *testing.T) {
	inBubble(t, func(t *testing.T, e *executor.Executor, since func() time.Duration) {
		const n = 1500
		var fired []int
		var timers []*executor.Timer
		rng := rand.New(rand.NewPCG(1, 2))
		var when [n]time.Duration
		for i := range n {
			d := time.Duration(1+rng.IntN(50*(1+i%2*10))) * time.Second
			when[i] = d
			timer, err := e.After(context.Background(), d, func(context.Context) {
				if since() != d {
					t.Errorf("timer %d of %v fires after %v", i, d, since())
				}
				fired = append(fired, i)
			})
			require.NoError(t, err)
			timers = append(timers, timer)
		}
		stopped := 0
		for i := range n {
			if i == 0 || rng.IntN(3) > 0 {
				continue
			}
			stopped++
			require.True(t, timers[i].Stop())
			require.False(t, timers[i].Stop(), "once")
		}
		synctest.Wait()
		require.NoError(t, e.Quiesce(context.Background()), "it ignores timers")
		time.Sleep(time.Hour)
		synctest.Wait()
		require.Len(t, fired, n-stopped)
		for i := 1; i < len(fired); i++ {
			a, b := fired[i-1], fired[i]
			require.True(t, when[a] < when[b] || when[a] == when[b] && a < b, "%d before %d", a, b)
		}
		require.False(t, timers[0].Stop(), "it has fired")
		require.EqualValues(t, len(fired), e.Stats().Submitted)
		require.Zero(t, e.Stats().Timers)
	}, executor.WithSlots(1))
}

// Every has no drift; missed ticks become one; there are never two at once.
func TestTimer_Every(t *testing.T) {
	inBubble(t, func(t *testing.T, e *executor.Executor, since func() time.Duration) {
		var at []time.Duration
		runs := []time.Duration{0, 3 * time.Second, 35 * time.Second, 10 * time.Second, 0, 1}
		timer, err := e.Every(context.Background(), 10*time.Second, func(context.Context) {
			at = append(at, since()/time.Second)
			time.Sleep(runs[min(len(at), len(runs))-1])
		})
		require.NoError(t, err)
		time.Sleep(95 * time.Second)
		synctest.Wait()
		// 30 s: until 65 s, which misses 40, 50 and 60; one of them follows at once, until 75, which misses 70.
		require.Equal(t, []time.Duration{10, 20, 30, 65, 75, 80, 90}, at)
		require.EqualValues(t, 2, e.Stats().TicksMissed)
		require.Equal(t, 1, e.Stats().Timers)
		require.True(t, timer.Stop())
		time.Sleep(time.Hour)
		synctest.Wait()
		require.Len(t, at, 7)
	})
}

// A task of Every that panics or exits does not end it; Stop inside the task does.
func TestTimer_EveryGoesOn(t *testing.T) {
	inBubble(t, func(t *testing.T, e *executor.Executor, since func() time.Duration) {
		n := 0
		var timer *executor.Timer
		var set sync.WaitGroup
		set.Add(1)
		timer, err := e.Every(context.Background(), time.Second, func(context.Context) {
			set.Wait()
			switch n++; n {
			case 1:
				panic("on purpose")
			case 2:
				runtime.Goexit()
			case 3:
				if !timer.Stop() {
					t.Error("Stop inside the task prevents the next")
				}
			}
		})
		require.NoError(t, err)
		set.Done()
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, 3, n)
		require.False(t, timer.Stop())
	}, executor.WithPanicHandler(func(context.Context, *executor.PanicError) {}))
}

// What ends timers: their context, at once; Shutdown, which does not wait for them; and a closed executor takes none.
func TestTimer_Ends(t *testing.T) {
	inBubble(t, func(t *testing.T, e *executor.Executor, since func() time.Duration) {
		never := func(context.Context) { t.Error("it fires") }
		why := errors.New("why")
		ctx, cancel := context.WithCancelCause(context.Background())
		a, err := e.After(ctx, time.Hour, never)
		require.NoError(t, err)
		b, err := e.Every(ctx, time.Hour, never)
		require.NoError(t, err)
		require.Equal(t, 2, e.Stats().Timers)
		cancel(why)
		synctest.Wait()
		require.Zero(t, e.Stats().Timers, "at once")
		require.False(t, a.Stop())
		require.False(t, b.Stop())
		_, err = e.After(ctx, 0, never)
		require.ErrorIs(t, err, why)

		_, err = e.Every(context.Background(), time.Second, never)
		require.NoError(t, err)
		require.NoError(t, e.Shutdown(context.Background()))
		require.Zero(t, since(), "nobody waited")
		_, err = e.After(context.Background(), 0, never)
		require.ErrorIs(t, err, executor.ErrClosed)
		time.Sleep(time.Hour)
	})
}

// A full queue delays a firing, and drops none.
func TestTimer_AFullQueueDelays(t *testing.T) {
	inBubble(t, func(t *testing.T, e *executor.Executor, since func() time.Duration) {
		hold := func(context.Context) { time.Sleep(time.Minute) }
		require.NoError(t, e.TryGo(context.Background(), hold))
		synctest.Wait()
		require.NoError(t, e.TryGo(context.Background(), hold))
		var fired []time.Duration
		for range 3 {
			_, err := e.After(context.Background(), time.Second, func(context.Context) { fired = append(fired, since()) })
			require.NoError(t, err)
		}
		time.Sleep(30 * time.Second)
		require.Equal(t, 1, e.Stats().Waiting)
		time.Sleep(time.Hour)
		synctest.Wait()
		require.Equal(t, []time.Duration{2 * time.Minute, 2 * time.Minute, 2 * time.Minute}, fired)
	}, executor.WithSlots(1), executor.WithQueueLimit(1), executor.WithStallDetection(false), executor.WithMaxSpares(0))
}

// A lane that is full delays its own firings only. Mutant: the goroutine that fires waits for room itself.
func TestTimer_AFullLaneDelaysItsOwn(t *testing.T) {
	inBubble(t, func(t *testing.T, e *executor.Executor, since func() time.Duration) {
		a := executor.WithLane(context.Background(), "a")
		for range 2 {
			require.NoError(t, e.TryGo(a, func(context.Context) { time.Sleep(time.Minute) }))
			synctest.Wait()
		}
		var fired []string
		note := func(lane string) func(context.Context) {
			return func(context.Context) { fired = append(fired, fmt.Sprint(lane, int(since()/time.Second))) }
		}
		for i := range 2 {
			_, err := e.After(a, time.Duration(1+i)*time.Second, note(fmt.Sprint("a", i, " ")))
			require.NoError(t, err)
		}
		every, err := e.Every(context.Background(), 25*time.Second, note("other "))
		require.NoError(t, err)
		time.Sleep(80 * time.Second)
		every.Stop()
		time.Sleep(time.Hour)
		synctest.Wait()
		require.Equal(t, []string{"other 25", "other 50", "other 75", "a0 120", "a1 120"}, fired)
	}, executor.WithSlots(2), executor.WithLanes(executor.Lane{Name: "a", Max: 1, QueueLimit: 1}), executor.WithStallDetection(false))
}

// A timer that has ended keeps neither its function nor its context alive, also if its task was dropped before it ran. Mutant: stop
// forgets only what is in the heap.
func TestTimer_WhatHasEndedKeepsNothing(t *testing.T) {
	e := bare(t, 1)
	hold := stick(t, e, 1)
	type load struct{ _ [1 << 16]byte }
	var kept []*executor.Timer
	var loads []weak.Pointer[load]
	set := func(start func(context.Context, time.Duration, func(context.Context)) (*executor.Timer, error), d time.Duration) {
		of := new(load)
		timer, err := start(context.WithValue(context.Background(), of, of), d, func(context.Context) { runtime.KeepAlive(of) })
		require.NoError(t, err)
		kept, loads = append(kept, timer), append(loads, weak.Make(of))
	}
	set(e.Every, time.Microsecond)
	set(e.After, time.Microsecond)
	eventually(t, "they have fired", func() bool { return e.Stats().Queued == 2 })
	set(e.Every, time.Hour)
	set(e.After, time.Hour)
	closed := make(chan error)
	go func() { closed <- e.Close() }()
	eventually(t, "it is closed", func() bool { return e.Stats().Timers == 0 && e.Stats().Queued == 0 })
	hold.Open()
	require.NoError(t, await(t, "Close", closed))
	for i, of := range loads {
		eventually(t, fmt.Sprint("timer ", i), func() bool { runtime.GC(); return of.Value() == nil })
		require.False(t, kept[i].Stop())
	}
}

// A timer that is due, and waits behind others of its lane for room, can be stopped, and its context's end is noticed, as without lanes.
// Mutant: what is due in a lane is kept apart from its timer.
func TestTimer_WhatIsDueInAFullLaneCanEnd(t *testing.T) {
	for name, opts := range map[string][]executor.Option{"a lane": {executor.WithLanes(executor.Lane{QueueLimit: 1})}, "no lanes": {executor.WithQueueLimit(1)}} {
		t.Run(name, func(t *testing.T) {
			e := bare(t, 1, opts...)
			hold := stick(t, e, 1)
			require.NoError(t, e.TryGo(context.Background(), func(context.Context) {}))
			type load struct{ _ [1 << 16]byte }
			var timers []*executor.Timer
			var cancels []context.CancelFunc
			var loads []weak.Pointer[load]
			for range 3 {
				of := new(load)
				ctx, cancel := context.WithCancel(context.WithValue(context.Background(), of, of))
				timer, err := e.After(ctx, 0, func(context.Context) { t.Error(&of, "was stopped") })
				require.NoError(t, err)
				timers, cancels, loads = append(timers, timer), append(cancels, cancel), append(loads, weak.Make(of))
				eventually(t, "the first waits for room", func() bool { return e.Stats().Waiting == 1 })
			}
			cancels[1]()
			cancels[1] = nil
			require.True(t, timers[2].Stop())
			cancels[2] = nil
			for _, of := range loads[1:] {
				eventually(t, "nothing of them stays", func() bool { runtime.GC(); return of.Value() == nil })
			}
			cancels[0]()
			hold.Open()
			require.NoError(t, e.Shutdown(context.Background()))
			require.EqualValues(t, 2, e.Stats().Completed)
		})
	}
}

// over is a context that nobody can watch: it has no Done.
type over struct {
	context.Context
	is *atomic.Bool
}

func (o over) Done() <-chan struct{} { return nil }
func (o over) Err() error {
	if o.is.Load() {
		return context.Canceled
	}
	return nil
}

// A timer of Every whose firing is refused is over. Mutant: it stays among those that have fired.
func TestTimer_WhoIsRefusedIsOver(t *testing.T) {
	e := bare(t, 1)
	type load struct{ _ [1 << 16]byte }
	var done atomic.Bool
	of := new(load)
	seen := weak.Make(of)
	_, err := e.Every(context.WithValue(over{context.Background(), &done}, of, of), time.Millisecond, func(context.Context) {})
	require.NoError(t, err)
	eventually(t, "it fires", func() bool { return e.Stats().Completed > 2 })
	done.Store(true)
	eventually(t, "nothing of it stays", func() bool { runtime.GC(); return seen.Value() == nil })
	require.NoError(t, e.Close())
}

// Timers race their own stops, ends and firings, on real time.
func TestTimer_Races(t *testing.T) {
	t.Parallel()
	e := newExecutor(t, executor.WithSlots(2))
	var users sync.WaitGroup
	for range 4 {
		users.Go(func() {
			for i := range scaled(2000) {
				ctx, cancel := context.WithCancel(context.Background())
				a, err := e.After(ctx, time.Duration(i%5)*10*time.Microsecond, func(context.Context) {})
				require.NoError(t, err)
				b, err := e.Every(ctx, time.Duration(1+i%3)*10*time.Microsecond, func(context.Context) {})
				require.NoError(t, err)
				runtime.Gosched()
				if i%2 == 0 {
					a.Stop()
					b.Stop()
				}
				cancel()
			}
		})
	}
	users.Wait()
	eventually(t, "no timer is left", func() bool { return e.Stats().Timers == 0 })
	quiet(t, e)
	require.NoError(t, executor.Settled(e, guard))
}

// A timer under context.Background() costs at most 100 bytes, and no goroutine.
func TestTimer_AMillionCostLittle(t *testing.T) {
	e := newExecutor(t)
	n := scaled(400_000)
	nothing := func(context.Context) {}
	var before, after runtime.MemStats
	goroutines := runtime.NumGoroutine()
	runtime.GC()
	runtime.ReadMemStats(&before)
	timers := make([]*executor.Timer, 1)
	for i := range n {
		timer, err := e.After(context.Background(), time.Hour+time.Duration(i*7919%n)*time.Millisecond, nothing)
		require.NoError(t, err)
		timers[0] = timer
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	require.LessOrEqual(t, runtime.NumGoroutine(), goroutines+2)
	each := float64(after.HeapAlloc-before.HeapAlloc) / float64(n)
	t.Logf("%.1f bytes each", each)
	require.LessOrEqual(t, each, 100.0)
	require.Equal(t, n, e.Stats().Timers)
	require.True(t, timers[0].Stop())
}

func TestTimer_BadArguments(t *testing.T) {
	e := newExecutor(t)
	nothing := func(context.Context) {}
	_, err := e.After(context.Background(), -time.Second, nothing)
	require.EqualError(t, err, "executor: After(-1s): must be at least 0")
	_, err = e.Every(context.Background(), 0, nothing)
	require.EqualError(t, err, "executor: Every(0s): must be above 0")
	_, err = e.After(context.Background(), 1<<63-1, nothing)
	require.EqualError(t, err, "executor: After, Every: the time is too far away")
	_, err = e.After(context.Background(), 0, nil)
	require.EqualError(t, err, "executor: nil function")
	require.False(t, (*executor.Timer)(nil).Stop())
}
