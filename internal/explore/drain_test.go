package explore

import (
	"fmt"
	"maps"
	"slices"
	"testing"
)

// A model of the end: who is accepted while an executor closes, how tasks and forked children are counted,
// and how Shutdown learns that nothing is in flight. It copies life.go, the counting in submit.go, fork.go,
// forkrun.go and runner.go, and sum in stats.go. Queues are lists with one step per method; a runner that
// finds nothing parks, and goes on when there is something again.

const (
	drRunners = 2
	drTasks   = 4
	drThreads = 5
)

var _ = mirrors(map[string]string{
	"forked.execute":       "c225f6bf369a",
	"forked.run":           "5bfc4cc87a71",
	"forked.settle":        "743fe3c4de02",
	"forked.runTakenBack":  "b471b34d2bbd",
	"forkNode.finish":      "8a249c306d6a",
	"runner.orphan":        "24f373cf7b95",
	"runner.endChildren":   "a3ba25fe43d1",
	"runner.leaveFrame":    "f42bae4a934f",
	"runner.dropFrame":     "b45bc0470742",
	"runner.pushFork":      "45882d917f63",
	"forked.takeBack":      "d88ef51dc4c3",
	"forked.joinInPlace":   "1d43dce422b1",
	"forked.joinElsewhere": "97ba17e5a006",
	"Executor.checkQuiet":  "add140d636cd",
	"Executor.quiescent":   "99621367b76f",
	"Executor.awaitQuiet":  "87cc01d494a1",
	"Executor.Shutdown":    "372339c06b86",
	"Executor.end":         "c2a6acba2ee4",
	"Executor.sum":         "c36ef4b3dcfb",
	"counters.addTo":       "674a728d1b6d",
	"runner.bare":          "3f143e54bdaf",
})

type drainState struct {
	closed    bool
	injected  poolQueue
	submitted uint8 // injector.submitted
	wanted    bool  // quiet.wanted
	newest    uint8 // quiet.newest
	listed    uint8 // the number of the one in quiet.waiters, or 0
	quiet     bool  // the waiter's channel is closed
	finished  bool

	runners [drRunners]drainRunner
	forks   [drTasks]drainFork
	looks   [drThreads]drainLook
	pcs     [drThreads]uint8
	saw     [drThreads]bool // a mutant's old look at closed

	made, over uint8 // tasks that were accepted or forked; and that can not run any more
	before     uint8 // made, when the waiter came
}

type drainRunner struct {
	submitted, ended int8 // counters
	joined           uint8
	deque            poolQueue
	stack            [drTasks]drainFrame
	depth            uint8
	state            uint8 // what it loaded of a child's word
	entry            uint8 // what it took, plus one
	busy             bool  // it has done something since it parked
}

type drainFrame struct {
	task, at uint8 // task plus one
	open     uint8 // children that are not joined
	back     bool  // taken back by its parent
}

type drainFork struct {
	forked, orphan, joined bool
	phase                  uint8
	by                     uint8
}

// drainLook is a call of checkQuiet.
type drainLook struct {
	pc, i      uint8
	newest     uint8
	ended, all int8
}

const (
	drTake = iota
	drParked
	drExec
	drInc
	drCAS
	drUndo
	drRun
	drPushed
	drJoinInc
	drJoinCAS
	drJoinUndo
	drEnd
	drOrphan
	drOrphanUndo
	drJoinedSub
	drJoinedEnd
	drEnded
	drDone
	drOutCount

	drQuiesce
	drQuiesceList
	drQuiesceWait
	drClose
	drWant
	drList
	drWait
	drFinish
	drOver

	lkIdle = iota
	lkWanted
	lkNewest
	lkEnds
	lkSubs
	lkInjected
	lkClose
)

// drain is a setting. What tasks do:
//
//	p1 submit task 1 as a child    f1 fork task 1    j1 join it
type drain struct {
	name    string
	tasks   []string
	outside []string // one submitter each, of one task
	reverse bool     // the order in which sum goes through the runners
	quiesce bool     // Quiesce is called before Shutdown
	bug     drainMutant
}

type drainMutant struct {
	closedOutside bool // closed is looked at before the lock
	countLate     bool // an outsider's task is counted after it was queued
	pushLate      bool // a child is counted after it was pushed
	endEarly      bool // a task is counted as ended before its children are accounted for
	sumBackwards  bool // sum reads submissions before ends
	starterLate   bool // who starts a forked child counts it after the claim
	starterQuiet  bool // nobody but the parent counts it
	orphanQuiet   bool // the parent does not count a child that nobody has started
	orphanLate    bool // the parent counts it after it has let go of it
	noUndo        bool // who counted in vain does not take it back
	joinedEarly   bool // children taken back are counted as ended first
	parkQuiet     bool // a runner that parks does not look whether all is quiet
	wantLate      bool // the waiter looks before it says that it waits
	anybody       bool // a look serves those too who came after it began
	newestLate    bool // it asks who came last at its end
}

