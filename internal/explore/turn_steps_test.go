package explore

// The steps of the model in turn_test.go.

func (c turn) step(s *turnState, i int, m *move) bool {
	th := &s.th[i]
	switch {
	case i < turnTask:
		return c.guest(s, i, th, m)
	case i < turnRunner:
		return c.outside(s, i, th, m)
	case i < turnOther:
		return c.runner(s, i, th, m)
	}
	return c.other(s, th, m)
}

func (c turn) guest(s *turnState, i int, th *turnThread, m *move) bool {
	switch th.pc {
	case pcStart: // slotFor, under the lock of the injector
		if c.bug.openFirst {
			th.refused, th.pc = s.closed, pcOpen
			return true
		}
		th.refused = s.closed
		c.admit(s, i, th, m)
	case pcOpen:
		c.admit(s, i, th, m)
	case pcNotify:
		if th.pc = pcWait; s.notify() {
			th.pc = pcWake
		}
	case pcWake:
		s.wake(m)
		th.pc = pcWait
	case pcWait:
		ends := c.ends && i == c.guests-1
		switch {
		case ends && (th.state == seatQueued || c.bug.leavesBlindly && th.token == 0):
			th.state, th.canceled, th.pc = seatGone, true, pcEnd
		case th.token == 9:
			th.token, th.canceled, th.pc = 0, true, pcEnd
		case th.token != 0:
			th.slot, th.token, th.pc = th.token-1, 0, pcRun
		default:
			return false
		}
	case pcRun:
		th.ran++
		th.pc = pcRelease
		if c.child && i == 0 {
			s.deque[th.slot]++
			th.pc = pcChildNotify
		}
	case pcChildNotify:
		if th.pc = pcRelease; s.notify() {
			th.pc = pcChildWake
		}
	case pcChildWake:
		s.wake(m)
		th.pc = pcRelease
	case pcRelease: // vacate
		switch {
		case s.retire[th.slot]:
			for ; s.deque[th.slot] > 0 && !c.bug.forgetsDeque; s.deque[th.slot]-- {
				s.push(20)
			}
			th.pc = pcFree
		case s.deque[th.slot] > 0 && !c.bug.forgetsDeque:
			th.pc = pcStaff
		case s.qlen > 0 && c.bug.staffs:
			th.pc = pcStaff
		case s.qlen > 0:
			th.pc = pcTakeSeat
		default:
			th.pc = pcFree
		}
	case pcTakeSeat:
		at := int8(0)
		for c.bug.skips && at < s.qlen-1 && s.queue[at] >= turnTask {
			at++
		}
		switch {
		case s.qlen > 0 && s.queue[at] < turnTask:
			th.entry = s.queue[at]
			copy(s.queue[at:], s.queue[at+1:])
			s.qlen--
			s.queue[s.qlen] = 0
			if at > 0 {
				m.fail("a guest overtakes what came before it")
			}
			th.pc = pcGrant
		case s.qlen > 0:
			th.pc = pcStaff
		default:
			th.pc = pcFree
		}
	case pcGrant:
		next := &s.th[th.entry]
		if next.state == seatQueued || c.bug.grantsBlindly {
			next.state = seatHas
			s.give(int(th.entry), th.slot, m)
			if c.bug.freesToo {
				s.free |= 1 << th.slot
			}
			th.slot, th.pc = -1, pcEnd
		} else {
			th.pc = pcRelease
		}
		th.entry = -1
	case pcStaff:
		if s.deque[th.slot] == 0 && s.qlen > 0 && c.guests > 2 && c.slots == 1 && !c.ends && !c.close {
			m.fail("a runner between two guests (H3)") // nobody else can have taken the next one's entry
		}
		s.staff(th.slot, m)
		th.slot, th.pc = -1, pcEnd
	case pcFree:
		c.putBack(s, th.slot)
		th.slot = -1
		if th.pc = pcLook; c.bug.noLook {
			th.pc = pcEnd
		}
	case pcLook:
		if th.pc = pcEnd; s.hasWork() {
			th.pc = pcLookNotify
		}
	case pcLookNotify:
		if th.pc = pcEnd; s.notify() {
			th.pc = pcLookWake
		}
	case pcLookWake:
		s.wake(m)
		th.pc = pcEnd
	default:
		return false
	}
	return true
}

// admit takes a free slot, or queues the guest.
func (c turn) admit(s *turnState, i int, th *turnThread, m *move) {
	if th.refused {
		th.pc = pcEnd
		return
	}
	if s.closed {
		m.fail("accepted by a closed executor (L2)")
	}
	for s.qlen > 0 && s.queue[0] < turnTask && s.th[s.queue[0]].state != seatQueued { // nobodyWaits
		s.pop()
	}
	if s.free != 0 && (s.qlen == 0 || c.bug.overtakes) {
		for _, e := range s.queue[:s.qlen] {
			if e >= turnTask || s.th[e].state == seatQueued {
				m.fail("a guest overtakes what came before it (H2)")
			}
		}
		th.slot, th.pc = s.popFree(), pcRun
		th.state = seatHas
		return
	}
	th.state, th.pc = seatQueued, pcNotify
	s.push(int8(i))
}

