package executor

import (
	"context"
	"math"
	"time"

	"github.com/seed-97bda89a/executor/internal/chaos"
)

// Blocking and the lending of slots. Invariants, see ARCHITECTURE:
//
//	B1 A runner publishes BLOCKED before it looks at the queues (B2); whoever publishes a task looks
//	   for BLOCKED runners afterwards. So one of the two sees the other.
//	B3 A slot changes hands only by the CAS that moves its holder's word from BLOCKED to TAKEN.
//	B4 Coming back never waits: own slot, else a free slot, else surplus.
//	B5 Every runner that is not parked has a slot or one of MaxSpares credits: a credit exactly if it has no
//	   slot, so nothing needs to say so. There are never more runners than slots and spares, for a new one is
//	   started only when none is parked. The one exception are credits for visitors (B7, guest.go).

// The Blocking word of a runner: epoch<<4 | denied<<3 | kind<<2 | phase. The epoch makes two visits
// to BLOCKED different, so that a retaker can not take a slot for a visit that is over.
const (
	phaseRunning = 0
	phaseBlocked = 1 // the slot may be taken away
	phaseTaken   = 2 // the runner has no slot, whatever held says
	phaseMask    = 3

	kindBlocking = 0
	kindWait     = 1 << 2
	deniedBit    = 1 << 3 // somebody wanted the slot, but there was no spare: counted
	oneEpoch     = 1 << 4
)

// shortCall is how long a call inside Blocking may last to be left alone: below it, a hand-off costs
// more than it brings.
const shortCall = 5 * time.Microsecond

const (
	// sampleEvery is how many Blocking calls share one measurement of their length.
	sampleEvery = 64

	// doubtSamples is how many short samples count for nothing after a call thought short turned out to
	// be long. A call that waits for queued work is short when its slot is handed over, and as long as a
	// tick of the keeper when it is not.
	doubtSamples = 8
)

// Blocking runs fn and lends the task's slot to other tasks meanwhile. Wrap calls in it that block
// the goroutine or its thread: cgo, file and network I/O, locks, channels. It returns when fn does and
// never waits for a slot: until the next task boundary there may be one task more than slots.
//
// The slot goes to a spare runner when work is queued, at once or when the next task arrives;
// WithMaxSpares bounds the spares. When none is left, fn runs all the same and keeps the slot, which
// Stats counts as Uncompensated. A call that lends nothing costs about 15 ns. Nested calls, and calls
// outside of a task, just run fn. The task is recognised by its goroutine, so any ctx will do; the
// task's own is the fastest.
func Blocking(ctx context.Context, fn func()) {
	if ctx == nil {
		panic(errNilContext)
	}
	if fn == nil {
		panic(errNilFunc)
	}
	r := currentRunner(ctx)
	if r == nil || r.block.nested > 0 {
		fn()
		return
	}
	r.blockFor(fn)
}

// blockFor runs fn with the slot lent. The runner is not blocking yet.
func (r *runner) blockFor(fn func()) {
	r.block.calls++
	if sample, each := r.block.calls%sampleEvery == 1, !r.block.short; sample || each {
		start := time.Since(epoch)
		defer func() { r.measured(time.Since(epoch)-start, sample, each) }()
		if r.hold != nil {
			defer r.unhold()()
		}
	}
	if p := r.probe.Load(); p != nil {
		defer p.block()()
	}
	if r.stack.span != nil {
		r.expose()
	}
	r.block.nested = 1
	r.enter(kindBlocking)
	defer r.leaveBlocking()
	fn()
}

// measured takes note of how long a call was. As long as calls are not short each is measured: that costs
// little beside them, so the time spent in calls that block is exact. After a short one only the sample
// is, and counts for all the calls in between.
func (r *runner) measured(length time.Duration, sample, each bool) {
	if each {
		r.count.blocked.add(uint64(length))
	} else {
		r.count.blocked.add(uint64(length) * sampleEvery)
	}
	r.block.short = length < shortCall && r.hold == nil
	if sample {
		r.e.sampled(length)
	}
}

// sampled takes note of how long a Blocking call was. In a bubble none is taken for short: fake time stands still in
// calls that wait for others, and a slot left to one would be handed over by the clock.
func (e *Executor) sampled(length time.Duration) {
	if e.bubble != 0 || e.cfg.tickless {
		return
	}
	if length < shortCall && e.doubts.Load() > 0 {
		e.doubts.Add(-1)
		return
	}
	e.lastCall.Store(int64(length))
}

