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
// can not be trusted: then tasks are never pushed locally, and the slow paths read a stack trace. While the goroutine
// is a guest of another executor it is that one's (H1).
func (r *runner) isCurrent() bool { return goid.Is(r.goid.Load()) && r.cover == nil }

// stranger reports whether the calling goroutine is in another bubble of testing/synctest than e, or only one of the
// two is in one. r is the caller's runner, of whatever executor, or nil: then it takes some 40 ns.
func (e *Executor) stranger(r *runner) bool {
	if r != nil {
		return r.e.bubble != e.bubble
	}
	return goid.Bubble() != e.bubble
}

// meet is called before the caller waits for e, or leaves something for e to wake it by. A channel that one of the
// two makes, and the other uses, ends the process if they are not in the same bubble. So meet panics instead.
func (e *Executor) meet(r *runner, call string) {
	if e.stranger(r) {
		panic(errBubble(e, call))
	}
}

// meetContext is meet for the parent of a task that the caller submits. One that never ends wakes nobody. r is the
// caller's runner if it is one of e, else nil.
func (e *Executor) meetContext(r *runner, parent context.Context) {
	if r != nil || sameContext(parent, background) {
		return
	}
	if o := e.inject.recent.Load(); o != nil && sameContext(o.parent, parent) {
		return
	}
	if e.stranger(nil) && parent.Done() != nil {
		panic(errBubble(e, "a task whose context can end"))
	}
}

// runnerTable finds the runner of a goroutine, of any executor in the process.
type runnerTable [64]struct {
	mu      sync.RWMutex
	runners map[int64]*runner
	len     atomic.Int32 // of runners, for those who are none themselves: as a rule it is zero
	_       [88]byte
}

var runners runnerTable

func (t *runnerTable) add(r *runner)    { t.swap(r.goid.Load(), r) }
func (t *runnerTable) remove(r *runner) { t.swap(r.goid.Load(), nil) }

// swap makes r the runner of a goroutine, or nobody if it is nil, and returns who was it before.
func (t *runnerTable) swap(id int64, r *runner) (before *runner) {
	shard := &t[uint64(id)%uint64(len(t))]
	shard.mu.Lock()
	if shard.runners == nil {
		shard.runners = make(map[int64]*runner)
	}
	before = shard.runners[id]
	if r != nil {
		shard.runners[id] = r
	} else {
		delete(shard.runners, id)
	}
	shard.len.Store(int32(len(shard.runners)))
	shard.mu.Unlock()
	return before
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
	if r := guests.find(id); r != nil {
		return r
	}
	shard := &runners[uint64(id)%uint64(len(runners))]
	if shard.len.Load() == 0 {
		return nil
	}
	shard.mu.RLock()
	r := shard.runners[id]
	shard.mu.RUnlock()
	return r
}
