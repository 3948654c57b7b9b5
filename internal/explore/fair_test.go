package explore

import (
	"fmt"
	"testing"
)

// A model of where a runner looks for work, and when: pick, pickFairly, visit, takeApart. One runner picks; all others
// block or work on something for ever. The adversary sees to it that there is always something else to take. The task is
// in the deque of a slot whose owner blocks, behind others; the slot may go, and then the task is among those that are
// served in turns with the queue. It must be started within the number of picks that P6 in PARKING.md says.

const (
	frSlots = 3 // the picker's own, the one that blocks, and another
	frEvery = 5 // the longest interval of fairness
	frLeast = 3 // and the shortest
	frBatch = 3 // the most that is taken at once
)

var _ = mirrors(map[string]string{
	"runner.pickFairly":  "8357ce341fd4",
	"runner.visit":       "6db45f748ce9",
	"injector.takeApart": "ba4e97c8ba05",
	"injector.empty":     "606bf931f016",
})

type fairState struct {
	started, gone            bool // the task; the slot that it was in
	ahead                    uint8
	count, fair, then, batch uint8 // the runner: its deque has that many of the last batch
	visits                   bool
	next                     uint8
	apart                    bool
	picks                    uint8 // so far
	most                     uint8 // how many there may be
}

type fairMutant struct {
	noVisit      bool // nobody looks at other deques
	oneVictim    bool // always at the same one
	newest       bool // and takes the newest task there
	injectorOnly bool // the deque's turn comes only when the injector's look brought nothing
	last         bool // what a slot leaves goes to the end of the queue
	noTurns      bool // the queue goes first
	restarts     bool // the interval starts again with each batch
}

type fair struct {
	name  string
	depth uint8
	goes  bool // the slot may go
	bug   fairMutant
}

func (p fair) model() *model[fairState] {
	s := fairState{ahead: p.depth, fair: frEvery, most: frEvery * frSlots * (p.depth + 1)}
	if p.goes { // as many as there were in front of it may be there before them
		s.most += 2 * (2*p.depth + 1) * (frBatch + frEvery)
	}
	return &model[fairState]{name: p.name, start: s, threads: 2, step: p.step, always: p.always,
		atRest: func(*fairState) string { return "" },
		show:   func(s *fairState, t int) string { return fmt.Sprintf("%+v", *s) }}
}

func (p *fair) always(s *fairState) string {
	if !s.started && s.picks > s.most {
		return fmt.Sprintf("P6: not started after %d picks, at most %d", s.picks, s.most)
	}
	return ""
}

func (p *fair) step(s *fairState, thread int, m *move) bool {
	if s.started {
		return false
	}
	if thread == 1 { // the slot goes: some that went before may still be there
		if !p.goes || s.gone {
			return false
		}
		s.gone = true
		s.ahead += uint8(m.pick(int(p.depth) + 1))
		return true
	}
	s.picks++
	if s.count++; s.count >= s.fair {
		if s.visits && !p.bug.noVisit {
			s.visits, s.fair = false, s.then
			if s.next++; p.bug.oneVictim {
				s.next = 0
			}
			switch s.next %= frSlots; {
			case s.next == 1 && !s.gone:
				p.advance(s, !p.bug.newest)
				return true
			case s.next == 2: // there is always something
				return true
			}
		} else {
			s.count, s.fair = 0, 1
			s.then = frLeast + uint8(m.pick(frEvery-frLeast+1))
			if s.visits = true; s.batch == 0 { // children only, or nothing
				p.inject(s, 0)
				if p.bug.injectorOnly {
					s.visits, s.fair = false, s.then
				}
				return true
			}
		}
	}
	if s.batch > 0 {
		s.batch--
		return true
	}
	if s.count != 0 && s.count != 1 && m.pick(2) == 1 { // a child
		return true
	}
	p.inject(s, frBatch)
	if p.bug.restarts {
		s.count = 0
	}
	return true
}

// inject is injector.take: the queue is never empty.
func (p *fair) inject(s *fairState, batch uint8) {
	if s.gone && !p.bug.last {
		if s.apart = !s.apart && !p.bug.noTurns; s.apart {
			p.advance(s, true)
			return
		}
	}
	s.batch = batch
}

// advance takes one of those in front of the task, or the task.
func (p *fair) advance(s *fairState, oldest bool) {
	switch {
	case !oldest: // later ones come for ever
	case s.ahead == 0:
		s.started = true
	default:
		s.ahead--
	}
}

var fairSettings = []fair{
	{name: "the oldest of a blocked owner", depth: 0},
	{name: "behind two others", depth: 2},
	{name: "in a slot that goes", depth: 0, goes: true},
	{name: "behind one, in a slot that goes", depth: 1, goes: true},
}

func TestExploreFair_EveryTaskIsStartedWithinTheBoundOfP6(t *testing.T) {
	if exploredBefore(t) {
		return
	}
	for _, p := range fairSettings {
		mustHold(t, p.model())
	}
}

func TestExploreFair_FindsMutants(t *testing.T) {
	if exploredBefore(t) {
		return
	}
	for name, bug := range map[string]fairMutant{
		"nobody looks at other deques":                    {noVisit: true},
		"the visitor goes to the same one":                {oneVictim: true},
		"a visit takes the newest":                        {newest: true},
		"a deque's turn comes if the injector has none":   {injectorOnly: true},
		"what a slot leaves goes to the end of the queue": {last: true},
		"the queue goes before what a slot leaves":        {noTurns: true},
		"each batch starts the interval again":            {restarts: true},
	} {
		var models []*model[fairState]
		for _, p := range fairSettings {
			p.bug = bug
			models = append(models, p.model())
		}
		mustFail(t, name, models...)
	}
}