// rescue is the backstop for slots that were left to calls thought short. The keeper calls it in each tick. It
// reports whether a slot was handed over.
func (e *Executor) rescue() bool {
	before := e.outside.handoffs.Load()
	e.notify()
	handed := e.outside.handoffs.Load() != before
	if handed && e.lastCall.Load() < int64(shortCall) {
		e.doubts.Store(doubtSamples)
		e.lastCall.Store(math.MaxInt64) // unknown counts as long
	}
	return handed
}

func (r *runner) leaveBlocking() {
	r.block.nested = 0
	r.leave()
}

// enter lends the runner's slot: publish, then look (B1).
func (r *runner) enter(kind uint64) {
	e := r.e
	word := r.word.Load()&^(oneEpoch-1) + oneEpoch | kind
	if r.slot == nil && !r.takeGift() {
		r.stopSurplus()
	}
	if r.slot == nil {
		r.word.Store(word | phaseTaken)
		return
	}
	word |= phaseBlocked
	r.word.Store(word)
	chaos.At(chaos.B1Published)
	state := e.word.Load() // pairs with the load in notify (B1, P1)
	if state&lent == 0 {
		state = e.word.Or(lent)
	}
	if state&(searchingMask|freeMask) != 0 || state&pending == 0 || !e.hasWork() { // (B2) who publishes sets pending
		return
	}
	if kind == kindWait || e.lastCall.Load() >= int64(shortCall) {
		e.retake(r, word, !r.guest)
	} else {
		e.hurry() // the keeper takes the slot if the call turns out to be long
	}
}

// leave takes the slot back, without waiting (B4).
func (r *runner) leave() {
	for {
		word := r.word.Load()
		chaos.At(chaos.B3Back)
		switch word & phaseMask {
		case phaseRunning: // a task run in place inside Blocking ended by Goexit
			return
		case phaseBlocked:
			if !chaos.Forced(chaos.B3Return) && r.word.CompareAndSwap(word, word&^phaseMask|phaseRunning) { // against retake (B3)
				return
			}
		case phaseTaken:
			if r.slot != nil { // it was taken meanwhile, with a credit in our name
				r.release()
			}
			r.findSlot()
			r.word.Store(word&^phaseMask | phaseRunning)
			return
		}
	}
}

// findSlot gets a free slot for a runner that lost its own, or makes it surplus.
func (r *runner) findSlot() {
	e := r.e
	chaos.At(chaos.B4Lost)
	e.idle.mu.Lock()
	if len(e.idle.free) == 0 {
		e.idle.surplus.push(r)
		e.word.Or(debt)
		e.idle.mu.Unlock()
		return
	}
	s := e.popFree()
	e.idle.mu.Unlock()
	r.adopt(s)
	e.returnCredit()
}

// retake moves the slot of h, whose word is given, to another runner. It needs a credit, for h is a
// runner beyond the slots from then on. When there is none left, a yielded runner can still have the
// slot: it stops being beyond the slots, and its credit becomes h's.
func (e *Executor) retake(h *runner, word uint64, byRunner bool) bool {
	var yielded *resume
	if !e.tryCredit() {
		if yielded = e.inject.takeResume(); yielded == nil && !e.creditForVisitor() {
			e.deny(h, word)
			e.letOver()
			if e.nobodyRuns() { // after deny, and so after every holder's word: pairs with the look in Group.park (W1)
				e.stuck.wake()
				if o := e.orders(); o != nil {
					o.relieve()
				}
			}
			return false
		}
	}
	s := h.held.Load() // before: once it is taken, h may come back and hold another slot
	taken := word&^phaseMask | phaseTaken
	chaos.At(chaos.B3Held)
	// (B3) The epoch says that s is still it. That somebody else was denied a credit for it changes nothing.
	if !h.word.CompareAndSwap(word, taken) && !h.word.CompareAndSwap(word|deniedBit, taken) {
		if yielded != nil {
			e.inject.putBack(yielded)
			e.word.Or(lent)
			e.notify()
		} else {
			e.returnCredit()
		}
		return false
	}
	e.outside.handoffs.Add(1)
	if word&kindWait != 0 {
		e.outside.waits.Add(1)
	}
	if !byRunner { // there may be more blocked slots: before anybody can look for them
		e.word.Or(lent)
	}
	if yielded != nil {
		yielded.r.token <- s
		e.notify() // it does not search
	} else {
		e.staff(s, byRunner)
	}
	return true
}

