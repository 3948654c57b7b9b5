package explore

import (
	"fmt"
	"math/bits"
)

// The small operations of the model in pool_test.go, and what must hold.

func (q *poolQueue) tasks() []uint8 { return q.of[:q.n] }

func (q *poolQueue) push(task uint8) {
	q.of[q.n] = task
	q.n++
}

func (q *poolQueue) take() uint8 {
	task := q.of[0]
	copy(q.of[:], q.of[1:])
	q.n--
	q.of[q.n] = 0
	return task
}

func (q *poolQueue) pop() uint8 {
	q.n--
	task := q.of[q.n]
	q.of[q.n] = 0
	return task
}

func (l *poolStack) push(r uint8) {
	l.of[l.n] = r
	l.n++
}

func (l *poolStack) pop() uint8 {
	l.n--
	r := l.of[l.n]
	l.of[l.n] = 0
	return r
}

func (l *poolStack) remove(r uint8) {
	for i := range l.n {
		if l.of[i] == r {
			copy(l.of[i:], l.of[i+1:])
			l.n--
			l.of[l.n] = 0
			return
		}
	}
}

func (s *poolState) lock(t int) bool {
	if s.mu != 0 {
		return false
	}
	s.mu = uint8(t) + 1
	acquire(s.known[:], t, plMu)
	return true
}

func (s *poolState) unlock(t int) {
	s.mu = 0
	release(s.known[:], t, plMu)
}

func (s *poolState) popFree() uint8 {
	s.free--
	slot := s.list[s.free]
	s.list[s.free] = 0
	return slot
}

func (s *poolState) pushFree(slot uint8) {
	s.list[s.free] = slot
	s.free++
}

// owns is an access to what only the holder of a slot may touch.
func (s *poolState) owns(t int, m *move) *poolSlot {
	slot := s.runners[t].slot - 1
	if !s.known[slot].touch(t) {
		m.fail("D4: runner %d uses slot %d, and does not know of its last user", t, slot)
	}
	return &s.slots[slot]
}

// begin notes that a runner has taken a task; it runs it after what nextTask does before.
func (s *poolState) begin(t int, task uint8, m *move) {
	if s.started>>task&1 != 0 {
		m.fail("D1: task %d runs twice", task)
	}
	s.started |= 1 << task
	s.runners[t].task = task + 1
}

// rtScans is in c of a frame of retake: retakeBlocked has called it.
const rtScans = 0x80

// pkHasCredit is in b of a frame of park: a credit is to be returned.
const pkHasCredit = 2

func (f *poolFrame) credit(has bool) {
	if has {
		f.b |= pkHasCredit
	}
}

// gift is takeGift where there is one.
func (p *pool) gift(s *poolState, t int) {
	acquire(s.known[:], t, plGift+t)
	s.runners[t].slot = s.runners[t].held
}

// release lets go of a runner's slot, and returns it.
func (s *poolState) release(t int) uint8 {
	r := &s.runners[t]
	slot := r.slot - 1
	r.slot, r.held = 0, 0
	return slot
}

// places is how many slots there can be, and exists whether one of them is there now.
func (p *pool) places() int {
	if p.keeper {
		return plSlots
	}
	return p.slots
}

func (p *pool) exists(s *poolState, slot uint8) bool {
	return int(slot) < p.slots || s.lentSlots>>slot&1 != 0
}

// over is slot.leaves: whether the task that a slot was lent for has moved.
func (s *poolState) over(slot uint8) bool {
	d := &s.slots[slot]
	return d.lender != 0 && (s.runners[d.lender-1].task != d.task || s.runners[d.lender-1].next != d.next)
}

// has is runner.has, for whatever slot it is.
func (r *poolRunner) has() bool { return r.held != 0 && r.phase != phaseTaken }

// idles is Executor.idles.
func (s *poolState) idles() bool { return s.free != 0 && s.searching == 0 && s.injected.n == 0 }

// queued returns the tasks that are queued, one bit each.
func (s *poolState) queued() (queued uint8) {
	for _, task := range s.injected.tasks() {
		queued |= 1 << task
	}
	for i := range s.slots {
		for _, task := range s.slots[i].deque.tasks() {
			queued |= 1 << task
		}
	}
	return queued
}

