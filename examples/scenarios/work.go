package main

import (
	"sync"
	"time"
)

// spin computes what takes this machine d when nothing else runs on it. It counts, and does not look at the clock: when
// somebody else has the processor, that makes it longer, as it does with real work.
func spin(d time.Duration) {
	seed := uint64(d) | 1
	for range int(float64(d) * perNanosecond()) {
		seed ^= seed << 13
		seed ^= seed >> 7
		seed ^= seed << 17
	}
	if seed == 0 {
		panic("a xorshift of something is never nothing") // and the compiler can not leave the loop out
	}
}

// perNanosecond is how many times the loop of spin goes round in a nanosecond, by the fastest of some tries.
var perNanosecond = sync.OnceValue(func() float64 {
	const rounds = 100_000
	fastest := time.Hour
	for range 20 {
		seed, start := uint64(1), time.Now()
		for range rounds {
			seed ^= seed << 13
			seed ^= seed >> 7
			seed ^= seed << 17
		}
		if took := time.Since(start); seed != 0 {
			fastest = min(fastest, took)
		}
	}
	return rounds / float64(fastest)
})

// longest keeps the longest time that anybody has seen.
type longest struct {
	mu  sync.Mutex
	max time.Duration
}

func (l *longest) see(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.max = max(l.max, d)
}

func (l *longest) get() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.max
}
