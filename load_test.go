package executor

import (
	"container/heap"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
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
			rule.started(start, wait, wait)
			free[i] = start + queue[0].length
			done += queue[0].length
			waits, responses = append(waits, wait), append(responses, wait+queue[0].length)
			queue = queue[1:]
		}
	}
	for range n {
		now += time.Duration(rng.ExpFloat64() * float64(mean) / (load * float64(slots)))
		drain(now)
		oldest, idle := time.Duration(0), false
		if len(queue) > 0 {
			oldest = now - queue[0].at
		}
		for _, f := range free {
			idle = idle || f <= now
		}
		if rule.refuses(now, oldest, idle && len(queue) == 0) {
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

// The rule, step by step. Mutants: a missing condition of refuses; pass that keeps the shortest wait; the longest wait for the
// shortest; an interval without starts that counts as short, or as late for ever.
func TestDelay_Rule(t *testing.T) {
	const ms = time.Millisecond
	type step struct {
		at, oldest, wait time.Duration // wait none: a submission
		idle, refused    bool
	}
	ask := func(at, oldest time.Duration, refused bool) step { return step{at, oldest, none, false, refused} }
	start := func(at, wait time.Duration) step { return step{at, wait, wait, false, false} }
	for name, steps := range map[string][]step{
		"short waits":                       {start(1*ms, 2*ms), start(15*ms, 50*ms), ask(21*ms, 50*ms, false), ask(41*ms, 0, false)},
		"late, both":                        {start(1*ms, 11*ms), start(15*ms, 50*ms), ask(21*ms, 11*ms, true), ask(22*ms, 10*ms, false), ask(23*ms, 11*ms, true)},
		"a slot is idle":                    {start(1*ms, 11*ms), {21 * ms, 11 * ms, none, true, false}},
		"one short wait":                    {start(1*ms, 11*ms), start(2*ms, 9*ms), start(3*ms, 11*ms), ask(21*ms, 30*ms, false)},
		"the next interval decides anew":    {start(1*ms, 11*ms), ask(22*ms, 11*ms, true), start(23*ms, 1*ms), ask(44*ms, 30*ms, false)},
		"nothing starts":                    {start(1*ms, 0), ask(39*ms, 38*ms, false), ask(41*ms, 40*ms, true), ask(80*ms, 0, false)},
		"nothing starts, the oldest is new": {start(1*ms, 0), ask(45*ms, 14*ms, false)},
		"a long silence":                    {start(1*ms, 11*ms), ask(9*time.Second, 0, false), ask(9*time.Second+10*ms, 11*ms, false)},
	} {
		t.Run(name, func(t *testing.T) {
			rule := newDelayRule(10 * ms)
			for i, s := range steps {
				if s.wait != none {
					rule.started(s.at, s.oldest, s.wait)
				} else {
					require.Equal(t, s.refused, rule.refuses(s.at, s.oldest, s.idle), "step %d: %+v", i, s)
				}
			}
		})
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
		{"90 %", 0.9, sameLength, 0.001, 0.88, 15 * time.Millisecond},
		{"150 %", 1.5, sameLength, 0.345, 0.97, 45 * time.Millisecond},
		{"300 %", 3, sameLength, 0.68, 0.97, 120 * time.Millisecond},
		{"150 %, some long", 1.5, mixedLength, 0.40, 0.97, 80 * time.Millisecond},
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

func TestQueueDelay_BadTarget(t *testing.T) {
	_, err := New(WithQueueDelay(0))
	require.EqualError(t, err, "executor: WithQueueDelay(0s): must be at least 1ms")
	_, err = New(WithQueueDelay(time.Hour))
	require.EqualError(t, err, "executor: WithQueueDelay(1h0m0s): must be at most 1m0s")
}

// The adaptive Bulkhead.

// backend is a server with so many workers, and a queue: what is called through a Bulkhead by more clients than it can
// serve. It is simulated event by event, so the test is exact and takes no time.
type backend struct {
	rng     *rand.Rand
	workers int
	service float64 // mean of a call, ns
	now     float64
	queue   []float64 // when those that wait began
	running doneHeap
}

type serving struct {
	done, began float64
	inUse       int
}

type doneHeap []serving

func (h doneHeap) Len() int           { return len(h) }
func (h doneHeap) Less(i, j int) bool { return h[i].done < h[j].done }
func (h doneHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *doneHeap) Push(x any)        { *h = append(*h, x.(serving)) }
func (h *doneHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// phase plays n calls with as many in progress as limit says, and returns how many were done in a second, and the
// 99th percentile of their latency.
func (b *backend) phase(n int, limit func() int, sample func(time.Duration, int)) (perSecond, p99 float64) {
	start, latencies := b.now, make([]float64, 0, n)
	for len(latencies) < n {
		for len(b.queue)+len(b.running) < limit() {
			b.queue = append(b.queue, b.now)
		}
		for len(b.running) < b.workers && len(b.queue) > 0 {
			took := b.service * (0.5 + b.rng.Float64())
			heap.Push(&b.running, serving{b.now + took, b.queue[0], len(b.queue) + len(b.running)})
			b.queue = b.queue[1:]
		}
		c := heap.Pop(&b.running).(serving)
		b.now = c.done
		latencies = append(latencies, c.done-c.began)
		sample(time.Duration(c.done-c.began), len(b.queue)+len(b.running)+1)
	}
	slices.Sort(latencies)
	return float64(n) / (b.now - start) * 1e9, latencies[len(latencies)*99/100]
}

// The limit follows a backend whose capacity falls to a third and comes back, and one that becomes slower as such:
// throughput within 10 % of the best fixed limit in each phase, p99 at most twice its own. Mutants: no probe (base is
// never measured again), tolerance 3, no growth, base from the mean of all windows.
func TestGradient_FollowsTheBackend(t *testing.T) {
	t.Parallel()
	const calls = 40_000
	g := newGradient(2, 300)
	adaptive := &backend{rng: rand.New(rand.NewPCG(1, 2))}
	for i, phase := range []struct {
		workers int
		service time.Duration
	}{{60, 10 * time.Millisecond}, {20, 10 * time.Millisecond}, {60, 10 * time.Millisecond}, {60, 30 * time.Millisecond}} {
		bestRate, bestP99 := 0.0, 0.0
		for limit := phase.workers / 2; limit < 4*phase.workers; limit += max(1, phase.workers/4) {
			fixed := &backend{rng: rand.New(rand.NewPCG(3, 4)), workers: phase.workers, service: float64(phase.service)}
			rate, p99 := fixed.phase(calls/4, func() int { return limit }, func(time.Duration, int) {})
			if rate > bestRate*1.02 {
				bestRate, bestP99 = rate, p99
			}
		}
		adaptive.workers, adaptive.service = phase.workers, float64(phase.service)
		rate, p99 := adaptive.phase(calls, g.now, g.sample)
		t.Logf("phase %d: %.0f a second of %.0f, p99 %v of %v, limit %d", i, rate, bestRate, time.Duration(p99), time.Duration(bestP99), g.now())
		require.GreaterOrEqual(t, rate, 0.9*bestRate, "phase %d", i)
		require.LessOrEqual(t, p99, 2*bestP99, "phase %d", i)
	}
}

// A limit that nobody uses does not grow, and stays within its bounds.
func TestGradient_Bounds(t *testing.T) {
	g := newGradient(3, 50)
	for range 10_000 {
		g.sample(time.Millisecond, 1)
	}
	require.Equal(t, gradientStart, g.now())
	for range 10_000 {
		g.sample(time.Millisecond, 50)
		require.LessOrEqual(t, g.now(), 50)
	}
	require.GreaterOrEqual(t, int(g.limit), 50)
	for i := range 10_000 {
		g.sample(time.Duration(i)*time.Millisecond, 50)
		require.GreaterOrEqual(t, g.now(), 3)
	}
	require.Equal(t, 3, newGradientNow(2, 3))
	require.Equal(t, 20, newGradientNow(20, 30))
}

func newGradientNow(low, high int) int { g := newGradient(low, high); return g.now() }

// The permits are the limit's, also while it moves: never more calls at once than it has been, and none is lost.
func TestAdaptiveBulkhead_KeepsItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := NewAdaptiveBulkhead("backend", 2, 64)
		require.NoError(t, err)
		require.Equal(t, gradientStart, b.Limit())
		var mu sync.Mutex
		inUse, workers, most := 0, 16, 0
		var clients sync.WaitGroup
		for range 100 {
			clients.Go(func() {
				for range 300 {
					require.NoError(t, b.Blocking(context.Background(), func() {
						mu.Lock()
						inUse++
						most = max(most, inUse)
						slow := max(1, float64(inUse)/float64(workers))
						mu.Unlock()
						time.Sleep(time.Duration(slow * float64(10*time.Millisecond)))
						mu.Lock()
						inUse--
						mu.Unlock()
					}))
				}
			})
		}
		clients.Wait()
		require.LessOrEqual(t, most, 40)
		require.Greater(t, most, workers/2)
		a := b.adaptive
		require.Zero(t, a.inUse)
		require.Equal(t, a.max-a.rule.now(), a.withheld, "all permits are there")
		func() {
			defer func() { require.Equal(t, "on purpose", recover()) }()
			_ = b.Blocking(context.Background(), func() { panic("on purpose") })
		}()
		require.Zero(t, a.inUse)
		require.True(t, b.calls.TryAcquire(int64(b.Limit())))
	})
}

func TestAdaptiveBulkhead_BadArguments(t *testing.T) {
	for _, c := range []struct {
		name     string
		min, max int
		err      string
	}{
		{"", 1, 2, `executor: NewAdaptiveBulkhead("", 1, 2): name must not be empty`},
		{"x", 0, 2, `executor: NewAdaptiveBulkhead("x", 0, 2): min must be at least 1`},
		{"x", 3, 2, `executor: NewAdaptiveBulkhead("x", 3, 2): max must be at least min`},
	} {
		_, err := NewAdaptiveBulkhead(c.name, c.min, c.max)
		require.EqualError(t, err, c.err)
	}
	fixed, err := NewBulkhead("fixed", 7)
	require.NoError(t, err)
	require.Equal(t, 7, fixed.Limit())
	require.Zero(t, (*Bulkhead)(nil).Limit())
}