func (s *poolState) leaveSurplus(t int) {
	if r := &s.runners[t]; r.list == 2 {
		s.surplus.remove(uint8(t))
		r.list = 0
		if s.surplus.n == 0 {
			s.debt = false
		}
	}
}

func (p *pool) listParked(s *poolState, t int) {
	s.parked.push(uint8(t))
	s.runners[t].list = 1
	s.unlock(t)
}

func (p *pool) uncount(s *poolState, m *move) {
	if s.searching == 0 {
		m.fail("P0: the searching count falls below zero")
		return
	}
	s.searching--
}

// always: a slot has one holder (B3), the one that everybody sees; and there are no more runners than slots and spares (B5).
func (p *pool) always(s *poolState) string {
	held, seen := [plSlots]uint8{}, [plSlots]uint8{}
	beyond := 0
	for i := range p.runners {
		r := &s.runners[i]
		if r.slot != 0 && r.phase != phaseTaken {
			held[r.slot-1]++
		}
		if r.has() {
			seen[r.held-1]++
		}
		if r.born && r.list != 1 {
			beyond++
		}
	}
	for i := range s.free {
		held[s.list[i]]++
		seen[s.list[i]]++
	}
	for slot, n := range held {
		if n > 1 || seen[slot] > 1 {
			return fmt.Sprintf("B3: slot %d has %d holders, and %d seem to have it", slot, n, seen[slot])
		}
	}
	if beyond > p.slots+p.credits {
		return fmt.Sprintf("B5: %d runners are not parked", beyond)
	}
	return ""
}

// atRest: nobody moves, so what is queued waits for ever (P0, promise 13), and what is counted wrong stays so.
func (p *pool) atRest(s *poolState) string {
	queued := s.queued()
	if queued != s.pushed&^s.started {
		return fmt.Sprintf("P0: tasks %b were submitted and not started, %b are queued", s.pushed&^s.started, queued)
	}
	blocked, unmarked := false, false
	loans := bits.OnesCount8(s.lentSlots)
	placed := int(s.free)
	credits := int(s.credits) + loans
	for i := range s.free {
		if s.slots[s.list[i]].lender != 0 {
			return "S3: a lent slot is free"
		}
	}
	for i := range p.runners {
		r := &s.runners[i]
		has := r.slot != 0 && r.phase != phaseTaken || r.slot == 0 && r.held != 0
		if r.slot != 0 && r.phase == phaseBlocked {
			blocked = true
		}
		if has && p.waits(s, i) {
			unmarked = true
		}
		switch {
		case has:
			placed++
		case r.born && r.list != 1:
			credits++
		}
		if has != r.has() {
			return fmt.Sprintf("B6: runner %d has slot %d, and everybody sees %d", i, r.slot, r.held)
		}
		if r.list == 1 && (r.token != 0 || r.slot != 0 || r.held != 0) {
			return fmt.Sprintf("P0: runner %d is parked and has a slot", i)
		}
	}
	switch {
	case queued != 0 && s.free != 0:
		return "P0: a task waits beside a free slot"
	case queued != 0 && blocked && s.credits != 0:
		return "B1: a task waits beside a blocked slot, and a spare is left"
	case queued != 0 && unmarked && s.credits != 0 && p.keeper && p.unused(s) != 0:
		return "B6: a task waits beside a slot whose task blocks unmarked, and a spare is left"
	case s.surplus.n != 0 && s.free != 0:
		return "B4: a slot is free, and a surplus runner has none"
	case s.searching != 0:
		return fmt.Sprintf("P0: %d runners are counted as searching for ever", s.searching)
	case placed != p.slots+loans:
		return fmt.Sprintf("B3: of %d slots, %d are in their places", p.slots+loans, placed)
	case credits != p.credits:
		return fmt.Sprintf("B5: of %d credits, %d are accounted for", p.credits, credits)
	case s.debt != (s.surplus.n > 0):
		return "B4: debt does not tell whether there are surplus runners"
	case s.mu != 0:
		return "idle.mu is held for ever"
	}
	return ""
}
