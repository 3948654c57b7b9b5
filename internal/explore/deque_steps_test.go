package explore

// The steps of the model in deque_test.go.

// owner is the owner's side. Each case is one access to head, tail or a cell; the comments name the
// methods of deque.
func (s *dequeState) owner(script string, m *move, bug dequeMutant) bool {
	for {
		switch s.pc {
		case dqNext: // local
			if int(s.at) == len(script) {
				return false
			}
			switch script[s.at] {
			case 'p':
				s.pc = dqPush
				if s.next-s.steal >= exRing {
					s.pc = dqPushRoom
				}
			case 'b':
				s.pc = dqSet
				if s.next-s.steal > exRing-2 {
					s.pc = dqSetRoom
				}
			case 'l':
				s.pc = dqPopHead
			case 'f':
				s.pc = dqHeadLoad
			case 'o':
				s.pc = dqNewestLen
			}
			continue

		case dqPushRoom: // room, from runner.pushLocal
			s.loadHead(exOwner)
			s.steal = s.headSteal
			if bug.roomByReal {
				s.steal = s.headReal
			}
			if s.pc = dqPush; s.next-s.steal >= exRing {
				s.pc, s.put = dqNewestLen, true
			}
			return true
		case dqPush: // push: the cell
			if bug.tailFirst {
				s.storeTail(s.next + 1)
			} else {
				s.write(s.next, m)
			}
			s.next++
			s.pc = dqPushTail
			return true
		case dqPushTail: // push: publish
			if bug.tailFirst {
				s.write(s.next-1, m)
			} else {
				s.storeTail(s.next)
			}
			s.done()
			return true

		case dqSetRoom: // room, from runner.takeInjected
			s.loadHead(exOwner)
			s.steal = s.headSteal
			if s.pc = dqSet; s.next-s.steal > exRing-2 {
				s.done()
			}
			return true
		case dqSet: // set, twice: the numbers go by place here
			s.write(s.next+s.i, m)
			if s.i++; s.i == 2 {
				s.pc = dqSetTail
			}
			return true
		case dqSetTail: // advance
			s.next += 2
			s.storeTail(s.next)
			s.done()
			return true

		case dqPopHead: // pop: first load
			s.loadHead(exOwner)
			s.sawSteal, s.sawReal = s.headSteal, s.headReal
			if s.headReal == s.next {
				s.done()
				return true
			}
			s.t, s.pc = s.next-1, dqPopTail
			return true
		case dqPopTail: // pop: lower the tail
			s.storeTail(s.t)
			s.pc = dqPopLook
			return true
		case dqPopLook: // pop: second load
			if !bug.popFirst {
				s.loadHead(exOwner)
				s.sawSteal, s.sawReal = s.headSteal, s.headReal
			}
			switch left := int8(s.t - s.sawReal); {
			case left > 0 || left == 0 && bug.popNoCAS:
				s.next = s.t
				s.claim(s.t, true, m)
				s.pc = dqPopClear
			case left < 0:
				s.pc = dqPopUndo
			default:
				s.pc = dqPopCAS
			}
			return true
		case dqPopUndo:
			s.storeTail(s.next)
			s.done()
			return true
		case dqPopClear:
			s.clear(s.t, exOwner, m, bug)
			s.done()
			return true
		case dqPopCAS:
			steal := s.sawSteal
			if steal == s.sawReal {
				steal = s.t + 1
			}
			if s.casHead(exOwner, s.sawSteal, s.sawReal, steal, s.t+1) {
				s.claim(s.t, true, m)
				s.pc = dqPopRestore
			} else if s.pc = dqPopLook; bug.popFirst {
				s.sawSteal, s.sawReal = s.headSteal, s.headReal
			}
			return true
		case dqPopRestore:
			s.storeTail(s.next)
			s.pc = dqPopLastClear
			return true
		case dqPopLastClear:
			s.clear(s.t, exOwner, m, bug)
			s.done()
			return true

		case dqHeadLoad: // popHead
			s.loadHead(exOwner)
			s.sawSteal, s.sawReal = s.headSteal, s.headReal
			if s.pc = dqHeadCAS; s.headReal == s.next {
				s.done()
			}
			return true
		case dqHeadCAS:
			steal := s.sawSteal
			if (steal == s.sawReal || bug.headDrags) && !bug.headNoFollow {
				steal = s.sawReal + 1
			}
			if s.pc = dqHeadLoad; s.casHead(exOwner, s.sawSteal, s.sawReal, steal, s.sawReal+1) {
				s.claim(s.sawReal, false, m)
				s.t, s.pc = s.sawReal, dqHeadClear
			}
			return true
		case dqHeadClear:
			s.clear(s.t, exOwner, m, bug)
			s.done()
			return true

		case dqNewestLen: // claimNewest, from injector.overflow: at most half the ring
			s.loadHead(exOwner) // len; its load of the tail is of the owner's own store
			s.n = uint8(max(0, min(exRing/2, int(int8(s.tail-s.headReal))-1)))
			if s.n == 0 {
				s.done() // refused: the task goes to the injector itself
				return true
			}
			s.t, s.pc = s.next-s.n, dqNewestTail
			return true
		case dqNewestTail:
			s.storeTail(s.t)
			s.pc = dqNewestLook
			return true
		case dqNewestLook:
			s.loadHead(exOwner)
			if left := int8(s.t - s.headReal); left < 0 || left == 0 && !bug.claimLess {
				s.pc = dqNewestUndo
				return true
			}
			for i := s.next; i != s.t; i-- {
				s.claim(i-1, true, m)
			}
			s.next, s.pc = s.t, dqNewestClear
			return true
		case dqNewestUndo:
			s.storeTail(s.next)
			s.done()
			return true
		case dqNewestClear:
			s.clear(s.t+s.i, exOwner, m, bug)
			if s.i++; s.i < s.n {
				return true
			}
			put := s.put
			s.done()
			if put { // there is room now
				s.at--
				s.pc = dqPush
			}
			return true
		}
		panic("no such step")
	}
}

