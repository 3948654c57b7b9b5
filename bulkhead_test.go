package executor

import (
	"container/heap"
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

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

// Real calls in fake time, of more clients than the backend can serve: its workers share the work, and become fewer, and more again. Mutant:
// end gives back one permit at most, so the limit never grows again.
func TestAdaptiveBulkhead_FollowsInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := NewAdaptiveBulkhead("backend", 2, 200)
		require.NoError(t, err)
		var mu sync.Mutex
		inUse, workers, done, stop := 0, 0, 0, false
		serve := func() {
			mu.Lock()
			inUse++
			slow := max(1, float64(inUse)/float64(workers))
			mu.Unlock()
			time.Sleep(time.Duration(slow * float64(10*time.Millisecond)))
			mu.Lock()
			defer mu.Unlock()
			inUse--
			done++
		}
		var clients sync.WaitGroup
		for range 300 {
			clients.Go(func() {
				for ended := false; !ended; {
					require.NoError(t, b.Blocking(context.Background(), serve))
					mu.Lock()
					ended = stop
					mu.Unlock()
				}
			})
		}
		for _, phase := range []int{30, 10, 30} {
			mu.Lock()
			workers = phase
			mu.Unlock()
			time.Sleep(2 * time.Second) // it gets used to that
			mu.Lock()
			before := done
			mu.Unlock()
			time.Sleep(2 * time.Second)
			mu.Lock()
			share := float64(done-before) / float64(phase*200)
			mu.Unlock()
			t.Logf("%d workers: %.2f of what they can do, limit %d", phase, share, b.Limit())
			require.GreaterOrEqual(t, share, 0.85)
			require.LessOrEqual(t, b.Limit(), 2*phase)
		}
		mu.Lock()
		stop = true
		mu.Unlock()
		clients.Wait()
		require.Zero(t, b.Stats().Inside)
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
