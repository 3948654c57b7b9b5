// Package work holds what the benchmarks compute: plain functions that know
// nothing of executors, each with a way to check its result.
package work

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-97bda89a/executor/benchmarks/internal/meter"
)

// Spin keeps a core busy for a number of units. It allocates nothing, touches
// no memory and cannot be optimised away: every step needs the one before.
//
//go:noinline
func Spin(units int) uint64 {
	x := uint64(units) | 1
	for range units {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	return x
}

// Units returns how much Spin takes d on this machine when nothing disturbs
// it. Work is given in units, not in time: a task that was interrupted would
// otherwise do less.
func Units(d time.Duration) int { return max(1, int(float64(d.Nanoseconds())*unitsPerNano())) }

// unitsPerNano takes the fastest of several short trials, which is the one that
// was disturbed least.
var unitsPerNano = sync.OnceValue(func() float64 {
	const units = 1 << 20
	fastest := time.Hour
	for range 20 {
		begun := time.Now()
		Spin(units)
		fastest = min(fastest, time.Since(begun))
	}
	return float64(units) / float64(fastest.Nanoseconds())
})

// Speed measures how many units a second this many goroutines get done
// together: the median of several short trials, and never less than a quarter
// of what undisturbed cores would do. A trial that was interrupted for most of
// its time must not pass for the speed of the machine.
func Speed(goroutines int, trial time.Duration) float64 {
	var speeds []float64
	for range 5 {
		speeds = append(speeds, speedOnce(goroutines, trial))
	}
	undisturbed := float64(Units(time.Second)) * float64(min(goroutines, runtime.NumCPU()))
	return max(meter.Median(speeds), undisturbed/4)
}

func speedOnce(goroutines int, long time.Duration) float64 {
	const step = 1 << 14
	var done atomic.Int64
	var wg sync.WaitGroup
	begun := time.Now()
	for range goroutines {
		wg.Go(func() {
			for time.Since(begun) < long {
				Spin(step)
				done.Add(step)
			}
		})
	}
	wg.Wait()
	return float64(done.Load()) / time.Since(begun).Seconds()
}
