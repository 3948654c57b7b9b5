package work

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/seed-97bda89a/executor/benchmarks/internal/meter"
)

// An Arrival is a request that comes at its time, whether or not the one
// before has been answered: an open loop. A closed loop, in which a client
// waits before it asks again, hides exactly the delays that matter.
type Arrival struct {
	At    time.Duration // after the start
	Heavy bool
}

// HeavyEvery says that one of so many requests is heavy: 5 %.
const HeavyEvery = 20

// HeavyTimes is how much longer a heavy request takes.
const HeavyTimes = 20

// Arrivals returns n arrivals at rate per second with exponential gaps, the
// same every time. Exactly one in HeavyEvery is heavy, at a random place.
func Arrivals(n int, rate float64) []Arrival {
	r := rand.New(rand.NewPCG(7, 8))
	out := make([]Arrival, n)
	at := 0.0
	for i := range out {
		at += r.ExpFloat64() / rate
		out[i].At = time.Duration(at * float64(time.Second))
	}
	for i := 0; i+HeavyEvery <= n; i += HeavyEvery {
		out[i+r.IntN(HeavyEvery)].Heavy = true
	}
	return out
}

// MeanUnits is the mean cost of a request whose light ones cost this much.
func MeanUnits(light float64) float64 {
	return light * (HeavyEvery - 1 + HeavyTimes) / HeavyEvery
}

// Play calls each for every arrival at its time. It
// never skips: late arrivals are called at once, with their planned time, so
// that lateness counts as waiting.
func Play(arrivals []Arrival, each func(i int, a Arrival, planned time.Time)) {
	begun := time.Now()
	for i, a := range arrivals {
		planned := begun.Add(a.At)
		if d := time.Until(planned); d > 0 {
			time.Sleep(d)
		}
		each(i, a, planned)
	}
}

// Percentiles sets p50, p99 and p99.9 of the durations, as NAME-p50-ns and so
// on.
func Percentiles(m *meter.Meter, name string, d []time.Duration) {
	sorted := make([]float64, len(d))
	for i, v := range d {
		sorted[i] = float64(v.Nanoseconds())
	}
	slices.Sort(sorted)
	m.Set(name+"-p50-ns", meter.Quantile(sorted, 0.50))
	m.Set(name+"-p99-ns", meter.Quantile(sorted, 0.99))
	m.Set(name+"-p99.9-ns", meter.Quantile(sorted, 0.999))
}

// Deep recurses to the given depth with a frame of about a quarter kilobyte,
// so that a fresh goroutine has to grow its stack several times.
//
//go:noinline
func Deep(depth int) int {
	var frame [24]int
	frame[depth%len(frame)] = depth
	if depth == 0 {
		return 0
	}
	return Deep(depth-1) + frame[depth%len(frame)] - depth + 1
}
