package explore

import (
	"fmt"
	"math/bits"
)

// A model of how runners sleep, are woken, lend slots and come back: park.go, blocking.go, and what
// steal.go and runner.go do around them. park_test.go and blocking_test.go run it.
//
// What it leaves out: the deques are lists here whose methods take one step (deque_test.go has
// them in steps), as are the injector's critical sections (bound_test.go). A new runner starts
// without the keeper, which only delays it. Nobody yields, resizes, or ends the executor. A keeper, in the settings that have
// one, lends slots to tasks that block without a mark; its look at them is one step.

const (
	plSlots   = 3 // at most, of each
	plRunners = 4
	plThreads = 6
	plQueue   = 4
)

var _ = mirrors(map[string]string{
	"Executor.notify":         "580af89274c9",
	"Executor.wake":           "aacf86cf4892",
	"Executor.staff":          "bc61b300ce8c",
	"Executor.staffLocked":    "6cc19dfb9249",
	"Executor.popFree":        "fdd1a5d7e118",
	"Executor.takeFree":       "980532602fc5",
	"Executor.handOver":       "2ee713ea4525",
	"Executor.idles":          "dce0468ceffe",
	"Executor.pushFree":       "534822e3e0dd",
	"Executor.startSearching": "fb20be920a1a",
	"Executor.found":          "b087cf9b67b6",
	"Executor.hasWork":        "5c1f1fb75526",
	"runner.park":             "fecd43ed4bff",
	"Executor.giveBack":       "ba310177277c",
	"runner.unpark":           "724690cd8e83",
	"runner.sleep":            "8e21d719a132",
	"runner.pick":             "aeb92810c586",
	"runner.takeInjected":     "d995b3e3b904",
	"runner.search":           "f583ddd16efd",
	"runner.steal":            "14edb1274a77",
	"runner.nextTask":         "a0f8187aea9b",
	"runner.boundary":         "4312d048f671",
	"runner.adopt":            "dd8dba712eb8",
	"runner.release":          "cdd72e7504cb",
	"runner.has":              "f8978c954b2f",
	"runner.enter":            "d7a6dc1b85ea",
	"runner.leave":            "78569a7dc087",
	"runner.findSlot":         "f13f2fbb170f",
	"Executor.retake":         "3fc6cd09aae8",
	"Executor.deny":           "e1a6e1cdc433",
	"Executor.tryCredit":      "b8199023839c",
	"Executor.retakeBlocked":  "b7646d635494",
	"Executor.returnCredit":   "b165bf6300a8",
	"Executor.repay":          "9b6599de6d85",
	"runner.stopSurplus":      "59956794b927",
	"runner.takeGift":         "d74fff334764",
	"runner.settle":           "b54eccc8c31e",
	"runner.pushLocal":        "1f69b3669360",
	"injector.overflow":       "5104ceb3df0b",
	"runner.trim":             "d20a07e63081",
})

type poolState struct {
	searching, free uint8 // the state word, in parts
	lent, debt      bool
	pending         bool

	mu       uint8 // idle.mu: the thread that has it, plus one
	list     [plSlots]uint8
	parked   poolStack
	surplus  poolStack
	credits  uint8
	denied   bool
	injected poolQueue
	slots    [plSlots]poolSlot
	runners  [plRunners]poolRunner
	threads  [plThreads]poolThread // the runners, then the submitters
	known    [plSlots]clocks       // of what only the holder of a slot may touch (D4)

	pushed, started, ended uint8 // tasks, one bit each
	lentSlots              uint8 // slots with a loan, one bit each
}

type poolStack struct {
	of [plRunners]uint8
	n  uint8
}

type poolQueue struct {
	of [plQueue]uint8
	n  uint8
}

type poolSlot struct {
	deque  poolQueue // the oldest first
	hidden uint8     // entries beyond the lowered tail
	holder uint8     // runner plus one
	lender uint8     // of its loan, plus one
	task   uint8     // where the lender was then
	next   uint8
}

type poolRunner struct {
	born       bool
	slot       uint8 // number plus one; so are held and token
	held       uint8
	token      uint8
	phase      uint8 // the Blocking word: phase, epoch, deniedBit
	epoch      uint8
	deniedBit  bool
	list       uint8 // 1: parked, 2: surplus
	handed     uint8 // the task that comes with its token, plus one
	counted    bool  // and the runner is counted as searching
	task, next uint8 // what it runs, plus one, and where it is there
}

// poolThread is a call stack: a frame has a place in the code and three locals.
type poolThread struct {
	frames [12]poolFrame
	n, ret uint8
}

type poolFrame struct{ pc, a, b, c uint8 }

// The objects that runners synchronize by when they pass on slots.
const (
	plMu    = 0
	plWord  = 1 // and the runner's number
	plToken = plWord + plRunners
	plGift  = plToken + plRunners
)

// pool is a setting: its size, and what the tasks do, one string for each.
//
//	p1 submit task 1 as a child    e l enter and leave Blocking     w1 wait for the end of task 1
//	z  run for ever                t   pop the newest entry, and push it back (trim, takeBack)
//	o  try to overflow             B  first of all: it is BLOCKED   T  the same, and its slot was taken and is free
//	u  block for ever, unmarked (so does w outside of Blocking)
type pool struct {
	name                    string
	slots, runners, credits int
	running                 int  // tasks that run at the start, each on its own slot
	keeper                  bool // there is one, and it lends slots
	calm                    bool // or it stops watching once
	tasks                   []string
	outside                 []string         // one submitter each: the tasks that it submits
	prepare                 func(*poolState) // the start, if it is a special one
	bug                     poolMutant
}

