package explore

import (
	"fmt"
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
