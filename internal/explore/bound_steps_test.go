package explore

// The steps of the model in bound_test.go.

func (b *bound) step(s *boundState, t int, m *move) bool {
	if t >= len(b.subs) {
		return b.other(s, t-len(b.subs), m)
	}
	sub := &s.subs[t]
	kind := b.subs[t]
	ends := func(result uint8) {
		if sub.result != 0 {
			m.fail("a call of Go ends twice")
		}
		sub.result, sub.pc = result, bdDone
	}
	accepted := func() { ends(bdNil) }
	refusal := func() uint8 {
		if b.bug.closedOutside {
			if sub.saw {
				return bdClosed
			}
			return 0
		}
		return b.refusal(s, t)
	}
	look := func(next uint8) bool { // only for a mutant: a step of its own
		if sub.pc == next || !b.bug.closedOutside {
			return false
		}
		sub.saw, sub.pc = b.refusal(s, t) != 0, next
		return true
	}
	switch sub.pc {
	case bdStart:
		if look(bdAdmit) {
			return true
		}
		if kind == 'g' || kind == 'x' || kind == 't' { // offer
			if !s.closed && s.used < b.limit && s.waiting == 0 {
				b.grant(s, t, m)
				ends(bdNil)
			} else {
				sub.pc = bdAdmit
			}
			return true
		}
		if kind == 'h' { // acceptHeld
			if err := b.refusal(s, t); err != 0 && !b.bug.heldClosed {
				ends(err)
				return true
			}
			if s.refused {
				m.fail("L2: a task from outside is held after the injector was closed")
			}
			s.held |= 1 << t
			ends(bdNil)
			sub.pc = bdRequeue
			return true
		}
		sub.pc = bdAdmit
		fallthrough
	case bdAdmit: // admit
		err := refusal()
		switch {
		case err != 0:
			ends(err)
		case b.accept(s, t, m):
			accepted()
		case kind == 't':
			ends(bdFull)
		case kind == 'm' && !b.bug.memberWaits:
			sub.pc = bdOver
		default:
			sub.pc = bdRoom
		}
		return true
	case bdRoom: // waitForRoom, under the lock
		err := refusal()
		switch {
		case err != 0:
			ends(err)
		case !b.bug.noSecondLook && b.accept(s, t, m):
			accepted()
		case b.own(t) && (kind == 's' || s.stood == s.moved+1):
			if b.acceptOver(s, t, m) {
				accepted()
			} else {
				ends(bdFull)
			}
		case kind == 'd' && b.acceptOver(s, t, m):
			accepted()
		default:
			s.waiters[s.waiting] = uint8(t) + 1
			s.waiting++
			sub.pc = bdSelect
		}
		return true
	case bdSelect:
		n := 0
		if sub.ready > 0 {
			n++
		}
		if kind == 'x' {
			n++
		}
		if n == 0 {
			return false
		}
		if m.pick(n) == 1 || sub.ready == 0 {
			sub.pc = bdLeft
			return true
		}
		sub.pc = bdReady
		fallthrough
	case bdReady:
		if sub.ready == 0 {
			return false
		}
		if sub.err != 0 {
			ends(sub.err)
		} else {
			accepted()
		}
		return true
	case bdLeft: // its ctx is done
		if i, ok := b.listed(s, t); ok {
			s.unlist(uint8(i))
			ends(bdCtx)
		} else if b.bug.cancelWins {
			ends(bdCtx)
		} else {
			sub.pc = bdReady
		}
		return true
	case bdRequeue: // its group has a permit
		sub.pc = bdDone
		s.held &^= 1 << t
		if s.stopped && !b.bug.heldStopped {
			s.taken |= 1 << t // it is dropped
			return true
		}
		if s.stopped {
			m.fail("L2: a task is queued after the injector was stopped")
		}
		if s.push(uint8(t)); s.used >= b.limit {
			s.late++
		}
		s.used++
		return true
	case bdOver: // pushOver; where it fails, the child runs in place
		if !s.stopped && b.acceptOver(s, t, m) {
			accepted()
		} else {
			ends(bdFull)
		}
		return true
	}
	return false
}

// other is everybody who is not a submitter. Waiters are woken after the lock is released, one by one.
func (b *bound) other(s *boundState, i int, m *move) bool {
	o := &s.others[i]
	if o.wake != 0 {
		for t := range b.subs {
			if o.wake>>t&1 != 0 {
				o.wake &^= 1 << t
				if s.subs[t].ready++; s.subs[t].ready > 1 {
					m.fail("a waiter's channel is closed twice")
				}
				return true
			}
		}
	}
	dismiss := func(which func(t int) (bool, uint8)) {
		for at := uint8(0); at < s.waiting; {
			t := int(s.waiters[at] - 1)
			ok, err := which(t)
			if !ok {
				at++
				continue
			}
			s.unlist(at)
			s.subs[t].err = err
			o.wake |= 1 << t
		}
	}
	switch b.others[i] {
	case 'k':
		if s.len == 0 || o.times == b.takes {
			return false
		}
		o.times++
		n := uint8(min(b.most, int(s.len)))
		for range n {
			task := s.queue[0] - 1
			copy(s.queue[:], s.queue[1:])
			s.len--
			s.queue[s.len] = 0
			if s.taken>>task&1 != 0 {
				m.fail("I1: task %d is taken twice", task)
			}
			s.taken |= 1 << task
		}
		s.moved += n
		o.wake = b.free(s, n, m)
		return true
	case 'b':
		switch o.pc {
		case 0: // somebody claims the task
			if s.len == 0 {
				return false
			}
			s.dead |= 1 << (s.queue[0] - 1)
		case 1:
			s.buried++
		case 2: // bury, under the lock
			if s.waiting > 0 {
				b.sweep(s)
				if !b.bug.sweepKeeps {
					o.wake = b.free(s, 0, m)
				}
			}
		default:
			return false
		}
		o.pc++
		return true
	case 'q', 'Q':
		everybody := b.others[i] == 'Q'
		if o.pc > 0 {
			return false
		}
		o.pc++
		s.closed, s.refused = true, true
		s.stopped = s.stopped || everybody
		if !b.bug.keepWaiters {
			dismiss(func(t int) (bool, uint8) { return everybody || !b.own(t) || b.bug.dismissOwn, bdClosed })
		}
		return true
	case 'l':
		if o.pc > 0 || s.waiting == 0 {
			return false
		}
		o.pc++
		taken := false
		dismiss(func(t int) (bool, uint8) {
			if taken || !b.own(t) && !b.bug.outsidersOver {
				return false, 0
			}
			taken = b.acceptOver(s, t, m)
			return taken, 0
		})
		return true
	case 'u':
		tasks := false
		for _, w := range s.waiters[:s.waiting] {
			tasks = tasks || b.own(int(w)-1)
		}
		if o.pc > 0 || !tasks {
			return false
		}
		o.pc++
		s.stood = s.moved + 1
		dismiss(func(t int) (bool, uint8) {
			switch {
			case !b.own(t) && !b.bug.outsidersOver:
				return false, 0
			case b.acceptOver(s, t, m):
				return true, 0
			}
			return true, bdFull
		})
		return true
	}
	panic("nobody of that kind")
}
