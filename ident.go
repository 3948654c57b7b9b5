package executor

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/seed-97bda89a/executor/internal/goid"
)

// Runners are recognised by their goroutine, whatever context a call is given (API promise 4).
// A task context that names the runner is checked against the goroutine's number, which takes two
// nanoseconds. A call without one that is about to wait asks the table below.

var learned sync.Once

// learnRuntime finds out, once, what can not be known before the program runs.
func learnRuntime() {
	learned.Do(func() {
		learnContexts()
		goid.Learn()
	})
}

// isCurrent reports whether the calling goroutine is r's. It is false everywhere if the fast number
// can not be trusted: then tasks are never pushed locally, and the slow paths read a stack trace.
func (r *runner) isCurrent() bool { return goid.Is(r.goid) }

// runnerTable finds the runner of a goroutine, of any executor in the process.
type runnerTable [64]struct {
	mu      sync.RWMutex
	runners map[int64]*runner
	len     atomic.Int32 // of runners, for those who are none themselves: as a rule it is zero
	_       [88]byte
}

var runners runnerTable

func (t *runnerTable) add(r *runner) {
	shard := &t[uint64(r.goid)%uint64(len(t))]
	shard.mu.Lock()
	if shard.runners == nil {
		shard.runners = make(map[int64]*runner)
	}
	shard.runners[r.goid] = r
	shard.len.Store(int32(len(shard.runners)))
	shard.mu.Unlock()
}

func (t *runnerTable) remove(r *runner) {
	shard := &t[uint64(r.goid)%uint64(len(t))]
	shard.mu.Lock()
	delete(shard.runners, r.goid)
	shard.len.Store(int32(len(shard.runners)))
	shard.mu.Unlock()
}

// currentRunner returns the runner that the calling goroutine is, or nil. ctx, which may be nil, only
// makes the answer faster.
func currentRunner(ctx context.Context) *runner {
	if ctx != nil {
		if tc := taskOf(ctx); tc != nil && tc.r.isCurrent() {
			return tc.r
		}
	}
	id := goid.ID()
	shard := &runners[uint64(id)%uint64(len(runners))]
	if shard.len.Load() == 0 {
		return nil
	}
	shard.mu.RLock()
	r := shard.runners[id]
	shard.mu.RUnlock()
	return r
}
