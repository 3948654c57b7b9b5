package executor

import (
	"runtime/pprof"
	"sync"
)

// errands are calls of somebody else's code that the executor makes on its own account: of a logger, of WithQuotaRounding's
// function, of a span's. They run one after another, on a goroutine that exists only while there is one, and that Close
// does not wait for: such code may take as long as it likes, and may call Shutdown or Close.
type errands struct {
	mu      sync.Mutex
	waiting []func()
	running bool
}

// maxErrands is how many may wait, behind one that takes its time. More are lost.
const maxErrands = 64

// errand has fn called. The caller is a goroutine of the executor, or one that uses it and may start goroutines.
func (e *Executor) errand(fn func()) {
	q := &e.errands
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == maxErrands {
		return
	}
	q.waiting = append(q.waiting, fn)
	if !q.running {
		q.running = true
		go e.runErrands()
	}
}

func (e *Executor) runErrands() {
	pprof.SetGoroutineLabels(e.labels)
	q := &e.errands
	for {
		q.mu.Lock()
		if len(q.waiting) == 0 {
			q.waiting, q.running = nil, false
			q.mu.Unlock()
			return
		}
		fn := q.waiting[0]
		q.waiting[0] = nil
		q.waiting = q.waiting[1:]
		q.mu.Unlock()
		fn()
	}
}
