package explore

import (
	"slices"
	"testing"
)

// Settings of the pool in which tasks block: "Blocking" in ARCHITECTURE.md.
var blockingSettings = []pool{
	{name: "free for a moment", slots: 2, runners: 3, credits: 1, running: 2, tasks: []string{"Bw2l", "Tlz", ""}, outside: []string{"2"}},
	{name: "earlier work", slots: 1, runners: 2, credits: 1, tasks: []string{"p1ew1l", ""}, outside: []string{"0"}},
	{name: "no spares", slots: 1, runners: 1, credits: 0, tasks: []string{"el", ""}, outside: []string{"0", "1"}},
	{name: "a spare for each", slots: 1, runners: 3, credits: 2, running: 1, tasks: []string{"Bw1l", "el"}, outside: []string{"1"}},
	{name: "a late retaker", slots: 2, runners: 3, credits: 2, running: 2, tasks: []string{"Tlel", "z"}, outside: []string{""}, prepare: lateRetaker},
	{name: "surplus runs for ever", slots: 1, runners: 2, credits: 1, tasks: []string{"ew1lz", "p2", ""}, outside: []string{"0", "1"}},
	{name: "later work", slots: 1, runners: 2, credits: 1, tasks: []string{"ew1l", ""}, outside: []string{"0", "1"}},
	{name: "back to work", slots: 1, runners: 2, credits: 1, tasks: []string{"el", "el"}, outside: []string{"01"}},
	{name: "two slots", slots: 2, runners: 3, credits: 1, running: 2, tasks: []string{"ew2l", "z", ""}, outside: []string{"2"}},
	{name: "surplus submits", slots: 1, runners: 2, credits: 1, tasks: []string{"elp2", "", ""}, outside: []string{"0", "1"}},
	{name: "twice", slots: 1, runners: 2, credits: 1, tasks: []string{"elel", ""}, outside: []string{"0", "1"}},
	{name: "surplus blocks again", slots: 1, runners: 3, credits: 2, running: 1, tasks: []string{"elew1l", ""}, outside: []string{"1"}},
	{name: "two stay blocked", slots: 2, runners: 4, credits: 2, running: 2, tasks: []string{"Bz", "Bz", "z", "z"}, outside: []string{"2", "3"}},
	{name: "the keeper stops to watch", slots: 1, runners: 2, credits: 1, running: 1, calm: true, tasks: []string{"ez", "z"}, outside: []string{"1"}},
	{name: "one spare for two", slots: 2, runners: 3, credits: 1, running: 2, tasks: []string{"Bw2l", "Bl", ""}, outside: []string{"2"}},
}

// A setting that is too large to be explored to the end, in which one mutant shows at once.
var blockingLarge = []pool{
	{name: "two block beside two", slots: 2, runners: 4, credits: 2, running: 2, tasks: []string{"ez", "ez", "z", "z"}, outside: []string{"2", "3"}},
	{name: "both block", slots: 2, runners: 4, credits: 2, running: 2, tasks: []string{"Bw3l", "Bw3l", "z", ""}, outside: []string{"23"}},
}

// lateRetaker has seen runner 0 blocked on slot 0, got a credit, and was then held up. Others have taken
// the slot since.
func lateRetaker(s *poolState) {
	s.credits--
	th := &s.threads[3]
	th.frames[1] = poolFrame{pc: rtCAS, a: 0, b: 0, c: 1}
	th.n = 2
}

// Settings in which tasks block without a mark as well, so that slots are lent, and pass as gifts: "Who has a slot" there.
var lendingSettings = []pool{
	{name: "two of them", slots: 2, runners: 4, credits: 2, running: 2, keeper: true, tasks: []string{"Tlu", "Blu", ""}, outside: []string{"2"}},
	{name: "a loan ends", slots: 1, runners: 2, credits: 1, running: 1, keeper: true, tasks: []string{"w1", "", ""}, outside: []string{"1", "2"}},
	{name: "a loan ends beside children", slots: 1, runners: 2, credits: 1, running: 1, keeper: true, tasks: []string{"w1", "p2p3", "", ""}, outside: []string{"1"}},
	{name: "no spare for a loan", slots: 1, runners: 2, credits: 1, running: 1, keeper: true, tasks: []string{"Bw1lu", "", ""}, outside: []string{"1", "2"}},
}

