package executor

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// simulate plays an open loop into slots with a queue under the rule: exponential gaps between arrivals, and tasks that take
// what length says. It returns the share that was refused, the work done as a share of what the slots could do, and
// percentiles of the wait of what was accepted.
func simulate(rule delayRule, load float64, slots, n int, length func(*rand.Rand) time.Duration) (refused, goodput float64, p50, p99, resp time.Duration) {
	rng := rand.New(rand.NewPCG(7, 9))
	mean := time.Duration(0)
	for range 10_000 {
		mean += length(rng) / 10_000
	}
	type task struct{ at, length time.Duration }
	var queue []task
	free := make([]time.Duration, slots) // when each slot is free
	var now, done time.Duration
	var waits, responses []time.Duration
	no := 0
	drain := func(until time.Duration) {
		for len(queue) > 0 {
			i := 0
			for j := range free {
				if free[j] < free[i] {
					i = j
				}
			}
			start := max(free[i], queue[0].at)
			if start > until {
				return
			}
			wait := start - queue[0].at
			rule.started(start, wait, wait, 1)
			free[i] = start + queue[0].length
			done += queue[0].length
			waits, responses = append(waits, wait), append(responses, wait+queue[0].length)
			queue = queue[1:]
		}
	}
	for range n {
		now += time.Duration(rng.ExpFloat64() * float64(mean) / (load * float64(slots)))
		drain(now)
		oldest, idle := time.Duration(0), 0
		if len(queue) > 0 {
			oldest = now - queue[0].at
		}
		for _, f := range free {
			if f <= now && len(queue) == 0 {
				idle++
			}
		}
		if idle > 0 {
			rule.foundIdle(float64(idle) / float64(slots))
		}
		if idle == slots {
			rule.foundRest()
		}
		if rule.refuses(now, oldest, len(queue), idle > 0) {
			no++
			continue
		}
		queue = append(queue, task{now, length(rng)})
	}
	drain(1 << 62)
	slices.Sort(waits)
	slices.Sort(responses)
	return float64(no) / float64(n), float64(done) / float64(slots) / float64(now), waits[len(waits)/2], waits[len(waits)*99/100], responses[len(responses)*99/100]
}

func sameLength(*rand.Rand) time.Duration { return time.Millisecond }
func mixedLength(r *rand.Rand) time.Duration {
	if r.IntN(20) == 0 {
		return 20 * time.Millisecond
	}
	return time.Millisecond
}