// tryCredit takes a credit. When there is none, whoever returns the next one will know that it was wanted.
func (e *Executor) tryCredit() bool {
	if !chaos.Forced(chaos.B5Denied) && e.credits.TryAcquire(1) {
		return true
	}
	e.denied.Store(true) // then look again: pairs with the swap in returnCredit
	return e.credits.TryAcquire(1)
}

// deny counts that a blocked runner keeps its slot although somebody wants it.
func (e *Executor) deny(h *runner, word uint64) {
	if word&deniedBit == 0 && h.word.CompareAndSwap(word, word|deniedBit) {
		e.outside.uncompensated.Add(1)
	}
}

// blocked reports whether the slot's owner blocks or waits, and still has it. Anybody may ask.
func (s *slot) blocked() bool {
	h := s.owner()
	return h != nil && h.word.Load()&phaseMask == phaseBlocked
}

// stuck reports whether the calling runner lends its slot, but there was no spare to take it.
func (r *runner) stuck() bool {
	return r.block.nested == 0 && r.word.Load()&(phaseMask|deniedBit) == phaseBlocked|deniedBit
}

// retakeBlocked looks for a slot whose holder is blocked and gives it to a runner that will search.
func (e *Executor) retakeBlocked() {
	e.word.And(^uint64(lent)) // first, so that a runner that blocks meanwhile is not forgotten
	slots := *e.slots.Load()
	stride := chaos.Stride(len(slots))
	start := int(e.rotate.Add(1) % uint32(len(slots))) // before it is an int: that has 32 bits on some systems
	for i := range slots {
		h := slots[(start+i*stride)%len(slots)].Load().holder.Load()
		if h == nil {
			continue
		}
		word := h.word.Load()
		if word&phaseMask != phaseBlocked {
			continue
		}
		if e.retake(h, word, false) {
			return
		}
		if e.denied.Load() { // returnCredit sets lent again
			return
		}
		e.word.Or(lent)
	}
}

// returnCredit gives one place among the spares back. Somebody may have been denied one, or a task
// may be waiting for a slot that can be lent now.
func (e *Executor) returnCredit() {
	if !e.visitors.repaid() {
		e.credits.Release(1)
	}
	e.retry()
}

// retry looks again for a slot to lend, if there was no credit for one.
func (e *Executor) retry() {
	if e.denied.Load() && e.denied.Swap(false) {
		e.word.Or(lent)
		if e.hasWork() {
			e.notify()
			if e.keeper.slow.Load() { // it may have wanted the spare
				e.keeper.poke()
			}
		}
	}
}

// repay gives a slot to a surplus runner, which has one again from then on, and everybody can see that. It may be in the
// middle of its task, and looks later (takeGift), or never. Its credit is the caller's now (B5). Caller holds
// idle.mu, and calls notify afterwards.
func (e *Executor) repay(s *slot) {
	x := e.idle.surplus.pop()
	if e.idle.surplus.top == nil {
		e.word.And(^uint64(debt))
	}
	s.holder.Store(x)
	chaos.At(chaos.B5Repaid)
	x.held.Store(s)
}

// stopSurplus ends the time of a runner without a slot as surplus. If a slot has repaid it meanwhile, the runner
// has that, and stopSurplus reports true; otherwise nobody can repay it any more.
func (r *runner) stopSurplus() bool {
	e := r.e
	e.idle.mu.Lock()
	defer e.idle.mu.Unlock()
	if r.takeGift() {
		return true
	}
	if r.list == &e.idle.surplus {
		e.idle.surplus.remove(r)
		if e.idle.surplus.top == nil {
			e.word.And(^uint64(debt))
		}
	}
	return false
}

// takeGift sees whether a slot has repaid this runner, which then uses it from now on.
func (r *runner) takeGift() bool {
	if r.slot != nil {
		return false
	}
	r.slot = r.held.Load()
	return r.slot != nil
}

// settle repays, at a task boundary, what coming back from Blocking without a slot has borrowed: a
// surplus runner stops being one, and a runner with a slot gives it to one that has none.
func (r *runner) settle() {
	e := r.e
	if r.slot == nil && !r.stopSurplus() {
		return // and park
	}
	e.idle.mu.Lock()
	if e.idle.surplus.top == nil {
		e.idle.mu.Unlock()
		return
	}
	spare := len(e.idle.free) > 0
	if spare {
		e.repay(e.popFree())
	} else {
		e.repay(r.release())
	}
	e.idle.mu.Unlock()
	if spare { // the credit of the one that was repaid; otherwise this runner needs it (B5)
		e.returnCredit()
	}
	e.notify()
}
