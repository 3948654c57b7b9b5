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