// Settings that are too large to be explored to the end: a part of each must do.
var lendingLarge = []pool{
	{name: "blocked on a gift", slots: 1, runners: 3, credits: 2, running: 1, keeper: true, tasks: []string{"Blu", "", ""}, outside: []string{"12"}},
	{name: "a lent slot blocks, marked", slots: 1, runners: 3, credits: 2, running: 1, keeper: true, tasks: []string{"u", "el", ""}, outside: []string{"1", "2"}},
	{name: "a lent slot blocks too", slots: 1, runners: 3, credits: 2, running: 1, keeper: true, tasks: []string{"w1", "w2", ""}, outside: []string{"1", "2"}},
	{name: "children of one that blocks", slots: 1, runners: 3, credits: 2, running: 1, keeper: true, tasks: []string{"p1w1", "elw2", ""}, outside: []string{"2"}},
	{name: "a lent slot is a gift", slots: 1, runners: 3, credits: 2, running: 1, keeper: true, tasks: []string{"Blw2", "w2", ""}, outside: []string{"1", "2"}},
}

func TestExploreBlocking_WhoBlocksOnlyIsSeenByAll(t *testing.T) {
	if exploredBefore(t) {
		return
	}
	holdAll(t, lendingSettings)
	for _, p := range lendingLarge {
		if f := explore(p.model(), maxStates/16); f.fault != "" {
			t.Errorf("%s: %s", p.name, f.fault)
		}
	}
}

func TestExploreBlocking_FindsMutantsOfLending(t *testing.T) {
	if exploredBefore(t) {
		return
	}
	findAll(t, slices.Concat(lendingSettings, lendingLarge), map[string]poolMutant{
		"a gift is seen once its runner has looked":      {giftUnseen: true},
		"a runner that lost its slot seems to have it":   {heldStale: true},
		"the credit of a loan stays with nobody":         {loanKept: true},
		"a lent slot is freed by a parker":               {loanFrees: true},
		"what is queued in a lent slot goes with it":     {loanLeaves: true},
		"who repays does not take the credit over":       {repayKeeps: true},
		"a credit is returned before its runner parks":   {creditFirst: true},
		"leave keeps the old slot":                       {leaveKeeps: true},
		"a parker frees its slot beside surplus runners": {surplusUnpaid: true},
	})
}

func TestExploreBlocking_EveryInterleavingKeepsB1ToB5(t *testing.T) {
	if exploredBefore(t) {
		return
	}
	holdAll(t, blockingSettings)
}

func TestExploreBlocking_FindsMutants(t *testing.T) {
	if exploredBefore(t) {
		return
	}
	findAll(t, slices.Concat(blockingSettings, blockingLarge), map[string]poolMutant{
		"wake does not look for a blocked slot":          {wakeGivesUp: true},
		"enter looks before it publishes BLOCKED":        {lookFirst: true},
		"enter does not look":                            {noLook: true},
		"enter does not set lent":                        {noLent: true},
		"lent is cleared after the scan":                 {clearLate: true},
		"lent is not set after a retake":                 {lentOnce: true},
		"lent is set once a retake is over":              {lentLate: true},
		"pending is set without a look for lent":         {watchBlind: true},
		"who publishes does not set pending":             {watchNever: true},
		"the keeper clears pending, and does not look":   {calmBlind: true},
		"the keeper clears pending, looks, and waits":    {calmQuiet: true},
		"the retaker does not look at the epoch":         {noEpoch: true},
		"retake loads the slot after the CAS":            {heldLate: true},
		"retake does not try for a credit again":         {denyLate: true},
		"a denial makes retake fail":                     {casOnce: true},
		"returnCredit does not look who was denied":      {returnQuiet: true},
		"retake takes no credit":                         {freeCredit: true},
		"leave keeps the old slot":                       {leaveKeeps: true},
		"who repays does not take the credit over":       {repayKeeps: true},
		"a credit is returned before its runner parks":   {creditFirst: true},
		"a parker frees its slot beside surplus runners": {surplusUnpaid: true},
		"a gift is not looked for under the lock":        {giftWithoutMu: true},
	})
}

// stuck returns a runner with a slot, plus one, whose task blocks without a mark, as the keeper sees it.
func (p *pool) stuck(s *poolState) uint8 {
	for i := range p.runners {
		r := &s.runners[i]
		seen := r.has()
		if p.bug.giftUnseen {
			seen = seen && r.slot != 0
		}
		if seen && p.waits(s, i) {
			return uint8(i) + 1
		}
	}
	return 0
}

// waits reports whether a runner's task blocks without a mark.
func (p *pool) waits(s *poolState, i int) bool {
	r := &s.runners[i]
	if r.task == 0 || r.phase != phaseRunning || s.threads[i].n != 1 {
		return false
	}
	script := p.tasks[r.task-1]
	if int(r.next) == len(script) {
		return false
	}
	return script[r.next] == 'u' || script[r.next] == 'w' && s.ended>>(script[r.next+1]-'0')&1 == 0
}

// unused returns a place for a slot that can be lent, plus one.
func (p *pool) unused(s *poolState) uint8 {
	for slot := p.slots; slot < p.places(); slot++ {
		if s.lentSlots>>slot&1 == 0 {
			return uint8(slot) + 1
		}
	}
	return 0
}