// steals is a thief: take, again and again.
func (s *dequeState) steals(thread, steals int, m *move, bug dequeMutant) bool {
	th := &s.thief[thread-1]
	busy := func() {
		*th = dequeThief{pc: thIdle, tries: th.tries + 1}
	}
	switch th.pc {
	case thIdle: // load head
		if int(th.tries) == steals {
			return false
		}
		if bug.tailEarly {
			th.steal = s.tail
			acquire(s.known[:], thread, exTail)
		} else {
			s.loadHead(thread)
			th.steal, th.real = s.headSteal, s.headReal
		}
		th.pc = thTail
	case thTail: // load tail
		tail := s.tail
		if bug.tailEarly {
			tail = th.steal
			s.loadHead(thread)
			th.steal, th.real = s.headSteal, s.headReal
		} else {
			acquire(s.known[:], thread, exTail)
		}
		left := int8(tail - th.real)
		switch {
		case left <= 0:
			busy()
		case th.steal != th.real && !bug.noBusyCheck:
			busy()
		default:
			th.pc = thClaim
			th.two = bug.batchClaim && left >= 2
		}
	case thClaim:
		count := uint8(1)
		if th.two {
			count = 2
		}
		if !s.casHead(thread, th.steal, th.real, th.steal, th.real+count) {
			busy()
			return true
		}
		for i := range count {
			s.claim(th.real+i, false, m)
		}
		th.pc = thClear
	case thClear:
		s.clear(th.real, thread, m, bug)
		if th.two {
			th.two = false
			th.real++
			return true
		}
		th.pc = thRelease
	case thRelease: // load head
		s.loadHead(thread)
		if !bug.releaseOld {
			th.real = s.headReal
		} else {
			th.real++
		}
		th.steal = s.headSteal
		th.pc = thReleaseCAS
	case thReleaseCAS:
		if bug.releaseOld { // a store: whatever the owner did meanwhile
			s.headSteal, s.headReal = th.real, th.real
			busy()
			return true
		}
		if s.casHead(thread, th.steal, th.real, th.real, th.real) {
			busy()
		} else {
			th.pc = thRelease
			th.steal, th.real = 0, 0
		}
	}
	return true
}
