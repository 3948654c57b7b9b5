package explore

// The steps of the model in drain_test.go.

func (d *drain) step(s *drainState, t int, m *move) bool {
	if l := &s.looks[t]; l.pc != 0 {
		return d.look(s, l)
	}
	switch {
	case t < drRunners:
		return d.run(s, t, m)
	case t < drRunners+len(d.outside):
		return d.submit(s, t, d.outside[t-drRunners][0]-'0', m)
	default:
		return d.shutdown(s, t, m)
	}
}

// submit is a submitter from outside: offer, or admit.
func (d *drain) submit(s *drainState, t int, task uint8, m *move) bool {
	switch s.pcs[t] {
	case 0:
		if d.bug.closedOutside {
			s.saw[t] = s.closed
			s.pcs[t] = 1
			return true
		}
		fallthrough
	case 1: // under the lock
		closed := s.closed
		if d.bug.closedOutside {
			closed = s.saw[t]
		}
		if s.pcs[t] = drDone; closed {
			return true
		}
		if s.finished {
			m.fail("L2: a task is accepted after the end")
		}
		s.made |= 1 << task
		s.injected.push(task)
		if d.bug.countLate {
			s.pcs[t] = drOutCount
		} else {
			s.submitted++
		}
		return true
	case drOutCount:
		s.submitted++
		s.pcs[t] = drDone
		return true
	}
	return false
}

// shutdown is Shutdown: closeInjector, awaitQuiet, finish. Before it, perhaps, Quiesce.
func (d *drain) shutdown(s *drainState, t int, m *move) bool {
	l := &s.looks[t]
	switch s.pcs[t] {
	case 0:
		if s.pcs[t] = drClose; d.quiesce {
			s.pcs[t] = drQuiesce
		}
		return d.shutdown(s, t, m)
	case drQuiesce:
		s.wanted, s.before = true, s.made
		s.pcs[t] = drQuiesceList
	case drQuiesceList:
		s.newest++
		s.listed = s.newest
		l.pc = lkWanted
		s.pcs[t] = drQuiesceWait
	case drQuiesceWait:
		if !s.quiet {
			return false
		}
		if s.before&^s.over != 0 {
			m.fail("L1: Quiesce returns, and tasks %b have not ended since it was called", s.before&^s.over)
		}
		s.wanted, s.quiet = false, false
		s.pcs[t] = drClose
	case drClose: // closeInjector; its checkQuiet finds that nobody waits
		s.closed = true
		s.pcs[t] = drWant
	case drWant:
		s.wanted = !d.bug.wantLate
		s.pcs[t] = drList
	case drList:
		s.newest++
		s.listed = s.newest
		l.pc = lkWanted
		if d.bug.wantLate { // it looks all the same, but nobody else does
			l.pc = lkNewest
		}
		s.pcs[t] = drWait
	case drWait:
		s.wanted = true
		if !s.quiet {
			return false
		}
		s.pcs[t] = drFinish
		fallthrough
	case drFinish:
		if s.made != s.over {
			m.fail("L1: the executor ends, and tasks %b are in flight", s.made&^s.over)
		}
		s.finished = true
		s.pcs[t] = drOver
	default:
		return false
	}
	return true
}

