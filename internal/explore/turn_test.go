package explore

import (
	"fmt"
	"maps"
	"slices"
	"testing"
)

// The turn of a guest: how a call of Do gets its slot, leaves the queue, and passes the slot on. "Guests" in
// ARCHITECTURE.md. Everything under one lock is one step.
var _ = mirrors(map[string]string{
	"Executor.slotFor":     "52fc89f9ba03",
	"runner.host":          "f23d8374b50d",
	"runner.depart":        "f7f00fe5781b",
	"runner.vacate":        "5e8efd085062",
	"Executor.takeSeat":    "5b170e073113",
	"seat.wait":            "869769ab91f8",
	"seat.execute":         "3e3a95d0f216",
	"seat.drop":            "3472f7dc4fd1",
	"injector.nobodyWaits": "c064302e85ba",
})

// turn is one setting.
type turn struct {
	name    string
	slots   int
	ends    bool // the context of the last guest may end
	child   bool // the first guest leaves a child in its deque
	tasks   int  // tasks from outside, each of a goroutine of its own
	guests  int
	close   bool // somebody calls Close
	retires bool // somebody takes a slot away
	bug     turnMutant
}

type turnMutant struct {
	overtakes, noLook, leavesBlindly, grantsBlindly, skips, dropsBlindly, freesToo, forgetsDeque, openFirst, staffs, listsLate bool
}

const (
	turnSlots   = 2
	turnThreads = 8 // guests 0-2, tasks 3-4, runners 5-6, one who closes or resizes 7
	turnTask    = 3
	turnRunner  = 5
	turnOther   = 7
)

type turnThread struct {
	pc       int8
	slot     int8 // that it has, or -1
	token    int8 // on its way to it: slot+1; 9: none will come
	entry    int8 // that it has taken, or -1
	state    int8 // of a guest's entry, or of a task
	search   bool
	listed   bool
	refused  bool
	canceled bool
	ran      int8
}

type turnState struct {
	th       [turnThreads]turnThread
	queue    [6]int8
	qlen     int8
	free     int8 // bits
	deque    [turnSlots]int8
	retire   [turnSlots]bool
	gone     int8
	search   int8
	closed   bool
	children int8 // run or dropped
}

const (
	pcStart = iota
	pcOpen  // openFirst: closed was looked at before
	pcNotify
	pcWake
	pcWait
	pcRun
	pcChildNotify
	pcChildWake
	pcRelease
	pcTakeSeat
	pcGrant
	pcStaff
	pcFree
	pcLook
	pcLookNotify
	pcLookWake
	pcEnd

	pcSleep
	pcPick
	pcFound
	pcFoundNotify
	pcFoundWake
	pcExec
	pcGive
	pcPark
	pcParkLook
	pcUnpark
	pcParkNotify
	pcParkWake
)

const (
	seatQueued = iota
	seatHas
	seatNone
	seatGone
)

func (c turn) model() *model[turnState] {
	var start turnState
	for i := range start.th {
		start.th[i].slot, start.th[i].entry = -1, -1
		start.th[i].pc = pcEnd
	}
	for g := range c.guests {
		start.th[g].pc = pcStart
	}
	for i := range c.tasks {
		start.th[turnTask+i].pc = pcStart
	}
	for i := range c.slots {
		start.free |= 1 << i
		start.th[turnRunner+i].pc, start.th[turnRunner+i].listed = pcSleep, true
	}
	if c.close || c.retires {
		start.th[turnOther].pc = pcStart
	}
	return &model[turnState]{
		name: c.name, start: start, threads: turnThreads,
		step:   c.step,
		always: c.always,
		atRest: c.atRest,
		show: func(s *turnState, i int) string {
			return fmt.Sprintf("%+v queue %v free %b search %d deque %v", s.th[i], s.queue[:s.qlen], s.free, s.search, s.deque)
		},
	}
}

func (s *turnState) pop() int8 {
	e := s.queue[0]
	copy(s.queue[:], s.queue[1:])
	s.qlen--
	s.queue[s.qlen] = 0
	return e
}

func (s *turnState) push(e int8) {
	s.queue[s.qlen] = e
	s.qlen++
}

func (s *turnState) hasWork() bool { return s.qlen > 0 || s.deque[0]+s.deque[1] > 0 }

func (s *turnState) popFree() int8 {
	for i := int8(turnSlots - 1); i >= 0; i-- {
		if s.free>>i&1 == 1 {
			s.free &^= 1 << i
			return i
		}
	}
	return -1
}

// notify is the load in notify; wake is the test under idle.mu, and the token.
func (s *turnState) notify() bool { return s.search == 0 && s.free != 0 }

func (s *turnState) wake(m *move) {
	if !s.notify() {
		return
	}
	s.staff(s.popFree(), m)
}