type poolMutant struct {
	noRescan         bool // parkers do not look again
	searchersRescan  bool // only those that searched do
	lastFoundQuiet   bool // the last searcher does not pass the search on
	overflowQuiet    bool // what overflow has moved is not followed by notify
	tokenListed      bool // a token is sent to a runner that stays listed until it has it
	searchAfterToken bool // the receiver of a token is counted after it was sent
	giveAfterList    bool // unused slots become free only after the parker has looked again
	pushBackQuiet    bool // an entry that was popped and pushed back is not followed by notify
	undoQuiet        bool // nor is a tail that a failed overflow has lowered
	wakeGivesUp      bool // wake does not look for a blocked slot when the free one is gone
	alwaysUnpark     bool // unpark does not look whether a token is on its way
	handListed       bool // it sends a token to a runner that stays listed
	handUncounted    bool // it never counts the receiver, who stops being counted all the same
	handNothing      bool // the task does not come with the token

	lookFirst     bool // enter looks at the queues before it publishes BLOCKED
	noLook        bool // enter does not look at them
	noLent        bool // enter does not set lent
	clearLate     bool // lent is cleared after the scan
	lentOnce      bool // lent is not set again after a slot was retaken
	lentLate      bool // it is, once its new runner may have looked
	watchBlind    bool // who sets pending does not look for lent then
	watchNever    bool // who publishes beside no free slot does not set pending
	calmBlind     bool // the keeper does not look again when it has cleared pending
	calmQuiet     bool // it does, and only sets pending again
	noEpoch       bool // the retaker's CAS does not look at the epoch
	heldLate      bool // retake asks for the slot after the CAS
	denyLate      bool // denied is set after the only try for a credit
	casOnce       bool // the denied bit, set meanwhile, makes retake fail
	returnQuiet   bool // returnCredit does not look whether somebody was denied one
	freeCredit    bool // retake needs no credit
	leaveKeeps    bool // leave takes its old slot back even if it was taken
	repayKeeps    bool // who repays does not take the credit over
	creditFirst   bool // a runner returns its credit before it has parked
	surplusUnpaid bool // a runner that goes to sleep frees its slot although there are surplus ones
	giftWithoutMu bool // a surplus runner that blocks does not look for a gift under the lock

	giftUnseen bool // the keeper sees a gift only once its runner has
	heldStale  bool // a runner that has lost its slot seems to have it, until it has another one
	loanKept   bool // the credit of a loan is not returned with its slot
	loanFrees  bool // a lent slot that finds no work is free, instead of gone
	loanLeaves bool // what is queued in a lent slot's deque goes with it
}

const (
	rnBorn = iota + 1 // runner.main and nextTask: a search
	rnPick
	rnInj
	rnTake
	rnFound
	rnSearch
	rnScan
	rnMoreLen
	rnMoreTake
	rnMorePush
	rnStolen
	rnPark
	rnParked
	rnRun
	rnAt
	rnTrimPush
	rnOverLook
	rnOverMove
	rnOverUndo
	rnPushed

	pkLock // park: a search, b gave
	pkGive
	pkGiven
	pkList
	pkCredit
	pkLook
	pkHas
	pkUnp
	pkSleep
	upLock // unpark: a slot
	upPop
	upSearch
	upDone
	adHeld // adopt: a slot

	nfWord // notify, and wake: a slot
	nfWatch
	wkLock
	wkPop
	sfLock // staff: a slot, b runner
	sfSearch
	sfSend
	sfCount
	fdDec // found
	fdHas
	hwInj // hasWork: a slot
	hwSlot

	enGift // enter
	enLock
	enFirst
	enFirstHas
	enStore
	enLoad
	enOr
	enHas
	rtCredit // retake: a runner, b epoch and denied bit, c slot
	rtDeny
	rtAgain
	rtHeld
	rtCAS
	rtLent
	rtHeldLate
	rtNo
	dnCAS
	dnStore
	rbClear // retakeBlocked: a offset, b start, c runner
	rbHolder
	rbWord
	rbRet
	rbOrDone
	rbDenied
	rbOr
	rbClearLate
	rcRel // returnCredit
	rcSwap
	rcOr
	rcHas
	lvWord // leave
	fsLock // findSlot: a slot
	fsPop
	fsAdopted
	lvStore
	rpPop // repay: a slot, b runner
	rpHolder
	rpGift
	bdWord // boundary
	slLock // settle: a slot
	slLock2
	slPop
	slUnlock
	slNotify

	sbPush // a submitter: a task of its list
	sbLock // handOver: a task, b slot, c runner
	sbSend
	kpLook // the keeper: look, lend
	kpLend
	kpCalm
	kpCalmHas
	rnEmpty // retire
)

var poolSteps = map[uint8]string{
	rnBorn: "main: start", rnPick: "pick: pop", rnInj: "takeInjected: load size", rnTake: "injector.take",
	rnFound: "nextTask", rnSearch: "startSearching", rnScan: "steal: take", rnMoreLen: "steal: len", rnMoreTake: "steal: take another",
	rnMorePush: "steal: push it", rnStolen: "steal: done", rnPark: "park", rnParked: "nextTask", rnRun: "run", rnAt: "run on",
	rnTrimPush: "push back", rnOverLook: "claimNewest: load head", rnOverMove: "overflow: publish", rnOverUndo: "claimNewest: restore tail",
	rnPushed: "notify",
	pkLock:   "park: lock", pkGive: "park: give the slot back", pkGiven: "park: slot given", pkList: "park: -searching, list, unlock",
	pkCredit: "park: return credit", pkLook: "park: look again", pkHas: "park: looked", pkUnp: "park: unparked?", pkSleep: "sleep: token",
	upLock: "unpark: lock", upPop: "unpark: -free", upSearch: "unpark: +searching, unlock", upDone: "unpark", adHeld: "adopt: held, holder",
	nfWord: "notify: load word", nfWatch: "watch: set pending", wkLock: "wake: lock, load word", wkPop: "wake: -free", sfLock: "staff: lock",
	sfSearch: "staff: +searching, unlist, unlock", sfSend: "staff: send the token", sfCount: "staff: count",
	fdDec: "found: -searching", fdHas: "found: looked", hwInj: "hasWork: injector", hwSlot: "hasWork: a deque",
	enGift: "enter: gift?", enLock: "enter: lock, gift or leave surplus", enFirst: "enter: look first", enFirstHas: "enter: looked",
	enStore: "enter: publish", enLoad: "enter: load word", enOr: "enter: set lent", enHas: "enter: looked",
	rtCredit: "tryCredit", rtDeny: "tryCredit: set denied", rtAgain: "tryCredit: again", rtHeld: "retake: load held", rtCAS: "retake: CAS to TAKEN",
	rtLent: "retake: set lent", rtHeldLate: "retake: load held", rtNo: "retake: failed", dnCAS: "deny: CAS", dnStore: "deny: set denied",
	rbClear: "retakeBlocked: clear lent", rbHolder: "retakeBlocked: holder", rbWord: "retakeBlocked: word", rbRet: "retakeBlocked",
	rbOrDone: "retakeBlocked: set lent, done", rbDenied: "retakeBlocked: denied?", rbOr: "retakeBlocked: set lent", rbClearLate: "retakeBlocked: clear lent",
	rcRel: "returnCredit: release", rcSwap: "returnCredit: swap denied", rcOr: "returnCredit: set lent", rcHas: "returnCredit: looked",
	lvWord: "leave: word", fsLock: "findSlot: lock", fsPop: "findSlot: -free, unlock", fsAdopted: "findSlot", lvStore: "leave: RUNNING",
	rpPop: "repay: pop", rpHolder: "repay: holder", rpGift: "repay: gift", bdWord: "boundary: load word",
	slLock: "settle: lock, gift or leave surplus", slLock2: "settle: lock", slPop: "settle: -free", slUnlock: "settle: unlock", slNotify: "settle: notify",
	sbPush: "submit: publish", sbLock: "handOver: lock, -free, unlist, unlock", sbSend: "handOver: send the token", kpLook: "keeper: look, take a credit", kpLend: "lend: lock, a slot", kpCalm: "keeper: clear pending", kpCalmHas: "keeper: looked", rnEmpty: "nextTask: empty the lent slot's deque",
}

