package explore

import (
	"fmt"
	"testing"
)

// Lanes: taking under their rule, holds, and what makes a lane ready again ("Lanes" in ARCHITECTURE.md). Everything under the
// injector's lock is one step, and so is everything under idle.mu. Weights are left out: of lanes that are equal under N2
// any may be next. Entries are of tasks that may block, once.
var _ = mirrors(map[string]string{
	"lanes.take":      "b4319364245b",
	"lanes.start":     "8a32875ab805",
	"laneQueue.came":  "1a015446e91e",
	"hold.end":        "0be2ad028624",
	"hold.count":      "fdce62ca389a",
	"laneQueue.push":  "e5af1de71f13",
	"laneQueue.runs":  "b9407430f5ac",
	"runner.unhold":   "c59afe95e3cc",
	"runner.blockFor": "03bdb9087514",
})

const (
	lnLanes   = 3
	lnRunners = 3
	lnSubs    = 2
	lnThreads = lnRunners + lnSubs
)

// laneSetting is one setting: what the lanes are, and which tasks come.
type laneSetting struct {
	name   string
	slots  int8
	max    [lnLanes]int8
	share  [lnLanes]int8
	tasks  [lnSubs][]int8 // the lanes that each submitter submits to, in this order
	blocks bool
	awaits bool // who blocks does so until its lane is empty
	bug    laneMutant
}

type laneMutant struct {
	endsQuietly, keepsFilled, staysCounted, isNotBack, forgetsEnd, looksEarly, ignoresShares, ignoresMax, unholdsQuietly bool
}

type laneThread struct {
	pc      int8
	lane    int8 // of the task that it has, or that it submits
	next    int8 // of a submitter: which task
	slot    bool
	token   bool
	search  bool
	listed  bool
	hold    bool // its task is on the count
	blocked bool // the slot can be taken
	tired   bool // its task has blocked
}

type laneState struct {
	th      [lnThreads]laneThread
	queued  [lnLanes]int8
	running [lnLanes]int8
	filled  bool
	free    int8
	search  int8
}

const (
	lnSleep = iota
	lnPick
	lnTake
	lnFound
	lnFoundWake
	lnRun
	lnEnd
	lnEndWake
	lnUnhold
	lnUnholdWake
	lnBlock
	lnBlockLook
	lnBack
	lnRehold
	lnPark
	lnLook
	lnUnpark
	lnParkWake
	lnPush
	lnPushWake
	lnOver
)

func (c laneSetting) model() *model[laneState] {
	s := laneState{free: c.slots}
	for i := range lnRunners {
		s.th[i] = laneThread{pc: lnSleep, listed: true}
	}
	for i := range lnSubs {
		s.th[lnRunners+i].pc = lnPush
	}
	return &model[laneState]{name: c.name, start: s, threads: lnThreads, step: c.step, always: c.always, atRest: c.atRest,
		show: func(s *laneState, i int) string {
			return fmt.Sprintf("%+v queued %v running %v filled %v free %d search %d", s.th[i], s.queued, s.running, s.filled, s.free, s.search)
		}}
}

func (c *laneSetting) ready(s *laneState, l int8) bool {
	return s.queued[l] > 0 && (c.max[l] == 0 || s.running[l] < c.max[l] || c.bug.ignoresMax)
}

func (c *laneSetting) counted(l int8) bool { return c.max[l] > 0 || c.share[l] > 0 }

func (c *laneSetting) recount(s *laneState) {
	s.filled = false
	for l := range int8(lnLanes) {
		s.filled = s.filled || c.ready(s, l)
	}
}

// candidates are the lanes that may be next.
func (c *laneSetting) candidates(s *laneState) (all []int8) {
	for _, below := range []bool{true, false} {
		for l := range int8(lnLanes) {
			if c.ready(s, l) && (!below || s.running[l] < c.share[l]) {
				all = append(all, l)
			}
		}
		if len(all) > 0 && !c.bug.ignoresShares {
			return all
		}
	}
	return all
}