func (c turn) putBack(s *turnState, slot int8) {
	if s.retire[slot] {
		s.gone |= 1 << slot
	} else {
		s.free |= 1 << slot
	}
}

func (c turn) outside(s *turnState, i int, th *turnThread, m *move) bool {
	switch th.pc {
	case pcStart:
		if s.closed {
			th.refused, th.pc = true, pcEnd
			return true
		}
		s.push(int8(i))
		th.pc = pcNotify
	case pcNotify:
		if th.pc = pcEnd; s.notify() {
			th.pc = pcWake
		}
	case pcWake:
		s.wake(m)
		th.pc = pcEnd
	default:
		return false
	}
	return true
}

func (c turn) runner(s *turnState, i int, th *turnThread, m *move) bool {
	switch th.pc {
	case pcSleep:
		if th.token == 0 {
			return false
		}
		th.slot, th.token, th.search, th.pc = th.token-1, 0, true, pcPick
	case pcPick:
		switch {
		case s.retire[th.slot]:
			for ; s.deque[th.slot] > 0; s.deque[th.slot]-- {
				s.push(20)
			}
			th.pc = pcPark
		case s.deque[th.slot] > 0:
			s.deque[th.slot]--
			th.entry, th.pc = 20, pcExec
		case s.qlen > 0:
			th.entry, th.pc = s.pop(), pcExec
		case s.deque[1-th.slot] > 0:
			s.deque[1-th.slot]--
			th.entry, th.pc = 20, pcExec
		default:
			th.pc = pcPark
		}
		if th.search && th.pc == pcExec {
			th.pc = pcFound
		}
	case pcFound:
		s.search--
		th.search = false
		if th.pc = pcExec; s.search == 0 && s.hasWork() {
			th.pc = pcFoundNotify
		}
	case pcFoundNotify:
		if th.pc = pcExec; s.notify() {
			th.pc = pcFoundWake
		}
	case pcFoundWake:
		s.wake(m)
		th.pc = pcExec
	case pcExec:
		th.pc = pcPick
		switch e := th.entry; {
		case e == 20:
			s.children++
		case e >= turnTask:
			s.th[e].ran++
		case s.th[e].state == seatQueued || c.bug.grantsBlindly:
			s.th[e].state = seatHas
			th.pc = pcGive
			return true
		}
		th.entry = -1
	case pcGive: // under idle.mu, and then the token; the two may be one step, for who gets it has waited till now
		s.give(int(th.entry), th.slot, m)
		th.slot, th.entry, th.pc = -1, -1, pcSleep
		th.listed = !c.bug.listsLate
		if c.bug.listsLate {
			th.pc = pcPark
		}
	case pcPark:
		if th.slot >= 0 {
			c.putBack(s, th.slot)
		}
		if th.search {
			s.search--
		}
		gave := th.slot >= 0
		th.slot, th.search, th.listed = -1, false, true
		if th.pc = pcSleep; gave {
			th.pc = pcParkLook
		}
	case pcParkLook:
		if th.pc = pcSleep; s.hasWork() {
			th.pc = pcUnpark
		}
	case pcUnpark:
		if th.listed && s.free != 0 {
			th.listed = false
			th.slot, th.search, th.pc = s.popFree(), true, pcPick
			s.search++
		} else {
			th.pc = pcParkNotify
		}
	case pcParkNotify:
		if th.pc = pcSleep; s.notify() {
			th.pc = pcParkWake
		}
	case pcParkWake:
		s.wake(m)
		th.pc = pcSleep
	default:
		return false
	}
	return true
}

// other is who calls Close, or takes a slot away.
func (c turn) other(s *turnState, th *turnThread, m *move) bool {
	switch {
	case th.pc == pcStart && c.retires:
		if s.free&1 == 1 {
			s.free &^= 1
			s.gone |= 1
		}
		s.retire[0] = true
		th.pc = pcEnd
	case th.pc == pcStart:
		s.closed = true
		th.pc = pcOpen
	case th.pc == pcOpen:
		if s.qlen == 0 {
			th.pc = pcEnd
			return true
		}
		th.entry, th.pc = s.pop(), pcGrant
	case th.pc == pcGrant:
		switch e := th.entry; {
		case e == 20:
			s.children++
		case e >= turnTask:
			s.th[e].canceled = true
		case s.th[e].state == seatQueued || c.bug.dropsBlindly:
			s.th[e].state = seatNone
			s.give(int(e), 8, m)
		}
		th.entry, th.pc = -1, pcOpen
	default:
		return false
	}
	return true
}
