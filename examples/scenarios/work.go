package main

import (
	"runtime"
	"runtime/metrics"
	"slices"
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

// waits are how long many things took, for percentiles.
type waits struct {
	mu  sync.Mutex
	all []time.Duration
}

func (w *waits) see(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, d)
}

// percentile is the time that p percent were not longer than.
func (w *waits) percentile(p int) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.all) == 0 {
		return 0
	}
	slices.Sort(w.all)
	return w.all[min(len(w.all)-1, len(w.all)*p/100)]
}

// firstError keeps the first error that anybody has seen.
type firstError struct {
	once sync.Once
	err  error
}

func (f *firstError) see(err error) {
	if err != nil {
		f.once.Do(func() { f.err = err })
	}
}

// get returns it, when nobody can see any more.
func (f *firstError) get() error { return f.err }

// watch looks at how many goroutines there are and how much memory is in use, until the returned function is called,
// which says how many and how much more than now there were at most.
func watch() (most func() (goroutines int, memory uint64)) {
	runtime.GC()
	samples := []metrics.Sample{
		{Name: "/sched/goroutines:goroutines"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/stacks:bytes"},
	}
	use := func() (uint64, uint64) {
		metrics.Read(samples)
		return samples[0].Value.Uint64(), samples[1].Value.Uint64() + samples[2].Value.Uint64()
	}
	goroutines, memory := use()
	mostGoroutines, mostMemory := goroutines, memory
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(5 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				g, m := use()
				mostGoroutines, mostMemory = max(mostGoroutines, g-1), max(mostMemory, m) // this one does not count
			case <-stop:
				return
			}
		}
	}()
	return func() (int, uint64) {
		close(stop)
		<-done
		return int(mostGoroutines - goroutines), mostMemory - memory
	}
}

// lockWaits is how long goroutines of this program have waited for mutexes, all added up.
func lockWaits() time.Duration {
	sample := []metrics.Sample{{Name: "/sync/mutex/wait/total:seconds"}}
	metrics.Read(sample)
	return time.Duration(sample[0].Value.Float64() * float64(time.Second))
}