func (p pool) model() *model[poolState] {
	s := poolState{free: uint8(p.slots), credits: uint8(p.credits)}
	for i := range p.runners {
		s.threads[i] = poolThread{n: 1, frames: [12]poolFrame{{pc: rnBorn}}}
	}
	for i := range p.slots {
		s.list[i] = uint8(p.slots - 1 - i)
	}
	for i := range p.running {
		slot := s.popFree()
		s.slots[slot].holder = uint8(i) + 1
		s.runners[i] = poolRunner{born: true, slot: slot + 1, held: slot + 1, task: uint8(i) + 1}
		s.threads[i].frames[0].pc = rnAt
		s.pushed |= 1 << i
		s.started |= 1 << i
		r := &s.runners[i]
		switch r.next = 1; (p.tasks[i] + ".")[0] {
		case 'B':
			r.phase, s.lent = phaseBlocked, true
		case 'T':
			s.credits--
			r.phase = phaseTaken
			s.pushFree(slot)
		default:
			r.next = 0
		}
	}
	for i := range p.outside {
		s.threads[p.runners+i] = poolThread{n: 1, frames: [12]poolFrame{{pc: sbPush}}}
	}
	threads := p.runners + len(p.outside)
	if p.keeper || p.calm {
		f := poolFrame{pc: kpLook}
		if p.calm {
			f.pc, s.pending = kpCalm, true
		}
		s.threads[threads] = poolThread{n: 1, frames: [12]poolFrame{f}}
		threads++
	}
	if p.prepare != nil {
		p.prepare(&s)
	}
	return &model[poolState]{name: p.name, start: s, threads: threads, step: p.step, always: p.always, atRest: p.atRest, show: p.show}
}

func (p *pool) show(s *poolState, thread int) string {
	th := &s.threads[thread]
	text := "ended"
	if th.n > 0 {
		text = poolSteps[th.frames[th.n-1].pc]
	}
	return fmt.Sprintf("%-36s searching %d free %d lent %v debt %v credits %d denied %v injected %v deques %v %v", text, s.searching, s.free,
		s.lent, s.debt, s.credits, s.denied, s.injected.tasks(), s.slots[0].deque.tasks(), s.slots[1].deque.tasks())
}

func (q *poolQueue) tasks() []uint8 { return q.of[:q.n] }

func (q *poolQueue) push(task uint8) {
	q.of[q.n] = task
	q.n++
}

func (q *poolQueue) take() uint8 {
	task := q.of[0]
	copy(q.of[:], q.of[1:])
	q.n--
	q.of[q.n] = 0
	return task
}

func (q *poolQueue) pop() uint8 {
	q.n--
	task := q.of[q.n]
	q.of[q.n] = 0
	return task
}

func (l *poolStack) push(r uint8) {
	l.of[l.n] = r
	l.n++
}

func (l *poolStack) pop() uint8 {
	l.n--
	r := l.of[l.n]
	l.of[l.n] = 0
	return r
}

func (l *poolStack) remove(r uint8) {
	for i := range l.n {
		if l.of[i] == r {
			copy(l.of[i:], l.of[i+1:])
			l.n--
			l.of[l.n] = 0
			return
		}
	}
}

func (s *poolState) lock(t int) bool {
	if s.mu != 0 {
		return false
	}
	s.mu = uint8(t) + 1
	acquire(s.known[:], t, plMu)
	return true
}

func (s *poolState) unlock(t int) {
	s.mu = 0
	release(s.known[:], t, plMu)
}

func (s *poolState) popFree() uint8 {
	s.free--
	slot := s.list[s.free]
	s.list[s.free] = 0
	return slot
}

func (s *poolState) pushFree(slot uint8) {
	s.list[s.free] = slot
	s.free++
}

// owns is an access to what only the holder of a slot may touch.
func (s *poolState) owns(t int, m *move) *poolSlot {
	slot := s.runners[t].slot - 1
	if !s.known[slot].touch(t) {
		m.fail("D4: runner %d uses slot %d, and does not know of its last user", t, slot)
	}
	return &s.slots[slot]
}

// begin notes that a runner has taken a task; it runs it after what nextTask does before.
func (s *poolState) begin(t int, task uint8, m *move) {
	if s.started>>task&1 != 0 {
		m.fail("D1: task %d runs twice", task)
	}
	s.started |= 1 << task
	s.runners[t].task = task + 1
}

