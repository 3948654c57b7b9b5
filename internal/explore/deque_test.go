package explore

import (
	"fmt"
	"maps"
	"slices"
	"testing"
)

// A model of deque.go: one owner that follows a script, and thieves. Entries are the numbers 1, 2, ...
// in the order of pushes. Indices are bytes that start just below 256, so that they wrap.

const (
	exRing    = 4
	exThieves = 2
)

var _ = mirrors(map[string]string{
	"deque.room":        "cbd42b58fdd8",
	"deque.push":        "2f8a692a2e99",
	"deque.set":         "d3c798b5e8b9",
	"deque.advance":     "1bc9c211f97a",
	"deque.pop":         "aa45ba58d2d5",
	"deque.popHead":     "21fa7dd8bc33",
	"deque.claimNewest": "8b7e7b0c0e78",
	"deque.clear":       "cb8b3645a77e",
	"deque.take":        "a5c8afcbe56a",
	"deque.len":         "d9552311a142",
})

type dequeState struct {
	headSteal, headReal uint8 // the head word
	tail                uint8
	next, steal         uint8 // the owner's own
	cells               [exRing]uint8
	known               [exRing]clocks

	pushed  uint8  // entries so far
	claimed uint16 // by one bit each
	got     uint16

	pc, at            uint8 // of the owner: in the code, in the script
	t, n, i           uint8 // its locals
	sawSteal, sawReal uint8
	put               bool // overflow was called from a push

	thief [exThieves]dequeThief
}

type dequeThief struct {
	pc, steal, real, tries uint8
	two                    bool // a mutant claims, or still has to clear, two
}

// The threads and what they synchronize by.
const (
	exOwner = 0 // and thief i is thread i+1
	exHead  = 0
	exTail  = 1
)

const (
	dqNext = iota
	dqPushRoom
	dqPush
	dqPushTail
	dqSetRoom
	dqSet
	dqSetTail
	dqPopHead
	dqPopTail
	dqPopLook
	dqPopClear
	dqPopCAS
	dqPopRestore
	dqPopLastClear
	dqPopUndo
	dqHeadLoad
	dqHeadCAS
	dqHeadClear
	dqNewestLen
	dqNewestTail
	dqNewestLook
	dqNewestUndo
	dqNewestClear

	thIdle
	thTail
	thClaim
	thClear
	thRelease
	thReleaseCAS
)

var dequeSteps = []string{
	"next operation", "room: load head", "push: write the cell", "push: store tail",
	"room (batch): load head", "set: write a cell", "advance: store tail",
	"pop: load head", "pop: lower tail", "pop: load head again", "pop: clear the cell",
	"pop: CAS head for the last entry", "pop: restore tail", "pop: clear the last cell", "pop: restore tail, empty",
	"popHead: load head", "popHead: CAS head", "popHead: clear the cell",
	"claimNewest: len", "claimNewest: lower tail", "claimNewest: load head", "claimNewest: restore tail", "overflow: clear a cell",
	"take: load head", "take: load tail", "take: claim by CAS", "take: clear the cell", "take: load head to release", "take: release by CAS",
}

// dequeMutant breaks the deque in one place.
type dequeMutant struct {
	batchClaim   bool // a thief claims two entries with one CAS
	noBusyCheck  bool // take does not look at steal != real
	noClear      bool // cells are read and not cleared
	claimLess    bool // claimNewest accepts real == at
	popFirst     bool // pop reads the head before it lowers the tail, and trusts it
	popNoCAS     bool // pop takes the last entry without a CAS
	headNoFollow bool // popHead does not move steal when no thief is inside
	headDrags    bool // popHead moves steal although a thief is inside
	roomByReal   bool // room counts from real, so cells that a thief reads look free
	releaseOld   bool // the thief releases with the real that it claimed
	tailFirst    bool // push publishes before it writes
	tailEarly    bool // take loads the tail before the head
}

// A script is what the owner does: p push (overflowing a full ring), b push a batch of two, l pop,
// f popHead, o overflow. steals is how often each thief calls take.
func dequeModel(script string, thieves, steals int, bug dequeMutant) *model[dequeState] {
	start := dequeState{headSteal: 253, headReal: 253, tail: 253, next: 253, steal: 253}
	for i := range start.thief {
		start.thief[i].pc = thIdle
	}
	return &model[dequeState]{
		name:    script,
		start:   start,
		threads: 1 + thieves,
		step: func(s *dequeState, thread int, m *move) bool {
			if thread == exOwner {
				return s.owner(script, m, bug)
			}
			return s.steals(thread, steals, m, bug)
		},
		always: func(*dequeState) string { return "" },
		atRest: (*dequeState).rest,
		show: func(s *dequeState, thread int) string {
			pc := s.pc
			op := ""
			if thread > 0 {
				pc = s.thief[thread-1].pc
			} else if int(s.at) < len(script) {
				op = " [" + script[s.at:s.at+1] + "]"
			}
			return fmt.Sprintf("%s%s  (steal %d real %d tail %d next %d cells %v)", dequeSteps[pc], op,
				s.headSteal, s.headReal, s.tail, s.next, s.cells)
		},
	}
}

