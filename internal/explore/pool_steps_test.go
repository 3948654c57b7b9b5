package explore

import (
	"fmt"
	"math/bits"
)

// The steps of the model in pool_test.go.

func (p *pool) step(s *poolState, t int, m *move) bool {
	th := &s.threads[t]
	r := &s.runners[min(t, plRunners-1)] // a runner's own
	bug := &p.bug
	for {
		if th.n == 0 {
			return false
		}
		f := &th.frames[th.n-1]
		v := th.ret
		th.ret = 0
		call := func(then, pc, a, b, c uint8) {
			f.pc = then
			if int(th.n) == len(th.frames) {
				panic("a call too deep for the model")
			}
			th.frames[th.n] = poolFrame{pc, a, b, c}
			th.n++
		}
		tail := func(pc, a, b, c uint8) { *f = poolFrame{pc, a, b, c} }
		ret := func(v uint8) {
			*f = poolFrame{}
			th.n--
			th.ret = v
		}
		switch f.pc {

		// runner.main, nextTask, pick, takeInjected, search, steal. f.a says whether it is searching.
		case rnBorn:
			if r.token == 0 {
				return false
			}
			acquire(s.known[:], t, plToken+t)
			r.slot, r.token, f.a = r.token, 0, 1
			call(rnPick, adHeld, r.slot, 0, 0)
			continue
		case rnPick:
			f.b, f.c = 0, 0
			if r.slot == 0 {
				f.pc = rnPark
				continue
			}
			if s.over(r.slot - 1) {
				f.pc = rnEmpty
				continue
			}
			d := s.owns(t, m)
			if d.deque.n == 0 {
				f.pc = rnInj
				continue
			}
			f.pc = rnFound
			s.begin(t, d.deque.pop(), m)
			return true
		case rnEmpty:
			d := s.owns(t, m)
			for d.deque.n > 0 && !bug.loanLeaves {
				s.injected.push(d.deque.take())
			}
			f.pc = rnPark
			return true
		case rnInj:
			if f.pc = rnTake; s.injected.n == 0 {
				f.pc = rnSearch
				if f.b != 0 {
					f.pc = rnPark
				}
			}
			return true
		case rnTake:
			n := min(int(s.injected.n), plQueue)
			if n == 0 {
				f.pc = rnSearch
				if f.b != 0 {
					f.pc = rnPark
				}
				return true
			}
			s.begin(t, s.injected.take(), m)
			d := s.owns(t, m)
			for range n - 1 { // the model's runners need no order
				d.deque.push(s.injected.take())
			}
			if f.pc = rnFound; n > 1 {
				call(rnFound, nfWord, 0, 0, 0)
			}
			return true
		case rnFound:
			if f.pc = rnRun; f.a != 0 {
				f.a = 0
				call(rnRun, fdDec, 0, 0, 0)
			}
			continue
		case rnSearch:
			if f.a == 0 {
				if n := p.slots + bits.OnesCount8(s.lentSlots); 2*int(s.searching) >= n || int(s.free) >= n-1 {
					f.pc = rnPark
					return true
				}
				s.searching++
				f.a, f.pc = 1, rnScan
				return true
			}
			f.pc = rnScan
			continue
		case rnScan: // f.b victims are through, f.c-1 was the first
			first := false
			if f.c == 0 {
				f.c, first = 1, true
				if p.places() > 2 { // with two there is only one victim
					f.c += uint8(m.pick(p.places()))
				}
			}
			victim := (f.c - 1 + f.b) % uint8(p.places())
			f.b++
			if int(f.b) > p.places() {
				f.pc = rnInj
				continue
			}
			if victim == r.slot-1 || !p.exists(s, victim) {
				if first {
					return true
				}
				continue
			}
			d := &s.slots[victim]
			if d.deque.n <= d.hidden {
				return true
			}
			f.c, f.pc = victim, rnMoreLen
			s.begin(t, d.deque.take(), m)
			return true
		case rnMoreLen:
			d := &s.slots[f.c]
			if f.b = (d.deque.n - d.hidden) / 2; f.b == 0 || d.deque.n < d.hidden {
				f.pc = rnFound
			} else {
				f.pc = rnMoreTake
			}
			return true
		case rnMoreTake: // at most one more: no setting has deques with more than three
			d := &s.slots[f.c]
			if d.deque.n <= d.hidden {
				f.pc = rnFound
				return true
			}
			f.b, f.pc = d.deque.take(), rnMorePush
			return true
		case rnMorePush:
			s.owns(t, m).deque.push(f.b)
			call(rnFound, nfWord, 0, 0, 0)
			return true
		case rnPark:
			if bug.creditFirst && r.slot == 0 && f.c == 0 {
				f.c = 1
				call(rnPark, rcRel, 0, 0, 0)
				continue
			}
			call(rnParked, pkLock, f.a, 0, 0)
			continue
		case rnParked:
			if r.handed != 0 {
				s.begin(t, r.handed-1, m)
				if f.a, f.pc = 0, rnFound; r.counted {
					f.a = 1
				}
				r.handed, r.counted = 0, false
				return true
			}
			f.a, f.pc = 1, rnPick
			continue

		// What tasks do.
		case rnRun:
			*f = poolFrame{pc: rnAt}
			continue
		case rnAt:
			script := p.tasks[r.task-1]
			if int(r.next) == len(script) {
				s.ended |= 1 << (r.task - 1)
				r.task, r.next = 0, 0
				call(rnPick, bdWord, 0, 0, 0)
				return true
			}
			switch op := script[r.next]; op {
			case 'z', 'u':
				return false
			case 'w':
				if s.ended>>(script[r.next+1]-'0')&1 == 0 {
					return false
				}
				r.next += 2
				continue // its own waiting is no access: the end is what others see
			case 'e':
				r.next++
				call(rnAt, enGift, 0, 0, 0)
				continue
			case 'l':
				r.next++
				call(rnAt, lvWord, 0, 0, 0)
				continue
			case 'p': // pushLocal, else admit
				if r.slot == 0 && r.held != 0 {
					p.gift(s, t)
					return true
				}
				child := script[r.next+1] - '0'
				s.pushed |= 1 << child
				r.next += 2
				if r.slot == 0 {
					s.injected.push(child)
				} else {
					s.owns(t, m).deque.push(child)
				}
				call(rnAt, nfWord, 0, 0, 0)
				return true
			case 't': // trim or takeBack: pop ...
				r.next++
				if d := s.owns(t, m); d.deque.n > 0 {
					f.a, f.pc = d.deque.pop(), rnTrimPush
				}
				return true
			case 'o': // injector.overflow: claimNewest lowers the tail ...
				r.next++
				if d := s.owns(t, m); d.deque.n > 1 {
					d.hidden, f.pc = d.deque.n-1, rnOverLook
				}
				return true
			}
			panic("no such operation")
		case rnTrimPush: // ... and push it back
			s.owns(t, m).deque.push(f.a)
			f.a, f.pc = 0, rnAt
			if !bug.pushBackQuiet {
				call(rnAt, nfWord, 0, 0, 0)
			}
			return true
		case rnOverLook:
			d := s.owns(t, m)
			if d.deque.n <= d.hidden {
				f.pc = rnOverUndo
				return true
			}
			f.a, f.pc = d.hidden, rnOverMove
			d.hidden = 0
			for i := range f.a { // in the owner's hands; the frame has room for two
				if task := d.deque.pop(); i == 0 {
					f.b = task
				} else {
					f.c = task
				}
			}
			return true
		case rnOverMove:
			if f.a > 1 {
				s.injected.push(f.c)
			}
			s.injected.push(f.b)
			if *f = (poolFrame{pc: rnAt}); !bug.overflowQuiet { // of the push that follows
				call(rnAt, nfWord, 0, 0, 0)
			}
			return true
		case rnOverUndo:
			s.owns(t, m).hidden = 0
			if f.pc = rnAt; !bug.undoQuiet {
				call(rnAt, nfWord, 0, 0, 0)
			}
			return true

		// park: f.a search, f.b gave. giveBack and sleep.
		case pkLock:
			if !s.lock(t) {
				return false
			}
			if f.pc = pkGive; r.slot == 0 {
				f.credit(!bug.creditFirst)
				f.pc = pkList
			}
			return true
		case pkGive:
			f.b = 1
			slot := s.release(t)
			if s.slots[slot].lender != 0 && !bug.loanFrees {
				s.slots[slot].lender, s.slots[slot].task, s.slots[slot].next = 0, 0, 0
				s.lentSlots &^= 1 << slot
				f.credit(!bug.loanKept)
				f.pc = pkList
				return true
			}
			if s.surplus.n > 0 && !bug.surplusUnpaid {
				f.credit(!bug.repayKeeps)
				call(pkList, rpPop, slot, 0, 0)
				continue
			}
			if bug.giveAfterList {
				f.c, f.pc = slot+1, pkList
				return true
			}
			s.pushFree(slot)
			f.pc = pkGiven
			if f.a == 0 {
				p.listParked(s, t)
				f.pc = pkCredit
			}
			return true
		case pkGiven, pkList:
			if f.a != 0 {
				p.uncount(s, m)
			}
			p.listParked(s, t)
			f.pc = pkCredit
			return true
		case pkCredit:
			f.pc = pkLook
			if f.b&pkHasCredit != 0 {
				f.b &^= pkHasCredit
				call(pkLook, rcRel, 0, 0, 0)
			}
			continue
		case pkLook:
			if f.b == 0 || bug.noRescan || bug.searchersRescan && f.a == 0 {
				f.pc = pkSleep
				continue
			}
			call(pkHas, hwInj, 0, 0, 0)
			continue
		case pkHas:
			if f.c != 0 { // a mutant: only now is the slot free
				if !s.lock(t) {
					return false
				}
				s.pushFree(f.c - 1)
				s.unlock(t)
				f.c = 0
				th.ret = v
				return true
			}
			if f.pc = pkSleep; v != 0 {
				call(pkUnp, upLock, 0, 0, 0)
			}
			continue
		case pkUnp:
			if v != 0 {
				ret(1)
				continue
			}
			call(pkSleep, nfWord, 0, 0, 0)
			continue
		case pkSleep:
			if r.token == 0 {
				return false
			}
			if r.list != 0 && bug.tokenListed {
				if !s.lock(t) {
					return false
				}
				s.parked.remove(uint8(t))
				r.list = 0
				s.unlock(t)
				return true
			}
			if r.list != 0 {
				m.fail("P0: runner %d has a token and is still listed", t)
			}
			acquire(s.known[:], t, plToken+t)
			r.slot, r.token = r.token, 0
			th.ret = 0
			tail(adHeld, r.slot, 0, 0)
			continue

		// unpark and adopt.
		case upLock:
			if !s.lock(t) {
				return false
			}
			if r.list != 1 && !bug.alwaysUnpark || s.free == 0 {
				s.unlock(t)
				ret(0)
				return true
			}
			s.parked.remove(uint8(t))
			r.list = 0
			f.pc = upPop
			return true
		case upPop:
			f.a, f.pc = s.popFree()+1, upSearch
			return true
		case upSearch:
			s.searching++
			s.unlock(t)
			r.slot = f.a
			tail(adHeld, r.slot, 0, 0)
			return true
		case adHeld:
			r.held = f.a // nobody reads it before enter publishes BLOCKED, but the keeper: one step for both
			s.slots[f.a-1].holder = uint8(t) + 1
			ret(1)
			return true

		// notify, wake, staff.
		case nfWord:
			switch {
			case s.searching != 0:
				ret(0)
			case s.free != 0:
				f.pc = wkLock
			case !s.pending && !bug.watchNever:
				f.pc, f.a = nfWatch, 0
				if s.lent {
					f.a = 1
				}
			case s.lent:
				tail(rbClear, 0, 0, 0)
			default:
				ret(0)
			}
			return true
		case nfWatch:
			if s.pending = true; f.a != 0 || s.lent && !bug.watchBlind {
				tail(rbClear, 0, 0, 0)
			} else {
				ret(0)
			}
			return true
		case wkLock:
			if !s.lock(t) {
				return false
			}
			switch {
			case s.searching != 0:
				s.unlock(t)
				ret(0)
			case s.free == 0:
				s.unlock(t)
				if bug.wakeGivesUp {
					ret(0)
				} else {
					f.pc = nfWord
				}
			default:
				f.pc = wkPop
			}
			return true
		case wkPop:
			f.a, f.pc = s.popFree(), sfSearch
			return true
		case sfLock:
			if !s.lock(t) {
				return false
			}
			f.pc = sfSearch
			continue // fused: the next access is under the lock
		case sfSearch:
			if !bug.searchAfterToken {
				s.searching++
			}
			if s.parked.n > 0 {
				f.b = s.parked.of[s.parked.n-1]
				if !bug.tokenListed {
					s.parked.pop()
					s.runners[f.b].list = 0
				}
			} else {
				f.b = plRunners
				for i := range p.runners {
					if !s.runners[i].born {
						f.b = uint8(i)
						break
					}
				}
				if f.b == plRunners {
					m.fail("B5: a runner is started beyond slots and spares")
					return true
				}
				s.runners[f.b].born = true
			}
			s.unlock(t)
			f.pc = sfSend
			return true
		case sfSend:
			to := &s.runners[f.b]
			if to.token != 0 {
				m.fail("P0: two tokens for runner %d", f.b)
			}
			to.token = f.a + 1
			release(s.known[:], t, plToken+int(f.b))
			if bug.searchAfterToken {
				f.pc = sfCount
				return true
			}
			ret(1)
			return true
		case sfCount:
			s.searching++
			ret(1)
			return true

		case fdDec:
			p.uncount(s, m)
			if s.searching != 0 || bug.lastFoundQuiet {
				ret(0)
				return true
			}
			call(fdHas, hwInj, 0, 0, 0)
			return true
		case fdHas:
			if v == 0 {
				ret(0)
			} else {
				tail(nfWord, 0, 0, 0)
			}
			continue
		case hwInj:
			if f.pc = hwSlot; s.injected.n > 0 {
				ret(1)
			}
			return true
		case hwSlot:
			d := &s.slots[f.a]
			if f.a++; d.deque.n > d.hidden {
				ret(1)
				return true
			}
			for int(f.a) < p.places() && !p.exists(s, f.a) {
				f.a++
			}
			if int(f.a) == p.places() {
				ret(0)
			}
			return true

		// enter.
		case enGift:
			if f.pc = enFirst; r.slot == 0 {
				f.pc = enLock
				if r.held != 0 {
					p.gift(s, t)
					f.pc = enFirst
				} else if bug.giftWithoutMu {
					s.leaveSurplus(t)
					f.pc = enFirst
				}
				return true
			}
			continue
		case enLock:
			if !s.lock(t) {
				return false
			}
			if f.pc = enFirst; r.held != 0 {
				p.gift(s, t)
			} else {
				s.leaveSurplus(t)
			}
			s.unlock(t)
			return true
		case enFirst:
			if f.pc = enStore; bug.lookFirst {
				call(enFirstHas, hwInj, 0, 0, 0)
			}
			continue
		case enFirstHas:
			f.a, f.pc = v, enStore
			continue
		case enStore:
			r.epoch++
			r.deniedBit = false
			release(s.known[:], t, plWord+t)
			if r.slot == 0 {
				r.phase = phaseTaken
				ret(0)
				return true
			}
			r.phase, f.pc = phaseBlocked, enLoad
			return true
		case enLoad:
			if !s.lent && !bug.noLent {
				f.pc = enOr
				return true
			}
			p.looks(s, f, call, ret)
			return true
		case enOr:
			s.lent = true
			p.looks(s, f, call, ret)
			return true
		case enHas:
			if v == 0 && f.a == 0 {
				ret(0)
			} else {
				tail(rtCredit, uint8(t), r.epoch<<1, 0)
			}
			continue

		// retake and deny.
		case rtCredit:
			switch {
			case s.credits > 0 || bug.freeCredit:
				if s.credits > 0 {
					s.credits--
				}
				f.pc = rtHeld
			case bug.denyLate:
				f.pc = dnCAS
			default:
				f.pc = rtDeny
			}
			return true
		case rtDeny:
			s.denied = true
			f.pc = rtAgain
			return true
		case rtAgain:
			if f.pc = dnCAS; s.credits > 0 {
				s.credits--
				f.pc = rtHeld
			}
			return true
		case rtHeld:
			if f.pc = rtCAS; bug.heldLate {
				continue
			}
			f.c = s.runners[f.a].held | f.c&rtScans
			return true
		case rtCAS:
			h := &s.runners[f.a]
			acquire(s.known[:], t, plWord+int(f.a))
			if h.phase != phaseBlocked || (h.epoch != f.b>>1 || h.deniedBit != (f.b&1 != 0)) && !bug.noEpoch {
				if f.pc = rtCAS; f.b&1 == 0 && !bug.casOnce {
					f.b |= 1 // once more: somebody may have been denied a credit for the same slot
				} else {
					call(rtNo, rcRel, 0, 0, 0)
				}
				return true
			}
			h.phase = phaseTaken
			release(s.known[:], t, plWord+int(f.a))
			switch {
			case bug.heldLate:
				f.pc = rtHeldLate
			case f.c&rtScans != 0 && !bug.lentOnce && !bug.lentLate:
				f.pc = rtLent
			default:
				tail(sfLock, f.c&^rtScans-1, 0, 0)
			}
			return true
		case rtLent:
			s.lent = true
			tail(sfLock, f.c&^rtScans-1, 0, 0)
			return true
		case rtHeldLate:
			if s.runners[f.a].held == 0 {
				m.fail("B3: retake hands over the slot of a runner that has none")
				return true
			}
			tail(sfLock, s.runners[f.a].held-1, 0, 0)
			return true
		case rtNo:
			ret(0)
			continue
		case dnCAS:
			h := &s.runners[f.a]
			if f.b&1 == 0 && h.phase == phaseBlocked && h.epoch == f.b>>1 && !h.deniedBit {
				h.deniedBit = true
			}
			if f.pc = dnStore; !bug.denyLate {
				ret(0)
			}
			return true
		case dnStore:
			s.denied = true
			ret(0)
			return true

		case rbClear:
			f.b, f.pc = uint8(m.pick(p.places())), rbHolder
			if !bug.clearLate {
				s.lent = false
			}
			return true
		case rbHolder:
			if int(f.a) == p.places() {
				if bug.clearLate {
					f.pc = rbClearLate
				} else {
					ret(0)
				}
				continue
			}
			slot := (f.a + f.b) % uint8(p.places())
			if f.a++; !p.exists(s, slot) {
				continue
			}
			f.c = s.slots[slot].holder
			if f.c != 0 {
				f.c--
				f.pc = rbWord
			}
			return true
		case rbClearLate:
			s.lent = false
			ret(0)
			return true
		case rbWord:
			h := &s.runners[f.c]
			if h.phase != phaseBlocked {
				f.pc = rbHolder
				return true
			}
			denied := uint8(0)
			if h.deniedBit {
				denied = 1
			}
			call(rbRet, rtCredit, f.c, h.epoch<<1|denied, rtScans)
			return true
		case rbRet:
			if f.pc = rbDenied; v != 0 {
				if f.pc = rbOrDone; !bug.lentLate {
					ret(0)
				}
			}
			continue
		case rbOrDone:
			s.lent = true
			ret(0)
			return true
		case rbDenied:
			if f.pc = rbOr; s.denied {
				ret(0)
			}
			return true
		case rbOr:
			s.lent = true
			f.pc = rbHolder
			return true

		case rcRel:
			s.credits++
			if f.pc = rcSwap; bug.returnQuiet {
				ret(0)
			}
			return true
		case rcSwap:
			if f.pc = rcOr; !s.denied {
				ret(0)
			}
			s.denied = false
			return true
		case rcOr:
			s.lent = true
			call(rcHas, hwInj, 0, 0, 0)
			return true
		case rcHas:
			if v == 0 {
				ret(0)
			} else {
				tail(nfWord, 0, 0, 0)
			}
			continue

		// leave and findSlot.
		case lvWord:
			acquire(s.known[:], t, plWord+t)
			if r.phase == phaseBlocked {
				r.phase, r.deniedBit = phaseRunning, false
				release(s.known[:], t, plWord+t)
				ret(0)
				return true
			}
			if bug.leaveKeeps && r.slot != 0 {
				r.phase = phaseRunning
				ret(0)
				return true
			}
			if r.slot != 0 {
				if r.slot = 0; !bug.heldStale {
					r.held = 0
				}
			}
			f.pc = fsLock
			return true
		case fsLock:
			if !s.lock(t) {
				return false
			}
			if f.pc = fsPop; s.free == 0 {
				s.surplus.push(uint8(t))
				r.list, s.debt = 2, true
				s.unlock(t)
				f.pc = lvStore
			}
			return true
		case fsPop:
			r.slot = s.popFree() + 1
			s.unlock(t)
			call(fsAdopted, adHeld, r.slot, 0, 0)
			return true
		case fsAdopted:
			call(lvStore, rcRel, 0, 0, 0)
			continue
		case lvStore:
			r.phase, r.deniedBit = phaseRunning, false
			release(s.known[:], t, plWord+t)
			ret(0)
			return true

		// repay, under idle.mu.
		case rpPop:
			if s.surplus.n == 0 {
				m.fail("B5: the runner that is to be repaid has gone")
				return true
			}
			f.b = s.surplus.pop()
			s.runners[f.b].list = 0
			if s.surplus.n == 0 {
				s.debt = false
			}
			f.pc = rpHolder
			return true
		case rpHolder:
			s.slots[f.a].holder = f.b + 1
			f.pc = rpGift
			return true
		case rpGift:
			if s.runners[f.b].held != 0 && !bug.heldStale {
				m.fail("B5: runner %d is repaid twice", f.b)
			}
			s.runners[f.b].held = f.a + 1
			release(s.known[:], t, plGift+int(f.b))
			ret(0)
			return true

		// boundary and settle.
		case bdWord:
			if r.slot == 0 {
				f.pc = slLock
				continue
			}
			if f.pc = slLock2; !s.debt {
				ret(0)
			}
			return true
		case slLock:
			if !s.lock(t) {
				return false
			}
			if r.held != 0 {
				p.gift(s, t)
				f.pc = slLock2
			} else {
				s.leaveSurplus(t)
				ret(0)
			}
			s.unlock(t)
			return true
		case slLock2:
			if !s.lock(t) {
				return false
			}
			if s.surplus.n == 0 {
				s.unlock(t)
				ret(0)
				return true
			}
			if f.pc = slPop; s.free == 0 {
				call(slUnlock, rpPop, s.release(t), 0, 0)
			}
			return true
		case slPop:
			slot := s.popFree()
			f.b = 1
			call(slUnlock, rpPop, slot, 0, 0)
			return true
		case slUnlock:
			s.unlock(t)
			f.pc = slNotify
			if f.b != 0 && !bug.repayKeeps {
				call(slNotify, rcRel, 0, 0, 0)
			}
			return true
		case slNotify:
			tail(nfWord, 0, 0, 0)
			continue

		case sbPush: // admit, where there is room
			tasks := p.outside[t-p.runners]
			if int(f.a) == len(tasks) {
				return false
			}
			task := tasks[f.a] - '0'
			if f.b == 0 && s.idles() { // handOver
				f.pc = sbLock
				return true
			}
			f.a, f.b = f.a+1, 0
			s.pushed |= 1 << task
			s.injected.push(task)
			call(sbPush, nfWord, 0, 0, 0)
			return true
		case sbLock:
			if !s.lock(t) {
				return false
			}
			if s.parked.n == 0 || !s.idles() {
				f.b, f.pc = 1, sbPush
				s.unlock(t)
				return true
			}
			f.c = s.parked.of[s.parked.n-1]
			if !bug.handListed {
				s.parked.pop()
				s.runners[f.c].list = 0
			}
			to := &s.runners[f.c]
			to.counted = int(s.free) < p.slots+bits.OnesCount8(s.lentSlots)
			if s.free == 0 {
				m.fail("P7: a task is handed over without a slot")
				return true
			}
			f.b, f.pc = s.popFree(), sbSend
			if to.counted && !bug.handUncounted {
				s.searching++
			}
			s.unlock(t)
			return true
		case sbSend:
			to := &s.runners[f.c]
			if to.token != 0 {
				m.fail("P0: two tokens for runner %d", f.c)
				return true
			}
			task := p.outside[t-p.runners][f.a] - '0'
			s.pushed |= 1 << task
			to.handed, to.token = task+1, f.b+1
			if bug.handNothing {
				to.handed = 0
			}
			release(s.known[:], t, plToken+int(f.c))
			f.a, f.b, f.c, f.pc = f.a+1, 0, 0, sbPush
			return true

		case kpLook: // one look, and tryCredit: only where it leads to a loan
			lender, slot := p.stuck(s), p.unused(s)
			if s.free != 0 || s.credits == 0 || lender == 0 || slot == 0 || s.queued() == 0 {
				return false
			}
			s.credits--
			f.a, f.b, f.pc = lender-1, slot-1, kpLend
			return true
		case kpCalm:
			s.pending = false
			if bug.calmBlind {
				ret(0)
			} else {
				call(kpCalmHas, hwInj, 0, 0, 0)
			}
			return true
		case kpCalmHas:
			if v == 0 {
				ret(0)
				return true
			}
			if s.pending = true; bug.calmQuiet {
				ret(0)
			} else {
				tail(nfWord, 0, 0, 0)
			}
			return true
		case kpLend:
			if !s.lock(t) {
				return false
			}
			l := &s.runners[f.a]
			s.lentSlots |= 1 << f.b
			s.slots[f.b].lender, s.slots[f.b].task, s.slots[f.b].next = f.a+1, l.task, l.next
			slot := f.b
			*f = poolFrame{pc: kpLook}
			call(kpLook, sfSearch, slot, 0, 0)
			return true
		}
		panic(fmt.Sprintf("no such step: %d", f.pc))
	}
}

// looks is the end of enter: (B2).
func (p *pool) looks(s *poolState, f *poolFrame, call func(then, pc, a, b, c uint8), ret func(uint8)) {
	switch {
	case s.searching != 0 || s.free != 0 || !s.pending || p.bug.noLook:
		ret(0)
	case p.bug.lookFirst:
		f.pc = enHas
	default:
		call(enHas, hwInj, 0, 0, 0)
	}
}