// The rule, step by step: 10 ms, on one slot, with tasks of 1 ms while nothing else is said. Mutants: a missing condition of refuses; one
// late interval is enough; late intervals that are not in a row; shortest is not reset, or the longest wait; an interval without
// starts that counts as short; the overload ends at once, or never; it refuses new work after all slots rested; pace falls while slots are idle, or not while they stand still.
func TestDelay_Rule(t *testing.T) {
	const ms = time.Millisecond
	type step func(t *testing.T, d *delayRule)
	work := func(from, to, wait time.Duration) step { // a task starts each ms, after that wait
		return func(_ *testing.T, d *delayRule) {
			for at := from; at < to; at += ms {
				d.started(at, wait, wait, 1)
			}
		}
	}
	ask := func(at, oldest time.Duration, queued int, refused bool) step {
		return func(t *testing.T, d *delayRule) {
			require.Equal(t, refused, d.refuses(at, oldest, queued, false), "at %v: %+v", at, *d)
		}
	}
	idle := func(at time.Duration) step {
		return func(t *testing.T, d *delayRule) {
			d.foundIdle(1)
			require.False(t, d.refuses(at, time.Minute, 1000, true))
		}
	}
	rest := func(at time.Duration) step {
		return func(t *testing.T, d *delayRule) {
			d.foundRest()
			require.False(t, d.refuses(at, 0, 0, true))
		}
	}
	start := func(at, wait time.Duration) step { return work(at, at+ms, wait) }
	overload := work(0, 40*ms, 11*ms)
	for name, steps := range map[string][]step{
		"short waits":                 {work(0, 40*ms, 10*ms), ask(40*ms, 10*ms, 100, false)},
		"a late interval":             {work(0, 20*ms, 11*ms), ask(20*ms, 11*ms, 11, true)},
		"one is not enough":           {work(0, 10*ms, 11*ms), ask(19*ms, 11*ms, 100, false)},
		"two are, in a row":           {work(0, 10*ms, 11*ms), work(10*ms, 20*ms, 9*ms), work(20*ms, 30*ms, 11*ms), ask(30*ms, 11*ms, 100, false)},
		"one short wait":              {work(0, 11*ms, 11*ms), start(11*ms, 9*ms), work(12*ms, 21*ms, 11*ms), ask(21*ms, 30*ms, 100, false)},
		"as much as starts in 10 ms":  {overload, ask(41*ms, 9*ms, 9, false), ask(42*ms, 9*ms, 10, true), ask(43*ms, 0, 0, false)},
		"a slot is idle":              {overload, idle(41 * ms)},
		"it goes on while it refuses": {overload, ask(43*ms, 9*ms, 10, true), work(44*ms, 230*ms, ms), ask(231*ms, 9*ms, 10, true)},
		"and ends 200 ms later":       {overload, work(40*ms, 260*ms, ms), ask(261*ms, 9*ms, 100, false)},
		"not before":                  {overload, work(40*ms, 230*ms, ms), ask(231*ms, 9*ms, 10, true)},
		"nothing starts":              {start(0, 0), ask(15*ms, 14*ms, 1, false), ask(31*ms, 30*ms, 1, true), ask(32*ms, 0, 0, false)},
		"nothing ever starts":         {ask(0, 0, 0, false), ask(21*ms, 20*ms, 3, false), ask(31*ms, 30*ms, 3, true), ask(32*ms, 0, 0, false)},
		"the oldest is new":           {start(0, 0), ask(45*ms, 14*ms, 100, false)},
		"a slow pace":                 {overload, ask(540*ms, 500*ms, 2, true), ask(541*ms, 500*ms, 0, false)},
		"idle time is no slow pace":   {overload, work(40*ms, 45*ms, ms), idle(46 * ms), work(50*ms, 55*ms, ms), idle(56 * ms), ask(61*ms, 9*ms, 9, false)},
		"all slots rest":              {overload, ask(41*ms, 9*ms, 10, true), rest(50 * ms), ask(51*ms, 9*ms, 10, false), ask(52*ms, 11*ms, 10, true), work(70*ms, 80*ms, 11*ms), ask(80*ms, 9*ms, 10, true)},
		"a long silence":              {overload, ask(9*time.Second, 0, 0, false), ask(9*time.Second+10*ms, 9*ms, 100, false)},
		"a long standstill":           {overload, ask(9*time.Second, 9*time.Second, 1, true), ask(9*time.Second+10*ms, 9*time.Second, 1, true)},
	} {
		t.Run(name, func(t *testing.T) {
			rule := newDelayRule(10 * ms)
			for _, s := range steps {
				s(t, &rule)
			}
		})
	}
}

// Where the slots idle as much as is refused, more may wait (V3). Mutants: idle is not counted, or outside of overloads too;
// stretch does not shrink, or grows whatever is idle; it has no end.
func TestDelay_Stretch(t *testing.T) {
	const ms = time.Millisecond
	rule := newDelayRule(10 * ms)
	now := time.Duration(0)
	half := func(wait time.Duration, idle float64) { // half a second, in which one task is refused each ms
		for range 500 {
			rule.started(now, wait, wait, 1)
			if idle > 0 {
				rule.foundIdle(idle)
				rule.asked = false // the pace stays
			}
			if rule.overloaded {
				require.True(t, rule.refuses(now, 11*ms, 1000, false))
			}
			now += ms
		}
		rule.pass(now, 11*ms)
	}
	half(9*ms, 0.9)
	half(9*ms, 0.9)
	half(11*ms, 0)
	half(11*ms, 0)
	require.EqualValues(t, 1, rule.stretch, "as long as there was no overload nothing counts")
	rule.looks, rule.refused, rule.idle = 0, 0, 0
	for i, c := range []struct{ idle, stretch float64 }{{0, 1}, {0.1, 1}, {0.6, 2}, {0.4, 2}, {0.6, 4}, {0.6, 8}, {0.2, 4}, {0.6, 8}, {0.6, 16}, {0.6, 16}, {0, 8}, {0, 4}, {0, 2}, {0, 1}, {0, 1}} {
		half(11*ms, c.idle)
		require.EqualValues(t, c.stretch, rule.stretch, "%d: %+v", i, rule)
	}
}