// run is a runner.
func (d *drain) run(s *drainState, t int, m *move) bool {
	r := &s.runners[t]
	bug := &d.bug
	pc := &s.pcs[t]
	for {
		var f *drainFrame
		if r.depth > 0 {
			f = &r.stack[r.depth-1]
		}
		enter := func(task uint8, back bool) {
			r.stack[r.depth] = drainFrame{task: task + 1, back: back}
			r.depth++
			*pc = drRun
		}
		switch *pc {
		case drTake: // the own deque, another, the injector; then park
			switch other := &s.runners[1-t]; {
			case r.deque.n > 0:
				r.entry = r.deque.pop() + 1
			case other.deque.n > 0:
				r.entry = other.deque.take() + 1
			case s.injected.n > 0:
				r.entry = s.injected.take() + 1
			case r.busy:
				r.busy = false
				if !bug.parkQuiet {
					s.looks[t].pc = lkWanted
				}
				return true
			default:
				return false
			}
			r.busy, *pc = true, drExec
			return true
		case drExec: // forked.execute, or bare
			k := r.entry - 1
			c := &s.forks[k]
			if !c.forked {
				r.entry = 0
				enter(k, false)
				continue
			}
			if r.state = c.word(); c.phase != forkQueued {
				r.entry, r.state, *pc = 0, 0, drTake // a dead entry
				return true
			}
			if *pc = drInc; c.orphan || bug.starterQuiet || bug.starterLate {
				*pc = drCAS
			}
			return true
		case drInc:
			r.submitted++
			*pc = drCAS
			return true
		case drCAS:
			k := r.entry - 1
			c := &s.forks[k]
			if c.word() == r.state {
				orphan := c.orphan
				c.phase, r.entry, r.state = forkRunning, 0, 0
				enter(k, false)
				if bug.starterLate && !orphan {
					*pc = drOutCount
				}
				return true
			}
			*pc = drUndo
			return true
		case drOutCount:
			r.submitted++
			*pc = drRun
			return true
		case drUndo:
			if !bug.noUndo {
				r.submitted--
			}
			r.state, *pc = 0, drExec
			return true

		case drRun:
			script := d.tasks[f.task-1]
			if int(f.at) == len(script) {
				*pc = drEnd
				if bug.endEarly && !f.back {
					*pc = drEnded
				}
				continue
			}
			k := script[f.at+1] - '0'
			c := &s.forks[k]
			switch script[f.at] {
			case 'p': // pushLocal
				s.made |= 1 << k
				if *pc = drPushed; bug.pushLate {
					r.deque.push(k)
				} else {
					r.submitted++
				}
				return true
			case 'f': // pushFork
				s.made |= 1 << k
				*c = drainFork{forked: true, by: uint8(t)}
				r.deque.push(k)
				f.open |= 1 << k
				f.at += 2
				return true
			case 'j': // Join
				if n := r.deque.n; n > 0 && r.deque.of[n-1] == k && c.by == uint8(t) { // takeBack
					r.deque.pop()
					c.phase, c.joined = forkRunning, true
					f.open &^= 1 << k
					f.at += 2
					enter(k, true)
					return true
				}
				if c.joined { // run in place, or waited for
					if c.phase != forkDone {
						return false
					}
					f.open &^= 1 << k
					f.at += 2
					continue
				}
				if r.state = c.word(); c.phase == forkQueued { // joinInPlace
					*pc = drJoinInc
					return true
				}
				c.joined = true // joinElsewhere
				return true
			}
			panic("no such operation")
		case drPushed:
			k := d.tasks[f.task-1][f.at+1] - '0'
			if bug.pushLate {
				r.submitted++
			} else {
				r.deque.push(k)
			}
			f.at += 2
			*pc = drRun
			return true
		case drJoinInc:
			r.submitted++
			*pc = drJoinCAS
			return true
		case drJoinCAS:
			k := d.tasks[f.task-1][f.at+1] - '0'
			c := &s.forks[k]
			if *pc = drJoinUndo; c.word() == r.state {
				c.phase, c.joined = forkRunning, true
				r.state = 0
				enter(k, false)
			}
			return true
		case drJoinUndo:
			r.submitted--
			r.state, *pc = 0, drRun
			return true

		case drEnd: // leaveFrame or dropFrame: orphan, for each child that is open
			if f.open == 0 {
				*pc = drJoinedSub
				if f.back {
					*pc = drEnded
				}
				continue
			}
			*pc = drOrphan
			if bug.orphanQuiet || bug.orphanLate {
				continue
			}
			r.submitted++
			return true
		case drOrphan:
			k := uint8(0)
			for f.open>>k&1 == 0 {
				k++
			}
			c := &s.forks[k]
			c.orphan = true
			f.open &^= 1 << k
			switch *pc = drEnd; {
			case c.phase != forkQueued && !bug.orphanLate && !bug.orphanQuiet:
				*pc = drOrphanUndo
			case c.phase == forkQueued && bug.orphanLate:
				*pc = drOrphanUndo
			}
			return true
		case drOrphanUndo:
			if bug.orphanLate {
				r.submitted++
			} else if !bug.noUndo {
				r.submitted--
			}
			*pc = drEnd
			return true
		case drJoinedSub:
			if r.joined == 0 {
				if *pc = drEnded; bug.endEarly {
					*pc = drDone
				}
				continue
			}
			if bug.joinedEarly {
				r.ended += int8(r.joined)
			} else {
				r.submitted += int8(r.joined)
			}
			*pc = drJoinedEnd
			return true
		case drJoinedEnd:
			if bug.joinedEarly {
				r.submitted += int8(r.joined)
			} else {
				r.ended += int8(r.joined)
			}
			r.joined = 0
			if *pc = drEnded; bug.endEarly {
				*pc = drDone
			}
			return true
		case drEnded:
			if f.back { // runTakenBack: counted later, with its task
				r.joined++
				*pc = drDone
				continue
			}
			s.over |= 1 << (f.task - 1)
			r.ended++
			if *pc = drDone; bug.endEarly {
				*pc = drEnd
			}
			return true
		case drDone: // finish, for a forked child
			k := f.task - 1
			*f = drainFrame{}
			r.depth--
			if *pc = drTake; r.depth > 0 {
				*pc = drRun
			}
			s.over |= 1 << k
			if s.forks[k].forked {
				s.forks[k].phase = forkDone
				return true
			}
			continue
		}
		panic("no such step")
	}
}
