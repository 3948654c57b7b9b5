//go:build executor_chaos

package executor

import (
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
	"time"
)

// chaosSeed decides what happens at the points: EXECUTOR_CHAOS_SEED, or a new one in each process. The
// variable is set from then on, so that children of the process have the same.
var chaosSeed = func() uint64 {
	const name = "EXECUTOR_CHAOS_SEED"
	seed, err := strconv.ParseUint(os.Getenv(name), 10, 64)
	if err != nil {
		seed = uint64(time.Now().UnixNano())
		_ = os.Setenv(name, strconv.FormatUint(seed, 10))
	}
	return seed
}()

var (
	chaosHook     atomic.Pointer[func(chaosPoint)] // takes the place of the delays, for tests that want an order
	chaosRefusals atomic.Bool                      // whether i2Full is forced, which programs can see
)

// chaosPassed counts how often each point was passed. It is plain memory that the race detector does not
// see, for anything atomic would order the very accesses that are to be looked at. Counts may get lost.
var chaosPassed [chaosPoints]struct {
	n uint64
	_ [56]byte
}

// chance returns the next random number of a point, which follows from the seed and how often the point
// was passed (splitmix64).
//
//go:norace
func chance(p chaosPoint) uint64 {
	chaosPassed[p].n++
	x := chaosSeed ^ uint64(p)<<56
	x += chaosPassed[p].n * 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// point stops here now and then: for a moment, or until others have run, once or many times. It does not
// sleep, for it may be called under a lock in a bubble of testing/synctest.
func point(p chaosPoint) {
	if hook := chaosHook.Load(); hook != nil {
		(*hook)(p)
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

// forced reports whether to go the slow way.
func forced(p chaosPoint) bool {
	if chaosHook.Load() != nil || p == i2Full && !chaosRefusals.Load() {
		return false
	}
	return chance(p)%8 == 0
}

// shuffled returns slots in random order: who looks for a victim, or for a blocked slot, goes by it.
func shuffled(slots []*slot) []*slot {
	slots = slices.Clone(slots)
	for i := range slots {
		j := i + int(chance(d1Claim)%uint64(len(slots)-i))
		slots[i], slots[j] = slots[j], slots[i]
	}
	return slots
}