// At 90 % load next to nothing is refused, at 150 and 300 % next to no capacity is lost, and waits are bounded.
func TestDelay_Loads(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name             string
		load             float64
		length           func(*rand.Rand) time.Duration
		refused, goodput float64
		p99              time.Duration
	}{
		{"90 %", 0.9, sameLength, 0.001, 0.88, 12 * time.Millisecond},
		{"150 %", 1.5, sameLength, 0.345, 0.99, 12 * time.Millisecond},
		{"300 %", 3, sameLength, 0.68, 0.99, 12 * time.Millisecond},
		{"80 %, some long", 0.8, mixedLength, 0.002, 0.79, 60 * time.Millisecond},
		{"90 %, some long", 0.9, mixedLength, 0.008, 0.88, 120 * time.Millisecond},
		{"105 %, some long", 1.05, mixedLength, 0.15, 0.90, 140 * time.Millisecond},
		{"150 %, some long", 1.5, mixedLength, 0.40, 0.97, 32 * time.Millisecond},
		{"300 %, some long", 3, mixedLength, 0.70, 0.97, 33 * time.Millisecond},
	} {
		refused, goodput, p50, p99, response := simulate(newDelayRule(10*time.Millisecond), c.load, 2, 100_000, c.length)
		t.Logf("%s: refused %.2f %%, goodput %.1f %%, wait %v, p99 %v, p99 of the response %v", c.name, 100*refused, 100*goodput, p50, p99, response)
		require.LessOrEqual(t, refused, c.refused, c.name)
		require.GreaterOrEqual(t, goodput, c.goodput, c.name)
		require.LessOrEqual(t, p99, c.p99, c.name)
	}
}

// A real executor in fake time: a burst of 20 ms passes, an overload is refused early, and no slot idles meanwhile. Fails if
// the marks of entries that have left are kept, if children or timers are refused, or if a full minute of silence counts.
func TestQueueDelay_InABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, err := New(WithSlots(1), WithQueueDelay(10*time.Millisecond), WithStallDetection(false), WithQueueLimit(1000))
		require.NoError(t, err)
		bg, ms := context.Background(), time.Millisecond
		work := func(context.Context) { time.Sleep(ms) }
		for round := range 5 {
			time.Sleep(time.Minute)
			synctest.Wait()
			for range 20 {
				require.NoError(t, e.TryGo(bg, work), "burst %d", round)
			}
		}
		time.Sleep(time.Minute)
		before, began := e.Stats().Completed, time.Now()
		refused, fired := 0, 0
		for range 3000 {
			time.Sleep(ms * 2 / 3)
			switch err := e.Go(bg, work); {
			case err == nil:
			case errors.Is(err, ErrOverloaded) && errors.Is(err, ErrQueueFull):
				refused++
				_, err := e.After(bg, 0, func(ctx context.Context) {
					fired++
					if err := e.Go(ctx, func(context.Context) {}); err != nil {
						t.Errorf("a child is refused: %v", err)
					}
				})
				require.NoError(t, err)
			default:
				t.Fatal(err)
			}
		}
		took := time.Since(began)
		synctest.Wait()
		st := e.Stats()
		t.Logf("refused %d, fired %d, oldest %v, %d marks, took %v, stats %+v", refused, fired, st.OldestAge, len(e.inject.delay.(*queueDelay).marks), took, st)
		done := time.Duration(st.Completed-before-2*uint64(fired)) * ms
		require.NoError(t, e.Shutdown(bg))
		require.GreaterOrEqual(t, float64(done)/float64(took), 0.97, "no capacity is lost")
		require.InDelta(t, 1000, refused, 60)
		require.EqualValues(t, refused, st.RejectedOverloaded)
		require.Zero(t, st.RejectedFull)
		require.Equal(t, refused, fired)
		require.LessOrEqual(t, len(e.inject.delay.(*queueDelay).marks), 200)
	})
}