func (p *pool) step(s *poolState, t int, m *move) bool {
	th := &s.threads[t]
	r := &s.runners[min(t, plRunners-1)] // a runner's own
	bug := &p.bug
	for {
		if th.n == 0 {
			return false
		}
		f := &th.frames[th.n-1]
		v := th.ret
		th.ret = 0
		call := func(then, pc, a, b, c uint8) {
			f.pc = then
			if int(th.n) == len(th.frames) {
				panic("a call too deep for the model")
			}
			th.frames[th.n] = poolFrame{pc, a, b, c}
			th.n++
		}
		tail := func(pc, a, b, c uint8) { *f = poolFrame{pc, a, b, c} }
		ret := func(v uint8) {
			*f = poolFrame{}
			th.n--
			th.ret = v
		}
		switch f.pc {

		// runner.main, nextTask, pick, takeInjected, search, steal. f.a says whether it is searching.
		case rnBorn:
			if r.token == 0 {
				return false
			}
			acquire(s.known[:], t, plToken+t)
			r.slot, r.token, f.a = r.token, 0, 1
			call(rnPick, adHeld, r.slot, 0, 0)
			continue
		case rnPick:
			f.b, f.c = 0, 0
			if r.slot == 0 {
				f.pc = rnPark
				continue
			}
			if s.over(r.slot - 1) {
				f.pc = rnEmpty
				continue
			}
			d := s.owns(t, m)
			if d.deque.n == 0 {
				f.pc = rnInj
				continue
			}
			f.pc = rnFound
			s.begin(t, d.deque.pop(), m)
			return true
		case rnEmpty:
			d := s.owns(t, m)
			for d.deque.n > 0 && !bug.loanLeaves {
				s.injected.push(d.deque.take())
			}
			f.pc = rnPark
			return true
		case rnInj:
			if f.pc = rnTake; s.injected.n == 0 {
				f.pc = rnSearch
				if f.b != 0 {
					f.pc = rnPark
				}
			}
			return true
		case rnTake:
			n := min(int(s.injected.n), plQueue)
			if n == 0 {
				f.pc = rnSearch
				if f.b != 0 {
					f.pc = rnPark
				}
				return true
			}
			s.begin(t, s.injected.take(), m)
			d := s.owns(t, m)
			for range n - 1 { // the model's runners need no order
				d.deque.push(s.injected.take())
			}
			if f.pc = rnFound; n > 1 {
				call(rnFound, nfWord, 0, 0, 0)
			}
			return true
		case rnFound:
			if f.pc = rnRun; f.a != 0 {
				f.a = 0
				call(rnRun, fdDec, 0, 0, 0)
			}
			continue
		case rnSearch:
			if f.a == 0 {
				if n := p.slots + bits.OnesCount8(s.lentSlots); 2*int(s.searching) >= n || int(s.free) >= n-1 {
					f.pc = rnPark
					return true
				}
				s.searching++
				f.a, f.pc = 1, rnScan
				return true
			}
			f.pc = rnScan
			continue
		case rnScan: // f.b victims are through, f.c-1 was the first
			first := false
			if f.c == 0 {
				f.c, first = 1, true
				if p.places() > 2 { // with two there is only one victim
					f.c += uint8(m.pick(p.places()))
				}
			}
			victim := (f.c - 1 + f.b) % uint8(p.places())
			f.b++
			if int(f.b) > p.places() {
				f.pc = rnInj
				continue
			}
			if victim == r.slot-1 || !p.exists(s, victim) {
				if first {
					return true
				}
				continue
			}
			d := &s.slots[victim]
			if d.deque.n <= d.hidden {
				return true
			}
			f.c, f.pc = victim, rnMoreLen
			s.begin(t, d.deque.take(), m)
			return true
		case rnMoreLen:
			d := &s.slots[f.c]
			if f.b = (d.deque.n - d.hidden) / 2; f.b == 0 || d.deque.n < d.hidden {
				f.pc = rnFound
			} else {
				f.pc = rnMoreTake
			}
			return true
		case rnMoreTake: // at most one more: no setting has deques with more than three
			d := &s.slots[f.c]
			if d.deque.n <= d.hidden {
				f.pc = rnFound
				return true
			}
			f.b, f.pc = d.deque.take(), rnMorePush
			return true
		case rnMorePush:
			s.owns(t, m).deque.push(f.b)
			call(rnFound, nfWord, 0, 0, 0)
			return true
		case rnPark:
			if bug.creditFirst && r.slot == 0 && f.c == 0 {
				f.c = 1
				call(rnPark, rcRel, 0, 0, 0)
				continue
			}
			call(rnParked, pkLock, f.a, 0, 0)
			continue
		case rnParked:
			if r.handed != 0 {
				s.begin(t, r.handed-1, m)
				if f.a, f.pc = 0, rnFound; r.counted {
					f.a = 1
				}
				r.handed, r.counted = 0, false
				return true
			}
			f.a, f.pc = 1, rnPick
			continue

		// What tasks do.
		case rnRun:
			*f = poolFrame{pc: rnAt}
			continue
		case rnAt:
			script := p.tasks[r.task-1]
			if int(r.next) == len(script) {
				s.ended |= 1 << (r.task - 1)
				r.task, r.next = 0, 0
				call(rnPick, bdWord, 0, 0, 0)
				return true
			}
			switch op := script[r.next]; op {
			case 'z', 'u':
				return false
			case 'w':
				if s.ended>>(script[r.next+1]-'0')&1 == 0 {
					return false
				}
				r.next += 2
				continue // its own waiting is no access: the end is what others see
			case 'e':
				r.next++
				call(rnAt, enGift, 0, 0, 0)
				continue
			case 'l':
				r.next++
				call(rnAt, lvWord, 0, 0, 0)
				continue
			case 'p': // pushLocal, else admit
				if r.slot == 0 && r.held != 0 {
					p.gift(s, t)
					return true
				}
				child := script[r.next+1] - '0'
				s.pushed |= 1 << child
				r.next += 2
				if r.slot == 0 {
					s.injected.push(child)
				} else {
					s.owns(t, m).deque.push(child)
				}
				call(rnAt, nfWord, 0, 0, 0)
				return true
			case 't': // trim or takeBack: pop ...
				r.next++
				if d := s.owns(t, m); d.deque.n > 0 {
					f.a, f.pc = d.deque.pop(), rnTrimPush
				}
				return true
			case 'o': // injector.overflow: claimNewest lowers the tail ...
				r.next++
				if d := s.owns(t, m); d.deque.n > 1 {
					d.hidden, f.pc = d.deque.n-1, rnOverLook
				}
				return true
			}
			panic("no such operation")
		case rnTrimPush: // ... and push it back
			s.owns(t, m).deque.push(f.a)
			f.a, f.pc = 0, rnAt
			if !bug.pushBackQuiet {
				call(rnAt, nfWord, 0, 0, 0)
			}
			return true
		case rnOverLook:
			d := s.owns(t, m)
			if d.deque.n <= d.hidden {
				f.pc = rnOverUndo
				return true
			}
			f.a, f.pc = d.hidden, rnOverMove
			d.hidden = 0
			for i := range f.a { // in the owner's hands; the frame has room for two
				if task := d.deque.pop(); i == 0 {
					f.b = task
				} else {
					f.c = task
				}
			}
			return true
		case rnOverMove:
			if f.a > 1 {
				s.injected.push(f.c)
			}
			s.injected.push(f.b)
			if *f = (poolFrame{pc: rnAt}); !bug.overflowQuiet { // of the push that follows
				call(rnAt, nfWord, 0, 0, 0)
			}
			return true
		case rnOverUndo:
			s.owns(t, m).hidden = 0
			if f.pc = rnAt; !bug.undoQuiet {
				call(rnAt, nfWord, 0, 0, 0)
			}
			return true

		// park: f.a search, f.b gave. giveBack and sleep.
		case pkLock:
			if !s.lock(t) {
				return false
			}
			if f.pc = pkGive; r.slot == 0 {
				f.credit(!bug.creditFirst)
				f.pc = pkList
			}
			return true
		case pkGive:
			f.b = 1
			slot := s.release(t)
			if s.slots[slot].lender != 0 && !bug.loanFrees {
				s.slots[slot].lender, s.slots[slot].task, s.slots[slot].next = 0, 0, 0
				s.lentSlots &^= 1 << slot
				f.credit(!bug.loanKept)
				f.pc = pkList
				return true
			}
			if s.surplus.n > 0 && !bug.surplusUnpaid {
				f.credit(!bug.repayKeeps)
				call(pkList, rpPop, slot, 0, 0)
				continue
			}
			if bug.giveAfterList {
				f.c, f.pc = slot+1, pkList
				return true
			}
			s.pushFree(slot)
			f.pc = pkGiven
			if f.a == 0 {
				p.listParked(s, t)
				f.pc = pkCredit
			}
			return true
		case pkGiven, pkList:
			if f.a != 0 {
				p.uncount(s, m)
			}
			p.listParked(s, t)
			f.pc = pkCredit
			return true
		case pkCredit:
			f.pc = pkLook
			if f.b&pkHasCredit != 0 {
				f.b &^= pkHasCredit
				call(pkLook, rcRel, 0, 0, 0)
			}
			continue
		case pkLook:
			if f.b == 0 || bug.noRescan || bug.searchersRescan && f.a == 0 {
				f.pc = pkSleep
				continue
			}
			call(pkHas, hwInj, 0, 0, 0)
			continue
		case pkHas:
			if f.c != 0 { // a mutant: only now is the slot free
				if !s.lock(t) {
					return false
				}
				s.pushFree(f.c - 1)
				s.unlock(t)
				f.c = 0
				th.ret = v
				return true
			}
			if f.pc = pkSleep; v != 0 {
				call(pkUnp, upLock, 0, 0, 0)
			}
			continue
		case pkUnp:
			if v != 0 {
				ret(1)
				continue
			}
			call(pkSleep, nfWord, 0, 0, 0)
			continue
		case pkSleep:
			if r.token == 0 {
				return false
			}
			if r.list != 0 && bug.tokenListed {
				if !s.lock(t) {
					return false
				}
				s.parked.remove(uint8(t))
				r.list = 0
				s.unlock(t)
				return true
			}
			if r.list != 0 {
				m.fail("P0: runner %d has a token and is still listed", t)
			}
			acquire(s.known[:], t, plToken+t)
			r.slot, r.token = r.token, 0
			th.ret = 0
			tail(adHeld, r.slot, 0, 0)
			continue

		// unpark and adopt.
		case upLock:
			if !s.lock(t) {
				return false
			}
			if r.list != 1 && !bug.alwaysUnpark || s.free == 0 {
				s.unlock(t)
				ret(0)
				return true
			}
			s.parked.remove(uint8(t))
			r.list = 0
			f.pc = upPop
			return true
		case upPop:
			f.a, f.pc = s.popFree()+1, upSearch
			return true
		case upSearch:
			s.searching++
			s.unlock(t)
			r.slot = f.a
			tail(adHeld, r.slot, 0, 0)
			return true
		case adHeld:
			r.held = f.a // nobody reads it before enter publishes BLOCKED, but the keeper: one step for both
			s.slots[f.a-1].holder = uint8(t) + 1
			ret(1)
			return true

		// notify, wake, staff.
		case nfWord:
			switch {
			case s.searching != 0:
				ret(0)
			case s.free != 0:
				f.pc = wkLock
			case !s.pending && !bug.watchNever:
				f.pc, f.a = nfWatch, 0
				if s.lent {
					f.a = 1
				}
			case s.lent:
				tail(rbClear, 0, 0, 0)
			default:
				ret(0)
			}
			return true
		case nfWatch:
			if s.pending = true; f.a != 0 || s.lent && !bug.watchBlind {
				tail(rbClear, 0, 0, 0)
			} else {
				ret(0)
			}
			return true
		case wkLock:
			if !s.lock(t) {
				return false
			}
			switch {
			case s.searching != 0:
				s.unlock(t)
				ret(0)
			case s.free == 0:
				s.unlock(t)
				if bug.wakeGivesUp {
					ret(0)
				} else {
					f.pc = nfWord
				}
			default:
				f.pc = wkPop
			}
			return true
		case wkPop:
			f.a, f.pc = s.popFree(), sfSearch
			return true
		case sfLock:
			if !s.lock(t) {
				return false
			}
			f.pc = sfSearch
			continue // fused: the next access is under the lock
		case sfSearch:
			if !bug.searchAfterToken {
				s.searching++
			}
			if s.parked.n > 0 {
				f.b = s.parked.of[s.parked.n-1]
				if !bug.tokenListed {
					s.parked.pop()
					s.runners[f.b].list = 0
				}
			} else {
				f.b = plRunners
				for i := range p.runners {
					if !s.runners[i].born {
						f.b = uint8(i)
						break
					}
				}
				if f.b == plRunners {
					m.fail("B5: a runner is started beyond slots and spares")
					return true
				}
				s.runners[f.b].born = true
			}
			s.unlock(t)
			f.pc = sfSend
			return true
		case sfSend:
			to := &s.runners[f.b]
			if to.token != 0 {
				m.fail("P0: two tokens for runner %d", f.b)
			}
			to.token = f.a + 1
			release(s.known[:], t, plToken+int(f.b))
			if bug.searchAfterToken {
				f.pc = sfCount
				return true
			}
			ret(1)
			return true
		case sfCount:
			s.searching++
			ret(1)
			return true

		case fdDec:
			p.uncount(s, m)
			if s.searching != 0 || bug.lastFoundQuiet {
				ret(0)
				return true
			}
			call(fdHas, hwInj, 0, 0, 0)
			return true
		case fdHas:
			if v == 0 {
				ret(0)
			} else {
				tail(nfWord, 0, 0, 0)
			}
			continue
		case hwInj:
			if f.pc = hwSlot; s.injected.n > 0 {
				ret(1)
			}
			return true
		case hwSlot:
			d := &s.slots[f.a]
			if f.a++; d.deque.n > d.hidden {
				ret(1)
				return true
			}
			for int(f.a) < p.places() && !p.exists(s, f.a) {
				f.a++
			}
			if int(f.a) == p.places() {
				ret(0)
			}
			return true

		// enter.
		case enGift:
			if f.pc = enFirst; r.slot == 0 {
				f.pc = enLock
				if r.held != 0 {
					p.gift(s, t)
					f.pc = enFirst
				} else if bug.giftWithoutMu {
					s.leaveSurplus(t)
					f.pc = enFirst
				}
				return true
			}
			continue
		case enLock:
			if !s.lock(t) {
				return false
			}
			if f.pc = enFirst; r.held != 0 {
				p.gift(s, t)
			} else {
				s.leaveSurplus(t)
			}
			s.unlock(t)
			return true
		case enFirst:
			if f.pc = enStore; bug.lookFirst {
				call(enFirstHas, hwInj, 0, 0, 0)
			}
			continue
		case enFirstHas:
			f.a, f.pc = v, enStore
			continue
		case enStore:
			r.epoch++
			r.deniedBit = false
			release(s.known[:], t, plWord+t)
			if r.slot == 0 {
				r.phase = phaseTaken
				ret(0)
				return true
			}
			r.phase, f.pc = phaseBlocked, enLoad
			return true
		case enLoad:
			if !s.lent && !bug.noLent {
				f.pc = enOr
				return true
			}
			p.looks(s, f, call, ret)
			return true
		case enOr:
			s.lent = true
			p.looks(s, f, call, ret)
			return true
		case enHas:
			if v == 0 && f.a == 0 {
				ret(0)
			} else {
				tail(rtCredit, uint8(t), r.epoch<<1, 0)
			}
			continue

		// retake and deny.
		case rtCredit:
			switch {
			case s.credits > 0 || bug.freeCredit:
				if s.credits > 0 {
					s.credits--
				}
				f.pc = rtHeld
			case bug.denyLate:
				f.pc = dnCAS
			default:
				f.pc = rtDeny
			}
			return true
		case rtDeny:
			s.denied = true
			f.pc = rtAgain
			return true
		case rtAgain:
			if f.pc = dnCAS; s.credits > 0 {
				s.credits--
				f.pc = rtHeld
			}
			return true
		case rtHeld:
			if f.pc = rtCAS; bug.heldLate {
				continue
			}
			f.c = s.runners[f.a].held | f.c&rtScans
			return true
		case rtCAS:
			h := &s.runners[f.a]
			acquire(s.known[:], t, plWord+int(f.a))
			if h.phase != phaseBlocked || (h.epoch != f.b>>1 || h.deniedBit != (f.b&1 != 0)) && !bug.noEpoch {
				if f.pc = rtCAS; f.b&1 == 0 && !bug.casOnce {
					f.b |= 1 // once more: somebody may have been denied a credit for the same slot
				} else {
					call(rtNo, rcRel, 0, 0, 0)
				}
				return true
			}
			h.phase = phaseTaken
			release(s.known[:], t, plWord+int(f.a))
			switch {
			case bug.heldLate:
				f.pc = rtHeldLate
			case f.c&rtScans != 0 && !bug.lentOnce && !bug.lentLate:
				f.pc = rtLent
			default:
				tail(sfLock, f.c&^rtScans-1, 0, 0)
			}
			return true
		case rtLent:
			s.lent = true
			tail(sfLock, f.c&^rtScans-1, 0, 0)
			return true
		case rtHeldLate:
			if s.runners[f.a].held == 0 {
				m.fail("B3: retake hands over the slot of a runner that has none")
				return true
			}
			tail(sfLock, s.runners[f.a].held-1, 0, 0)
			return true
		case rtNo:
			ret(0)
			continue
		case dnCAS:
			h := &s.runners[f.a]
			if f.b&1 == 0 && h.phase == phaseBlocked && h.epoch == f.b>>1 && !h.deniedBit {
				h.deniedBit = true
			}
			if f.pc = dnStore; !bug.denyLate {
				ret(0)
			}
			return true
		case dnStore:
			s.denied = true
			ret(0)
			return true

		case rbClear:
			f.b, f.pc = uint8(m.pick(p.places())), rbHolder
			if !bug.clearLate {
				s.lent = false
			}
			return true
		case rbHolder:
			if int(f.a) == p.places() {
				if bug.clearLate {
					f.pc = rbClearLate
				} else {
					ret(0)
				}
				continue
			}
			slot := (f.a + f.b) % uint8(p.places())
			if f.a++; !p.exists(s, slot) {
				continue
			}
			f.c = s.slots[slot].holder
			if f.c != 0 {
				f.c--
				f.pc = rbWord
			}
			return true
		case rbClearLate:
			s.lent = false
			ret(0)
			return true
		case rbWord:
			h := &s.runners[f.c]
			if h.phase != phaseBlocked {
				f.pc = rbHolder
				return true
			}
			denied := uint8(0)
			if h.deniedBit {
				denied = 1
			}
			call(rbRet, rtCredit, f.c, h.epoch<<1|denied, rtScans)
			return true
		case rbRet:
			if f.pc = rbDenied; v != 0 {
				if f.pc = rbOrDone; !bug.lentLate {
					ret(0)
				}
			}
			continue
		case rbOrDone:
			s.lent = true
			ret(0)
			return true
		case rbDenied:
			if f.pc = rbOr; s.denied {
				ret(0)
			}
			return true
		case rbOr:
			s.lent = true
			f.pc = rbHolder
			return true

		case rcRel:
			s.credits++
			if f.pc = rcSwap; bug.returnQuiet {
				ret(0)
			}
			return true
		case rcSwap:
			if f.pc = rcOr; !s.denied {
				ret(0)
			}
			s.denied = false
			return true
		case rcOr:
			s.lent = true
			call(rcHas, hwInj, 0, 0, 0)
			return true
		case rcHas:
			if v == 0 {
				ret(0)
			} else {
				tail(nfWord, 0, 0, 0)
			}
			continue

		// leave and findSlot.
		case lvWord:
			acquire(s.known[:], t, plWord+t)
			if r.phase == phaseBlocked {
				r.phase, r.deniedBit = phaseRunning, false
				release(s.known[:], t, plWord+t)
				ret(0)
				return true
			}
			if bug.leaveKeeps && r.slot != 0 {
				r.phase = phaseRunning
				ret(0)
				return true
			}
			if r.slot != 0 {
				if r.slot = 0; !bug.heldStale {
					r.held = 0
				}
			}
			f.pc = fsLock
			return true
		case fsLock:
			if !s.lock(t) {
				return false
			}
			if f.pc = fsPop; s.free == 0 {
				s.surplus.push(uint8(t))
				r.list, s.debt = 2, true
				s.unlock(t)
				f.pc = lvStore
			}
			return true
		case fsPop:
			r.slot = s.popFree() + 1
			s.unlock(t)
			call(fsAdopted, adHeld, r.slot, 0, 0)
			return true
		case fsAdopted:
			call(lvStore, rcRel, 0, 0, 0)
			continue
		case lvStore:
			r.phase, r.deniedBit = phaseRunning, false
			release(s.known[:], t, plWord+t)
			ret(0)
			return true

		// repay, under idle.mu.
		case rpPop:
			if s.surplus.n == 0 {
				m.fail("B5: the runner that is to be repaid has gone")
				return true
			}
			f.b = s.surplus.pop()
			s.runners[f.b].list = 0
			if s.surplus.n == 0 {
				s.debt = false
			}
			f.pc = rpHolder
			return true
		case rpHolder:
			s.slots[f.a].holder = f.b + 1
			f.pc = rpGift
			return true
		case rpGift:
			if s.runners[f.b].held != 0 && !bug.heldStale {
				m.fail("B5: runner %d is repaid twice", f.b)
			}
			s.runners[f.b].held = f.a + 1
			release(s.known[:], t, plGift+int(f.b))
			ret(0)
			return true

		// boundary and settle.
		case bdWord:
			if r.slot == 0 {
				f.pc = slLock
				continue
			}
			if f.pc = slLock2; !s.debt {
				ret(0)
			}
			return true
		case slLock:
			if !s.lock(t) {
				return false
			}
			if r.held != 0 {
				p.gift(s, t)
				f.pc = slLock2
			} else {
				s.leaveSurplus(t)
				ret(0)
			}
			s.unlock(t)
			return true
		case slLock2:
			if !s.lock(t) {
				return false
			}
			if s.surplus.n == 0 {
				s.unlock(t)
				ret(0)
				return true
			}
			if f.pc = slPop; s.free == 0 {
				call(slUnlock, rpPop, s.release(t), 0, 0)
			}
			return true
		case slPop:
			slot := s.popFree()
			f.b = 1
			call(slUnlock, rpPop, slot, 0, 0)
			return true
		case slUnlock:
			s.unlock(t)
			f.pc = slNotify
			if f.b != 0 && !bug.repayKeeps {
				call(slNotify, rcRel, 0, 0, 0)
			}
			return true
		case slNotify:
			tail(nfWord, 0, 0, 0)
			continue

		case sbPush: // admit, where there is room
			tasks := p.outside[t-p.runners]
			if int(f.a) == len(tasks) {
				return false
			}
			task := tasks[f.a] - '0'
			if f.b == 0 && s.idles() { // handOver
				f.pc = sbLock
				return true
			}
			f.a, f.b = f.a+1, 0
			s.pushed |= 1 << task
			s.injected.push(task)
			call(sbPush, nfWord, 0, 0, 0)
			return true
		case sbLock:
			if !s.lock(t) {
				return false
			}
			if s.parked.n == 0 || !s.idles() {
				f.b, f.pc = 1, sbPush
				s.unlock(t)
				return true
			}
			f.c = s.parked.of[s.parked.n-1]
			if !bug.handListed {
				s.parked.pop()
				s.runners[f.c].list = 0
			}
			to := &s.runners[f.c]
			to.counted = int(s.free) < p.slots+bits.OnesCount8(s.lentSlots)
			if s.free == 0 {
				m.fail("P7: a task is handed over without a slot")
				return true
			}
			f.b, f.pc = s.popFree(), sbSend
			if to.counted && !bug.handUncounted {
				s.searching++
			}
			s.unlock(t)
			return true
		case sbSend:
			to := &s.runners[f.c]
			if to.token != 0 {
				m.fail("P0: two tokens for runner %d", f.c)
				return true
			}
			task := p.outside[t-p.runners][f.a] - '0'
			s.pushed |= 1 << task
			to.handed, to.token = task+1, f.b+1
			if bug.handNothing {
				to.handed = 0
			}
			release(s.known[:], t, plToken+int(f.c))
			f.a, f.b, f.c, f.pc = f.a+1, 0, 0, sbPush
			return true

		case kpLook: // one look, and tryCredit: only where it leads to a loan
			lender, slot := p.stuck(s), p.unused(s)
			if s.free != 0 || s.credits == 0 || lender == 0 || slot == 0 || s.queued() == 0 {
				return false
			}
			s.credits--
			f.a, f.b, f.pc = lender-1, slot-1, kpLend
			return true
		case kpCalm:
			s.pending = false
			if bug.calmBlind {
				ret(0)
			} else {
				call(kpCalmHas, hwInj, 0, 0, 0)
			}
			return true
		case kpCalmHas:
			if v == 0 {
				ret(0)
				return true
			}
			if s.pending = true; bug.calmQuiet {
				ret(0)
			} else {
				tail(nfWord, 0, 0, 0)
			}
			return true
		case kpLend:
			if !s.lock(t) {
				return false
			}
			l := &s.runners[f.a]
			s.lentSlots |= 1 << f.b
			s.slots[f.b].lender, s.slots[f.b].task, s.slots[f.b].next = f.a+1, l.task, l.next
			slot := f.b
			*f = poolFrame{pc: kpLook}
			call(kpLook, sfSearch, slot, 0, 0)
			return true
		}
		panic(fmt.Sprintf("no such step: %d", f.pc))
	}
}