// runs is laneQueue.runs: it reports whether the lane has become ready.
func (c *laneSetting) runs(s *laneState, l, n int8) bool {
	before := c.ready(s, l)
	s.running[l] += n
	if !c.bug.keepsFilled {
		c.recount(s)
	}
	return c.ready(s, l) && !before
}

// wake is notify and what follows from it under idle.mu: a free slot, or one of a task that blocks, goes to a parked runner.
func (c *laneSetting) wake(s *laneState, m *move) {
	if s.search > 0 {
		return
	}
	if s.free == 0 {
		taken := false
		for i := range lnRunners {
			if th := &s.th[i]; th.blocked && th.slot && !taken {
				th.slot, th.blocked, taken = false, false, true
			}
		}
		if !taken {
			return
		}
	} else {
		s.free--
	}
	for i := range lnRunners {
		if th := &s.th[i]; th.listed {
			th.listed, th.token = false, true
			s.search++
			return
		}
	}
	s.free++ // no spare is left
}

func (c laneSetting) step(s *laneState, i int, m *move) bool {
	th := &s.th[i]
	switch th.pc {
	case lnPush:
		tasks := c.tasks[i-lnRunners]
		if int(th.next) == len(tasks) {
			return false
		}
		s.queued[tasks[th.next]]++
		th.next++
		c.recount(s)
		th.pc = lnPushWake
	case lnPushWake:
		c.wake(s, m)
		th.pc = lnPush
	case lnSleep:
		if !th.token {
			return false
		}
		th.token, th.slot, th.search = false, true, true
		th.pc = lnPick
	case lnPick:
		th.pc = lnTake
		if !s.filled || !th.slot {
			th.pc = lnPark
		} else if c.bug.looksEarly {
			if all := c.candidates(s); len(all) > 0 {
				th.lane = all[m.pick(len(all))]
			}
		}
	case lnTake:
		all := c.candidates(s)
		if len(all) == 0 {
			th.pc = lnPark
			return true
		}
		l := th.lane
		if !c.bug.looksEarly {
			l = all[m.pick(len(all))]
		} else if s.queued[l] == 0 {
			th.pc = lnPick
			return true
		}
		if c.max[l] > 0 && s.running[l] >= c.max[l] {
			m.fail("N1: a task of lane %d is started beside its Max", l)
		}
		for o := range int8(lnLanes) {
			if s.running[l] >= c.share[l] && s.queued[o] > 0 && s.running[o] < c.share[o] {
				m.fail("N2: lane %d goes before lane %d, which is below its share", l, o)
			}
		}
		s.queued[l]--
		if c.counted(l) {
			s.running[l]++
			th.hold = true
		}
		c.recount(s)
		th.lane, th.tired = l, false
		th.pc = lnRun
		if th.search {
			th.pc = lnFound
		}
	case lnFound:
		s.search--
		th.search = false
		th.pc = lnRun
		if s.search == 0 && s.filled {
			th.pc = lnFoundWake
		}
	case lnFoundWake:
		c.wake(s, m)
		th.pc = lnRun
	case lnRun:
		th.pc = lnEnd
		if c.blocks && !th.tired && m.pick(2) == 1 {
			th.tired = true
			th.pc = lnBlock
			if th.hold {
				th.pc = lnUnhold
			}
		}
	case lnUnhold:
		th.pc = lnBlock
		if c.bug.staysCounted {
			return true
		}
		if c.runs(s, th.lane, -1) && !c.bug.unholdsQuietly {
			th.pc = lnUnholdWake
		}
		th.hold = false
	case lnUnholdWake:
		c.wake(s, m)
		th.pc = lnBlock
	case lnBlock:
		th.blocked = true
		th.pc = lnBlockLook
	case lnBlockLook: // and the keeper, if the call is taken for short. While a slot is free or somebody searches it is not needed
		if s.filled && s.free == 0 && s.search == 0 {
			c.wake(s, m)
		}
		th.pc = lnBack
	case lnBack:
		if c.awaits && s.queued[th.lane] > 0 {
			return false
		}
		th.blocked = false
		th.pc = lnEnd
		if c.counted(th.lane) {
			th.pc = lnRehold
		}
	case lnRehold:
		th.pc = lnEnd
		if !c.bug.isNotBack && !th.hold {
			c.runs(s, th.lane, 1)
		}
		th.hold = true
	case lnEnd:
		th.pc = lnPick
		if th.hold && !c.bug.forgetsEnd && c.runs(s, th.lane, -1) && !c.bug.endsQuietly {
			th.pc = lnEndWake
		}
		th.hold = false
	case lnEndWake:
		c.wake(s, m)
		th.pc = lnPick
	case lnPark:
		gave := th.slot
		if gave {
			s.free++
		}
		if th.search {
			s.search--
		}
		th.slot, th.search, th.listed = false, false, true
		th.pc = lnSleep
		if gave {
			th.pc = lnLook
		}
	case lnLook:
		th.pc = lnSleep
		if s.filled {
			th.pc = lnUnpark
		}
	case lnUnpark:
		th.pc = lnSleep
		switch {
		case !th.listed:
		case s.free > 0:
			s.free--
			s.search++
			th.listed, th.slot, th.search = false, true, true
			th.pc = lnPick
		default:
			th.pc = lnParkWake
		}
	case lnParkWake:
		c.wake(s, m)
		th.pc = lnSleep
	}
	return true
}