func (s *turnState) staff(slot int8, m *move) {
	for r := turnRunner; r < turnOther; r++ {
		if th := &s.th[r]; th.listed {
			th.listed = false
			s.search++
			s.give(r, slot, m)
			return
		}
	}
	m.fail("no runner is parked, and one more than slots would be started (B5)")
}

func (s *turnState) give(to int, slot int8, m *move) {
	if s.th[to].token != 0 {
		m.fail("two tokens for one")
	}
	s.th[to].token = slot + 1
}

// always: each slot is in one place (H1), and a guest that has one has run or will (H2).
func (c turn) always(s *turnState) string {
	var places [turnSlots]int
	for i := range c.slots {
		places[i] += int(s.free>>i&1) + int(s.gone>>i&1)
	}
	for i := range s.th {
		th := &s.th[i]
		if th.slot >= 0 {
			places[th.slot]++
		}
		if th.token > 0 && th.token < 9 {
			places[th.token-1]++
		}
	}
	for i := range c.slots {
		if places[i] != 1 {
			return fmt.Sprintf("slot %d is in %d places", i, places[i])
		}
		if s.free>>i&1 == 1 && s.deque[i] > 0 {
			return fmt.Sprintf("slot %d is free, and its deque is not empty", i)
		}
	}
	return ""
}

func (c turn) atRest(s *turnState) string {
	for i := range s.th {
		th := &s.th[i]
		switch {
		case i < c.guests && th.pc != pcEnd:
			return fmt.Sprintf("guest %d waits for ever: %+v", i, *th)
		case i < c.guests && int(th.ran)+count(th.refused)+count(th.canceled) != 1:
			return fmt.Sprintf("guest %d ended as %+v", i, *th)
		case i >= turnTask && i < turnTask+c.tasks && int(th.ran)+count(th.refused)+count(th.canceled) != 1:
			return fmt.Sprintf("task %d ended as %+v (P0)", i, *th)
		case th.slot >= 0 || th.token != 0:
			return fmt.Sprintf("thread %d keeps a slot: %+v", i, *th)
		}
	}
	if c.child && s.th[0].ran == 1 && s.children != 1 {
		return fmt.Sprintf("what the guest left ran %d times", s.children)
	}
	if s.search != 0 || s.deque[0]+s.deque[1] > 0 {
		return fmt.Sprintf("%d search, deques %v", s.search, s.deque)
	}
	return ""
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

var turnSettings = []turn{
	{name: "three guests", slots: 1, guests: 3},
	{name: "two slots", slots: 2, guests: 3},
	{name: "a task between guests", slots: 1, guests: 2, tasks: 1},
	{name: "two slots and a task", slots: 2, guests: 2, tasks: 1},
	{name: "a context ends", slots: 1, guests: 2, ends: true, tasks: 1},
	{name: "of three, one ends", slots: 1, guests: 3, ends: true},
	{name: "a child is left", slots: 1, guests: 2, child: true, tasks: 1},
	{name: "a child, two slots", slots: 2, guests: 2, child: true},
	{name: "Close", slots: 1, guests: 2, tasks: 1, close: true},
	{name: "Close, a context ends", slots: 1, guests: 2, ends: true, close: true},
	{name: "a slot goes", slots: 2, guests: 2, child: true, retires: true, tasks: 1},
}

func TestExploreTurn_EveryInterleavingKeepsH1ToH3(t *testing.T) {
	if exploredBefore(t) {
		return
	}
	total := 0
	for _, c := range turnSettings {
		total += mustHold(t, c.model())
	}
	t.Logf("%d states", total)
}

func TestExploreTurn_FindsMutants(t *testing.T) {
	if exploredBefore(t) {
		return
	}
	mutants := map[string]turnMutant{
		"a guest frees its slot and does not look again":    {noLook: true},
		"a guest leaves without claiming its entry":         {leavesBlindly: true},
		"a slot is given to a guest that has left":          {grantsBlindly: true},
		"a guest passes its slot over tasks that wait":      {skips: true},
		"Close drops a guest that has been given a slot":    {dropsBlindly: true},
		"the slot that was passed on is freed too":          {freesToo: true},
		"what a guest leaves in its deque is not looked at": {forgetsDeque: true},
		"closed is looked at before the lock":               {openFirst: true},
		"a guest takes a free slot although others wait":    {overtakes: true},
		"a runner comes between two guests":                 {staffs: true},
		"a runner is listed after it gave its slot away":    {listsLate: true},
	}
	for _, name := range slices.Sorted(maps.Keys(mutants)) {
		var models []*model[turnState]
		for _, c := range turnSettings {
			c.bug = mutants[name]
			models = append(models, c.model())
		}
		mustFail(t, name, models...)
	}
}