// looks is the end of enter: (B2).
func (p *pool) looks(s *poolState, f *poolFrame, call func(then, pc, a, b, c uint8), ret func(uint8)) {
	switch {
	case s.searching != 0 || s.free != 0 || !s.pending || p.bug.noLook:
		ret(0)
	case p.bug.lookFirst:
		f.pc = enHas
	default:
		call(enHas, hwInj, 0, 0, 0)
	}
}

// rtScans is in c of a frame of retake: retakeBlocked has called it.
const rtScans = 0x80

// pkHasCredit is in b of a frame of park: a credit is to be returned.
const pkHasCredit = 2

func (f *poolFrame) credit(has bool) {
	if has {
		f.b |= pkHasCredit
	}
}

// gift is takeGift where there is one.
func (p *pool) gift(s *poolState, t int) {
	acquire(s.known[:], t, plGift+t)
	s.runners[t].slot = s.runners[t].held
}

// release lets go of a runner's slot, and returns it.
func (s *poolState) release(t int) uint8 {
	r := &s.runners[t]
	slot := r.slot - 1
	r.slot, r.held = 0, 0
	return slot
}

// places is how many slots there can be, and exists whether one of them is there now.
func (p *pool) places() int {
	if p.keeper {
		return plSlots
	}
	return p.slots
}

