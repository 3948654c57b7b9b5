package executor

import (
	"context"
	"slices"
	"sync"

	"github.com/seed-97bda89a/executor/internal/chaos"
)

// Waiting inside a task. A waiter first runs what it waits for, if nobody has started it; only then
// does it lend its slot and park. It never runs anything else on its stack: an unrelated task could
// want a lock that the waiter holds, or take for ever.
//
// Why this can not deadlock, not even with one slot and no spares (W1): what is waited for is done,
// or queued, and then the waiter runs it; or running on another runner, which is itself not waiting
// for this one unless the program waits in a circle; or yielded, and then it holds a credit, and a
// waiter's slot can be given to it without another credit (Executor.retake).

// lendWhile runs wait, which parks the goroutine, with r's slot lent. r is nil outside of tasks.
func (r *runner) lendWhile(wait func()) {
	if r == nil || r.block.nested > 0 {
		wait()
		return
	}
	r.expose()
	r.enter(kindWait)
	defer r.leave()
	chaos.At(chaos.W1Waits)
	wait()
}

// inPlace runs a claimed task on the waiter's stack. Inside Blocking the runner first comes back, as
// the task is ordinary work.
func (r *runner) inPlace(run func()) {
	if r.block.nested == 0 {
		run()
		return
	}
	nested := r.block.nested
	r.leaveBlocking()
	defer func() {
		r.enter(kindBlocking)
		r.block.nested = nested
	}()
	run()
}

// await parks until done is closed, which is nil's result, or ctx is done. early, if not nil, is another
// channel that ends the wait; early then says whether it did.
func (r *runner) await(ctx context.Context, done, early <-chan struct{}) (byEarly bool, err error) {
	r.lendWhile(func() {
		if early == nil && ctx.Done() == nil {
			<-done
			return
		}
		select {
		case <-done:
		case <-early:
			byEarly = true
		case <-ctx.Done():
			select {
			case <-done: // both: the result counts
			default:
				err = errorOf(ctx)
			}
		}
	})
	return byEarly, err
}

// bury accounts for the queue entry of a task that r has claimed. The entry is dead. Usually it is the
// newest in the own deque, and goes, with any dead ones below it; otherwise it stays until it is popped
// or the deque or the injector is short of room.
func (r *runner) bury() {
	chaos.At(chaos.W1Claimed)
	if r.trim() == 0 {
		r.buryBelow()
	} else {
		r.e.inject.dead.Add(1) // trim has counted it already
	}
}

// buryBelow accounts for a dead entry that is not at the tail of the own deque: further down, perhaps, and then
// children that are taken back have to look for it.
func (r *runner) buryBelow() {
	if r.slot != nil && r.block.nested == 0 { // inside Blocking the slot may be somebody else's by now
		r.slot.buried = true
	}
	r.e.bury()
}

// trim pops dead entries off the tail of the own deque and returns how many.
func (r *runner) trim() int {
	if r.slot == nil || r.block.nested > 0 {
		return 0
	}
	d, n := &r.slot.deque, 0
	for {
		en, ok := d.pop()
		if !ok {
			d.buried = false
			break
		}
		chaos.At(chaos.P4Hidden)
		if !en.dead() {
			d.push(en)
			r.e.notify() // nobody could see it for a moment (P4)
			break
		}
		en.of.job.left(r)
		n++
	}
	if n > 0 {
		r.e.inject.dead.Add(int64(-n))
	}
	return n
}

// stuckWaits lists what parked tasks wait for, one entry for each such task. A task parks because others run what
// it waits for. When the last spare is gone and every slot is held by a waiting task, nobody does, and the parked
// ones have to run it themselves (W1).
type stuckWaits struct {
	mu    sync.Mutex
	waits []stuckWait
}

// stuckWait is a Group, or a stream.
type stuckWait interface{ wakeStuck() }

func (l *stuckWaits) add(w stuckWait) {
	l.mu.Lock()
	l.waits = append(l.waits, w)
	l.mu.Unlock()
}

func (l *stuckWaits) remove(w stuckWait) {
	l.mu.Lock()
	i, last := slices.Index(l.waits, w), len(l.waits)-1
	l.waits[i], l.waits[last] = l.waits[last], nil
	l.waits = l.waits[:last]
	l.mu.Unlock()
}

// nobodyRuns reports whether the holder of every slot blocks or waits.
func (e *Executor) nobodyRuns() bool {
	if e.word.Load()&(searchingMask|freeMask) != 0 {
		return false
	}
	for _, s := range *e.slots.Load() {
		if !s.blocked() {
			return false
		}
	}
	return true
}

// wake wakes those who wait for a task that is queued. Caller holds no lock.
func (l *stuckWaits) wake() {
	l.mu.Lock()
	waits := slices.Clone(l.waits)
	l.mu.Unlock()
	for _, w := range waits {
		w.wakeStuck()
	}
}