// During an overload every call from outside is refused, and no other: not those of tasks, whatever context they give. Fails if
// strands are not asked, or if tasks are told by the context alone.
func TestQueueDelay_WhoIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, err := New(WithSlots(1), WithQueueDelay(10*time.Millisecond), WithStallDetection(false), WithMaxSpares(8))
		require.NoError(t, err)
		other, err := New(WithSlots(1))
		require.NoError(t, err)
		bg, nothing, one := context.Background(), func(context.Context) {}, func(context.Context) (int, error) { return 1, nil }
		fails := func(context.Context) error { return errors.New("it ran") }
		s, k, g := NewSerial(e), NewKeyed[int](e), e.NewGroup(bg)
		calls := map[string]func(context.Context) error{
			"Go":         func(ctx context.Context) error { return e.Go(ctx, nothing) },
			"TryGo":      func(ctx context.Context) error { return e.TryGo(ctx, nothing) },
			"Submit":     func(ctx context.Context) error { _, err := Submit(ctx, e, one); return err },
			"TrySubmit":  func(ctx context.Context) error { _, err := TrySubmit(ctx, e, one); return err },
			"Serial.Go":  func(ctx context.Context) error { return s.Go(ctx, nothing) },
			"SubmitOn":   func(ctx context.Context) error { _, err := SubmitOn(ctx, s, one); return err },
			"Keyed.Go":   func(ctx context.Context) error { return k.Go(ctx, 1, nothing) },
			"Keyed.Try":  func(ctx context.Context) error { return k.TryGo(ctx, 1, nothing) },
			"SubmitKey":  func(ctx context.Context) error { _, err := SubmitKey(ctx, k, 1, one); return err },
			"After":      func(ctx context.Context) error { _, err := e.After(ctx, 0, nothing); return err },
			"Group.Wait": func(ctx context.Context) error { g.Go(func(context.Context) error { return nil }); return nil },
		}
		outside := map[string]func(context.Context) error{
			"Do":        func(ctx context.Context) error { return e.Do(ctx, fails) },
			"Serial.Do": func(ctx context.Context) error { return s.Do(ctx, fails) },
			"Keyed.Do":  func(ctx context.Context) error { return k.Do(ctx, 1, fails) },
		}
		asked := make(chan func(context.Context))
		end := make(chan struct{})
		require.NoError(t, e.Go(bg, func(ctx context.Context) { // the slot's only task: it blocks without a mark
			for {
				select {
				case ask := <-asked:
					ask(ctx)
				case <-end:
					return
				}
			}
		}))
		synctest.Wait() // it runs, so it takes no other along
		require.NoError(t, e.Go(bg, nothing))
		time.Sleep(time.Second)
		refused := func(ctx context.Context, name string, call func(context.Context) error) {
			before := e.Stats().RejectedOverloaded
			err := call(ctx)
			switch name {
			case "After":
				require.NoError(t, err)
				return
			case "Group.Wait":
				require.ErrorIs(t, g.Wait(), ErrOverloaded)
			default:
				require.ErrorIs(t, err, ErrOverloaded, name)
			}
			require.EqualValues(t, before+1, e.Stats().RejectedOverloaded, name)
		}
		for name, call := range calls {
			refused(bg, name, call)
			require.NoError(t, other.Do(bg, func(ctx context.Context) error { refused(ctx, name, call); return nil }))
		}
		for name, call := range outside {
			refused(bg, name, call)
		}
		for name, call := range calls {
			for _, own := range []bool{true, false} {
				done := make(chan struct{})
				asked <- func(ctx context.Context) {
					defer close(done)
					if !own {
						ctx = bg
					}
					if err := call(ctx); err != nil {
						t.Errorf("%s of a task, own context %v: %v", name, own, err)
					}
				}
				<-done
			}
		}
		close(end)
		require.NoError(t, g.Wait())
		require.NoError(t, e.Shutdown(bg))
		require.NoError(t, other.Shutdown(bg))
	})
}

// What a lane counts as refused was refused: not what a task of the executor submits with a context that does not tell. Mutants: it is
// counted before that is known; never; work of Serials is not.
func TestQueueDelay_LanesCountWhatTheyRefuse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, err := New(WithSlots(1), WithQueueDelay(10*time.Millisecond), WithStallDetection(false), WithLanes(Lane{}, Lane{Name: "full", QueueLimit: 1}))
		require.NoError(t, err)
		bg, nothing, s := context.Background(), func(context.Context) {}, NewSerial(e)
		full := WithLane(bg, "full")
		submit := func(want ...error) {
			for i, err := range []error{e.TryGo(bg, nothing), s.TryGo(bg, nothing), e.TryGo(full, nothing)} {
				require.Equal(t, want[i], err)
			}
		}
		inside, done := make(chan func()), make(chan struct{})
		require.NoError(t, e.Go(bg, func(context.Context) {
			(<-inside)()
			close(done)
		}))
		synctest.Wait()
		require.NoError(t, e.Go(bg, nothing))
		time.Sleep(time.Second)
		require.NoError(t, e.Go(full, nothing))
		submit(ErrOverloaded, ErrOverloaded, ErrQueueFull)
		inside <- func() { submit(nil, nil, nil) }
		<-done
		stats := e.Stats()
		require.EqualValues(t, 2, stats.Lanes[0].Shed)
		require.EqualValues(t, 1, stats.Lanes[1].Rejected)
		require.EqualValues(t, 3, stats.Rejected)
		require.NoError(t, e.Shutdown(bg))
	})
}

// That a task has found a slot is noticed, also if it was one of thousands. Mutant: the share is rounded down.
func TestDelay_OneIdleSlotOfMany(t *testing.T) {
	d := &queueDelay{rule: newDelayRule(time.Millisecond)}
	d.idled(1.0 / 4096)
	d.tell()
	require.True(t, d.rule.asked)
}

func TestQueueDelay_BadTarget(t *testing.T) {
	_, err := New(WithQueueDelay(0))
	require.EqualError(t, err, "executor: WithQueueDelay(0s): must be at least 1ms")
	_, err = New(WithQueueDelay(time.Hour))
	require.EqualError(t, err, "executor: WithQueueDelay(1h0m0s): must be at most 1m0s")
}