func (p *pool) exists(s *poolState, slot uint8) bool {
	return int(slot) < p.slots || s.lentSlots>>slot&1 != 0
}

// over is slot.leaves: whether the task that a slot was lent for has moved.
func (s *poolState) over(slot uint8) bool {
	d := &s.slots[slot]
	return d.lender != 0 && (s.runners[d.lender-1].task != d.task || s.runners[d.lender-1].next != d.next)
}

// has is runner.has, for whatever slot it is.
func (r *poolRunner) has() bool { return r.held != 0 && r.phase != phaseTaken }

// idles is Executor.idles.
func (s *poolState) idles() bool { return s.free != 0 && s.searching == 0 && s.injected.n == 0 }

// queued returns the tasks that are queued, one bit each.
func (s *poolState) queued() (queued uint8) {
	for _, task := range s.injected.tasks() {
		queued |= 1 << task
	}
	for i := range s.slots {
		for _, task := range s.slots[i].deque.tasks() {
			queued |= 1 << task
		}
	}
	return queued
}

func (s *poolState) leaveSurplus(t int) {
	if r := &s.runners[t]; r.list == 2 {
		s.surplus.remove(uint8(t))
		r.list = 0
		if s.surplus.n == 0 {
			s.debt = false
		}
	}
}

func (p *pool) listParked(s *poolState, t int) {
	s.parked.push(uint8(t))
	s.runners[t].list = 1
	s.unlock(t)
}

