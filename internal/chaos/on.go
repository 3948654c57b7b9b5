//go:build executor_chaos

package chaos

import (
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"
)

// Seed decides what happens at the points: EXECUTOR_CHAOS_SEED, or a new one in each process. The
// variable is set from then on, so that children of the process have the same.
var Seed = func() uint64 {
	const name = "EXECUTOR_CHAOS_SEED"
	seed, err := strconv.ParseUint(os.Getenv(name), 10, 64)
	if err != nil {
		seed = uint64(time.Now().UnixNano())
		_ = os.Setenv(name, strconv.FormatUint(seed, 10))
	}
	return seed
}()

var (
	hook     atomic.Pointer[func(Point)] // takes the place of the delays, for tests that want an order
	refusals atomic.Bool                 // whether I2Full is forced, which programs can see
)

// passed counts how often each point was passed. It is plain memory that the race detector does not
// see, for anything atomic would order the very accesses that are to be looked at. Counts may get lost.
var passed [points]struct {
	n uint64
	_ [56]byte
}

// chance returns the next random number of a point, which follows from the seed and how often the point
// was passed (splitmix64).
//
//go:norace
func chance(p Point) uint64 {
	passed[p].n++
	x := Seed ^ uint64(p)<<56
	x += passed[p].n * 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// At stops here now and then: for a moment, or until others have run, once or many times. It does not
// sleep, for it may be called under a lock in a bubble of testing/synctest.
func At(p Point) {
	if fn := hook.Load(); fn != nil {
		(*fn)(p)
		return
	}
	switch x := chance(p); {
	case x%8 == 0:
		runtime.Gosched()
	case x%64 == 1:
		for range x >> 32 % 4096 {
			runtime.KeepAlive(x)
		}
	case x%512 == 2:
		for range 16 {
			runtime.Gosched()
		}
	}
}

// Forced reports whether to go the slow way.
func Forced(p Point) bool {
	if hook.Load() != nil || p == I2Full && !refusals.Load() {
		return false
	}
	return chance(p)%8 == 0
}

// Stride returns a random number without a common factor with n: who looks for a victim, or for a blocked slot, goes round
// in such steps, and comes to each of n once.
func Stride(n int) int {
	common := func(a, b int) int {
		for b != 0 {
			a, b = b, a%b
		}
		return a
	}
	for {
		if stride := 1 + int(chance(D1Claim)%uint64(n)); common(n, stride) == 1 {
			return stride
		}
	}
}

// Hook makes fn take the place of the delays, until the function that it returns is called: for tests that want
// an order.
func Hook(fn func(Point)) (remove func()) {
	hook.Store(&fn)
	return func() { hook.Store(nil) }
}

// Refuse forces the slow ways that programs can see, too, until the function that it returns is called.
func Refuse() (stop func()) {
	refusals.Store(true)
	return func() { refusals.Store(false) }
}