// claim notes that the entry at an index is somebody's now (D1), at the end that it should be.
func (s *dequeState) claim(index uint8, newest bool, m *move) {
	id := s.cells[index%exRing]
	if id == 0 {
		m.fail("D1: the claim of an empty cell")
		return
	}
	if s.claimed>>id&1 != 0 {
		m.fail("D1: entry %d is claimed twice", id)
	}
	for other := uint8(1); other <= s.pushed; other++ {
		if s.claimed>>other&1 == 0 && (newest && other > id || !newest && other < id) {
			m.fail("order: entry %d is claimed before entry %d", id, other)
		}
	}
	s.claimed |= 1 << id
}

// clear is deque.clear.
func (s *dequeState) clear(index uint8, thread int, m *move, bug dequeMutant) {
	i := index % exRing
	if !s.known[i].touch(thread) {
		m.fail("D2: a race for cell %d", i)
	}
	id := s.cells[i]
	if id == 0 || s.got>>id&1 != 0 || s.claimed>>id&1 == 0 {
		m.fail("D1: entry %d is taken without a claim, or twice", id)
	}
	s.got |= 1 << id
	if !bug.noClear {
		s.cells[i] = 0
	}
}

func (s *dequeState) write(index uint8, m *move) {
	i := index % exRing
	if index-s.headSteal >= exRing {
		m.fail("D2: a write to cell %d, which is not released", i)
	}
	if s.cells[i] != 0 {
		m.fail("D3: a write to cell %d, which is not empty", i)
	}
	if !s.known[i].touch(exOwner) {
		m.fail("D2: a race for cell %d", i)
	}
	s.pushed++
	s.cells[i] = s.pushed
}

func (s *dequeState) loadHead(thread int) { acquire(s.known[:], thread, exHead) }

func (s *dequeState) casHead(thread int, oldSteal, oldReal, steal, real uint8) bool {
	acquire(s.known[:], thread, exHead)
	if s.headSteal != oldSteal || s.headReal != oldReal {
		return false
	}
	s.headSteal, s.headReal = steal, real
	release(s.known[:], thread, exHead)
	return true
}

func (s *dequeState) storeTail(t uint8) {
	s.tail = t
	release(s.known[:], exOwner, exTail)
}

// done ends an operation of the owner.
func (s *dequeState) done() {
	s.pc, s.at, s.put = dqNext, s.at+1, false
	s.t, s.n, s.i, s.sawSteal, s.sawReal = 0, 0, 0, 0, 0
}

// rest: nothing is lost (D1), and nothing is kept (D3).
func (s *dequeState) rest() string {
	if s.headSteal != s.headReal {
		return "D2: nobody is inside, and steal is not real"
	}
	if s.tail != s.next {
		return "the tail was not restored"
	}
	held := uint16(0)
	for i := s.headReal; i != s.next; i++ {
		held |= 1 << s.cells[i%exRing]
	}
	for i, id := range s.cells {
		if id != 0 && held>>id&1 == 0 {
			return fmt.Sprintf("D3: cell %d still holds entry %d", i, id)
		}
	}
	if s.got != s.claimed || s.got&held != 0 || s.got|held != 1<<(s.pushed+1)-2 {
		return fmt.Sprintf("D1: of %d entries %b were taken and %b are there", s.pushed, s.got, held)
	}
	return ""
}

// dequeScripts mix all that an owner does. Together they have every pair of methods next to each other.
var dequeScripts = []string{
	"ppllppl",
	"ppfplfp",
	"pppplfl",
	"bplbfl",
	"pppppflp", // the fifth overflows
	"pppopl",
	"bbpplf",
	"plplfpl",
}

func TestExploreDeque_EveryInterleavingKeepsD1D2D3(t *testing.T) {
	if exploredBefore(t) {
		return
	}
	total := 0
	for _, script := range dequeScripts {
		total += mustHold(t, dequeModel(script, exThieves, 2, dequeMutant{}))
	}
	t.Logf("%d states", total)
}

func TestExploreDeque_FindsMutants(t *testing.T) {
	if exploredBefore(t) {
		return
	}
	mutants := map[string]dequeMutant{
		"a thief claims two at once":          {batchClaim: true},
		"take ignores a thief inside":         {noBusyCheck: true},
		"cells are not cleared":               {noClear: true},
		"claimNewest accepts real == at":      {claimLess: true},
		"pop trusts the head it saw first":    {popFirst: true},
		"pop takes the last without CAS":      {popNoCAS: true},
		"popHead leaves steal behind":         {headNoFollow: true},
		"popHead drags steal past a thief":    {headDrags: true},
		"room counts from real":               {roomByReal: true},
		"a thief releases what it claimed":    {releaseOld: true},
		"push publishes before it writes":     {tailFirst: true},
		"take loads the tail before the head": {tailEarly: true},
	}
	for _, name := range slices.Sorted(maps.Keys(mutants)) {
		var settings []*model[dequeState]
		for _, script := range dequeScripts {
			settings = append(settings, dequeModel(script, exThieves, 2, mutants[name]))
		}
		mustFail(t, name, settings...)
	}
}