func (p *pool) uncount(s *poolState, m *move) {
	if s.searching == 0 {
		m.fail("P0: the searching count falls below zero")
		return
	}
	s.searching--
}

// always: a slot has one holder (B3), the one that everybody sees; and there are no more runners than slots and spares (B5).
func (p *pool) always(s *poolState) string {
	held, seen := [plSlots]uint8{}, [plSlots]uint8{}
	beyond := 0
	for i := range p.runners {
		r := &s.runners[i]
		if r.slot != 0 && r.phase != phaseTaken {
			held[r.slot-1]++
		}
		if r.has() {
			seen[r.held-1]++
		}
		if r.born && r.list != 1 {
			beyond++
		}
	}
	for i := range s.free {
		held[s.list[i]]++
		seen[s.list[i]]++
	}
	for slot, n := range held {
		if n > 1 || seen[slot] > 1 {
			return fmt.Sprintf("B3: slot %d has %d holders, and %d seem to have it", slot, n, seen[slot])
		}
	}
	if beyond > p.slots+p.credits {
		return fmt.Sprintf("B5: %d runners are not parked", beyond)
	}
	return ""
}

// atRest: nobody moves, so what is queued waits for ever (P0, promise 13), and what is counted wrong stays so.
func (p *pool) atRest(s *poolState) string {
	queued := s.queued()
	if queued != s.pushed&^s.started {
		return fmt.Sprintf("P0: tasks %b were submitted and not started, %b are queued", s.pushed&^s.started, queued)
	}
	blocked, unmarked := false, false
	loans := bits.OnesCount8(s.lentSlots)
	placed := int(s.free)
	credits := int(s.credits) + loans
	for i := range s.free {
		if s.slots[s.list[i]].lender != 0 {
			return "S3: a lent slot is free"
		}
	}
	for i := range p.runners {
		r := &s.runners[i]
		has := r.slot != 0 && r.phase != phaseTaken || r.slot == 0 && r.held != 0
		if r.slot != 0 && r.phase == phaseBlocked {
			blocked = true
		}
		if has && p.waits(s, i) {
			unmarked = true
		}
		switch {
		case has:
			placed++
		case r.born && r.list != 1:
			credits++
		}
		if has != r.has() {
			return fmt.Sprintf("B6: runner %d has slot %d, and everybody sees %d", i, r.slot, r.held)
		}
		if r.list == 1 && (r.token != 0 || r.slot != 0 || r.held != 0) {
			return fmt.Sprintf("P0: runner %d is parked and has a slot", i)
		}
	}
	switch {
	case queued != 0 && s.free != 0:
		return "P0: a task waits beside a free slot"
	case queued != 0 && blocked && s.credits != 0:
		return "B1: a task waits beside a blocked slot, and a spare is left"
	case queued != 0 && unmarked && s.credits != 0 && p.keeper && p.unused(s) != 0:
		return "B6: a task waits beside a slot whose task blocks unmarked, and a spare is left"
	case s.surplus.n != 0 && s.free != 0:
		return "B4: a slot is free, and a surplus runner has none"
	case s.searching != 0:
		return fmt.Sprintf("P0: %d runners are counted as searching for ever", s.searching)
	case placed != p.slots+loans:
		return fmt.Sprintf("B3: of %d slots, %d are in their places", p.slots+loans, placed)
	case credits != p.credits:
		return fmt.Sprintf("B5: of %d credits, %d are accounted for", p.credits, credits)
	case s.debt != (s.surplus.n > 0):
		return "B4: debt does not tell whether there are surplus runners"
	case s.mu != 0:
		return "idle.mu is held for ever"
	}
	return ""
}