func (c laneSetting) always(s *laneState) string {
	var holds [lnLanes]int8
	for i := range lnRunners {
		if th := &s.th[i]; th.hold && !th.blocked {
			holds[th.lane]++
		}
	}
	if holds != s.running {
		return fmt.Sprintf("N5: %v are counted, %v have holds", s.running, holds)
	}
	return ""
}

func (c laneSetting) atRest(s *laneState) string {
	if s.queued != [lnLanes]int8{} {
		return fmt.Sprintf("N6: nobody looks any more, and %v are queued", s.queued)
	}
	if s.free != c.slots || s.search != 0 {
		return fmt.Sprintf("%d slots are free and %d search", s.free, s.search)
	}
	return ""
}

var laneSettings = []laneSetting{
	{name: "a Max of one", slots: 2, max: [lnLanes]int8{1}, tasks: [lnSubs][]int8{{0, 0}, {0}}},
	{name: "a Max and a lane beside it", slots: 2, max: [lnLanes]int8{1}, tasks: [lnSubs][]int8{{0, 0}, {1, 1}}},
	{name: "a Max and tasks that block", slots: 1, max: [lnLanes]int8{1}, tasks: [lnSubs][]int8{{0, 0}, {1}}, blocks: true},
	{name: "a Max and tasks that wait for the next one", slots: 2, max: [lnLanes]int8{1}, tasks: [lnSubs][]int8{{0}, {0}}, blocks: true, awaits: true},
	{name: "a reservation", slots: 2, share: [lnLanes]int8{0, 0, 1}, tasks: [lnSubs][]int8{{1, 1}, {2, 2}}},
	{name: "all of it", slots: 2, max: [lnLanes]int8{1}, share: [lnLanes]int8{0, 0, 1}, tasks: [lnSubs][]int8{{0, 1}, {2}}, blocks: true},
}

func TestExploreLanes_EveryInterleaving(t *testing.T) {
	if exploredBefore(t) {
		return
	}
	for _, c := range laneSettings {
		mustHold(t, c.model())
	}
}

func TestExploreLanes_FindsMutants(t *testing.T) {
	if exploredBefore(t) {
		return
	}
	for name, bug := range map[string]laneMutant{
		"the end of a task tells nobody":               {endsQuietly: true},
		"the end of a task does not count lanes again": {keepsFilled: true},
		"a task that blocks stays counted":             {staysCounted: true},
		"a task that comes back is not counted":        {isNotBack: true},
		"a task that ends stays counted":               {forgetsEnd: true},
		"the lane is chosen before the lock":           {looksEarly: true},
		"shares are not looked at":                     {ignoresShares: true},
		"a Max is not looked at":                       {ignoresMax: true},
		"who begins to block tells nobody":             {unholdsQuietly: true},
	} {
		var models []*model[laneState]
		for _, c := range laneSettings {
			c.bug = bug
			models = append(models, c.model())
		}
		mustFail(t, name, models...)
	}
}