func (d drain) model() *model[drainState] {
	return &model[drainState]{
		name:    d.name,
		threads: drRunners + len(d.outside) + 1,
		step:    d.step,
		always:  func(*drainState) string { return "" },
		atRest: func(s *drainState) string {
			switch {
			case !s.finished:
				return "L1: the drain does not end"
			case s.made != s.over:
				return fmt.Sprintf("L2: tasks %b were left behind", s.made&^s.over)
			}
			return ""
		},
		show: func(s *drainState, thread int) string {
			counts := ""
			for i := range s.runners {
				counts += fmt.Sprintf(" %d/%d", s.runners[i].submitted, s.runners[i].ended)
			}
			return fmt.Sprintf("pc %d look %d  closed %v submitted %d, by runner%s, injected %v", s.pcs[thread], s.looks[thread].pc,
				s.closed, s.submitted, counts, s.injected.tasks())
		},
	}
}

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

// look is checkQuiet, with quiescent and sum.
func (d *drain) look(s *drainState, l *drainLook) bool {
	done := func() { *l = drainLook{} }
	runner := func() *drainRunner {
		i := l.i
		if d.reverse {
			i = drRunners - 1 - i
		}
		l.i++
		return &s.runners[i]
	}
	first, second := uint8(lkEnds), uint8(lkSubs)
	if d.bug.sumBackwards {
		first, second = second, first
	}
	switch l.pc {
	case lkWanted:
		if l.pc = lkNewest; !s.wanted {
			done()
		}
	case lkNewest:
		l.newest, l.pc = s.newest, first
	case lkEnds:
		l.ended += runner().ended
	case lkSubs:
		l.all += runner().submitted
	case lkInjected: // under injector.mu
		l.all += int8(s.submitted)
		if l.pc = lkClose; l.all != l.ended {
			done()
		}
	case lkClose:
		if d.bug.newestLate {
			l.newest = s.newest
		}
		if s.listed > 0 && (s.listed <= l.newest || d.bug.anybody) {
			s.listed, s.quiet = 0, true
		}
		done()
	}
	if l.i == drRunners {
		if l.i = 0; l.pc == first {
			l.pc = second
		} else {
			l.pc = lkInjected
		}
	}
	return true
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

// word is what matters of a child's state for those who claim it.
func (c *drainFork) word() uint8 {
	w := c.phase + 1
	if c.joined {
		w |= forkJoined
	}
	if c.orphan {
		w |= forkOrphan
	}
	return w
}

var drainSettings = []drain{
	{name: "one submitter", tasks: []string{""}, outside: []string{"0"}},
	{name: "two submitters", tasks: []string{"", ""}, outside: []string{"0", "1"}},
	{name: "two submitters and Quiesce", tasks: []string{"", ""}, outside: []string{"0", "1"}, quiesce: true},
	{name: "a child and Quiesce", tasks: []string{"p1", ""}, outside: []string{"0"}, quiesce: true},
	{name: "a child", tasks: []string{"p1", ""}, outside: []string{"0"}},
	{name: "a child of a child", tasks: []string{"p1", "p2", ""}, outside: []string{"0"}, reverse: true},
	{name: "a forked child", tasks: []string{"f1", ""}, outside: []string{"0"}},
	{name: "a forked child, joined", tasks: []string{"f1j1", ""}, outside: []string{"0"}},
	{name: "two, one joined", tasks: []string{"f1f2j2", "", ""}, outside: []string{"0"}, reverse: true},
	{name: "joined out of order", tasks: []string{"f1f2j1", "", ""}, outside: []string{"0"}},
	{name: "forked by a forked one", tasks: []string{"f1", "f2", ""}, outside: []string{"0"}},
	{name: "forked by a joined one", tasks: []string{"f1j1", "f2", ""}, outside: []string{"0"}, reverse: true},
	{name: "forks and a submitter", tasks: []string{"f1", "", ""}, outside: []string{"0", "2"}},
	{name: "joins and a submitter", tasks: []string{"f1j1", "", ""}, outside: []string{"0", "2"}, reverse: true},
}

func TestExploreDrain_EveryInterleavingKeepsL1L2L3(t *testing.T) {
	if exploredBefore(t) {
		return
	}
	total := 0
	for _, d := range drainSettings {
		total += mustHold(t, d.model())
	}
	t.Logf("%d states", total)
}

func TestExploreDrain_FindsMutants(t *testing.T) {
	if exploredBefore(t) {
		return
	}
	mutants := map[string]drainMutant{
		"closed is checked before the lock":               {closedOutside: true},
		"a task is counted after it was queued":           {countLate: true},
		"a child is counted after it was pushed":          {pushLate: true},
		"a task ends before its children are let go":      {endEarly: true},
		"sum reads submissions first":                     {sumBackwards: true},
		"who starts a forked child counts it late":        {starterLate: true},
		"who starts a forked child does not count":        {starterQuiet: true},
		"a task does not count what nobody has started":   {orphanQuiet: true},
		"a task counts what it let go of late":            {orphanLate: true},
		"who counted in vain does not take it back":       {noUndo: true},
		"a runner that parks does not look":               {parkQuiet: true},
		"Shutdown looks before it says that it waits":     {wantLate: true},
		"a look serves those who came after it began":     {anybody: true},
		"a look asks who came last at its end":            {newestLate: true},
		"children taken back end before they are counted": {joinedEarly: true},
	}
	for _, name := range slices.Sorted(maps.Keys(mutants)) {
		var models []*model[drainState]
		for _, d := range drainSettings {
			d.bug = mutants[name]
			models = append(models, d.model())
		}
		mustFail(t, name, models...)
	}
}
