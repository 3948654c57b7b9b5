package explore

import (
	"fmt"
	"maps"
	"slices"
	"testing"
)

// A model of the injector's bound and of those who wait for room: inject.go, bound.go, submit.go, and the
// parts of keeper.go and life.go that dismiss waiters. Of groups it has what they do here: a held task is accepted
// without a place, and queued later whatever the bound says; a child whose group has a limit never waits. What happens under injector.mu is one step; what
// comes before and after is others.

const (
	bdThreads = 6
	bdTasks   = 5
)

var _ = mirrors(map[string]string{
	"injector.offer":         "612c6c38ee09",
	"injector.accept":        "1634e7de8f24",
	"injector.acceptOver":    "9ac24a653038",
	"injector.refusal":       "1af4b0900741",
	"injector.take":          "38a8de182661",
	"injector.free":          "70dbf577178f",
	"injector.grant":         "69ee0b14d364",
	"injector.bury":          "d0aba06dd90d",
	"injector.sweep":         "440690d1e2c7",
	"injector.dismiss":       "b8c02acf8fae",
	"waiterList.push":        "d7dc613f4750",
	"waiterList.remove":      "6a39913ed389",
	"Executor.admit":         "9187c2fe5810",
	"Executor.waitForRoom":   "165195471de2",
	"Executor.waitInTask":    "3699d9eb7001",
	"Executor.waitOnList":    "03e46fc0a861",
	"Executor.acceptHeld":    "337bdead3ba1",
	"Executor.letOver":       "4e877da8f982",
	"Executor.enlist":        "08da097a2915",
	"Executor.pushOver":      "6388c73dd398",
	"Executor.requeue":       "5ce818c199b5",
	"keeper.unstick":         "4d3cfcf16341",
	"Executor.closeInjector": "ea3365fb4f76",
	"wakeAll":                "cfc943527569",
})

type boundState struct {
	queue   [bdTasks]uint8 // tasks plus one
	len     uint8
	used    uint8
	waiters [bdThreads]uint8 // submitters plus one, in order of arrival
	waiting uint8
	dead    uint8 // tasks that were claimed without their entry
	buried  uint8
	swept   uint8
	moved   uint8
	stood   uint8
	closed  bool
	stopped bool

	subs    [bdThreads]boundSubmitter
	others  [bdThreads]boundOther
	held    uint8 // tasks, one bit each
	over    uint8 // accepted over the limit
	late    uint8 // held, and queued over the limit
	taken   uint8
	refused bool // the injector has been closed for outsiders
}

// boundSubmitter is a call of Go, or of acceptHeld and requeue for a held task.
type boundSubmitter struct {
	pc     uint8
	result uint8 // of the call
	ready  uint8 // how often the channel was closed
	err    uint8 // why
	saw    bool  // a mutant's old look at closed
}

type boundOther struct {
	pc    uint8
	times uint8
	wake  uint8 // granted or dismissed waiters whose channels are to be closed, one bit each
}

const (
	bdNil = iota + 1
	bdClosed
	bdFull
	bdCtx
)

var boundResults = []string{"no result", "nil", "ErrClosed", "ErrQueueFull", "ctx's error"}

const (
	bdStart = iota
	bdOffer
	bdAdmit
	bdRoom
	bdSelect
	bdLeft
	bdReady
	bdRequeue
	bdOver
	bdDone
)

// bound is a setting. Each submitter is one letter:
//
//	g  Go from outside        x  the same, whose ctx may end      t  TryGo
//	c  Go from a task         s  the same, whose runner was denied a spare
//	d  the same as c, while others are denied a spare
//	h  a task from outside that a group holds back, queued later
//	m  Go from a task of a group with a limit, which is not to wait
//
// and so is everybody else:
//
//	k  a runner that takes    b  one that claims the first task elsewhere, and buries it
//	q  closeInjector(false)   Q  closeInjector(true)              u  unstick, when the queue stands still
//	l  letOver, when the last spare is gone
type bound struct {
	name    string
	limit   uint8
	subs    string
	others  string
	takes   uint8 // of each runner
	most    int   // in one batch
	bug     boundMutant
	waiters bool // those who wait at the end are in order: nobody takes any more
}

type boundMutant struct {
	barge          bool // accept does not look whether others wait
	noSecondLook   bool // a waiter is listed without another try under the lock
	lossyGrant     bool // a place is given back, and the first waiter is not granted it
	cancelWins     bool // a waiter whose ctx is done does not look whether it was granted
	closedOutside  bool // closed is looked at before the lock
	keepWaiters    bool // closing does not dismiss those who wait
	dismissOwn     bool // a drain dismisses waiting tasks
	noCap          bool // acceptOver knows no bound
	outsidersOver  bool // unstick lets outsiders in
	sweepKeeps     bool // bury sweeps, and does not pass on the places
	sweepCounts    bool // sweep does not give places back
	grantUncounted bool // a granted place is not counted
	grantListed    bool // a granted waiter stays listed
	heldClosed     bool // a held task is accepted although the injector is closed
	heldStopped    bool // requeue does not look whether the injector is stopped
	memberWaits    bool // a child whose group has a limit waits for room
}

func (b bound) model() *model[boundState] {
	return &model[boundState]{
		name:    b.name,
		threads: len(b.subs) + len(b.others),
		step:    b.step,
		always:  b.always,
		atRest:  b.atRest,
		show: func(s *boundState, thread int) string {
			text := ""
			if thread < len(b.subs) {
				text = fmt.Sprintf("submitter %c at %d", b.subs[thread], s.subs[thread].pc)
			} else {
				text = fmt.Sprintf("%c at %d", b.others[thread-len(b.subs)], s.others[thread-len(b.subs)].pc)
			}
			return fmt.Sprintf("%-20s used %d queue %v waiters %v dead %b closed %v", text, s.used, s.queue[:s.len], s.waiters[:s.waiting], s.dead, s.closed)
		},
	}
}

func (b *bound) own(t int) bool {
	return b.subs[t] == 'c' || b.subs[t] == 's' || b.subs[t] == 'd' || b.subs[t] == 'm'
}

func (s *boundState) push(task uint8) {
	s.queue[s.len] = task + 1
	s.len++
}

func (s *boundState) unlist(i uint8) {
	copy(s.waiters[i:], s.waiters[i+1:])
	s.waiting--
	s.waiters[s.waiting] = 0
}

// grant is injector.grant.
func (b *bound) grant(s *boundState, t int, m *move) {
	if s.refused && !b.own(t) {
		m.fail("L2: a task from outside is accepted after the injector was closed")
	}
	if !b.bug.grantUncounted {
		s.used++
	}
	s.push(uint8(t))
}

func (b *bound) accept(s *boundState, t int, m *move) bool {
	if s.waiting > 0 && !b.bug.barge || s.used >= b.limit && !b.sweep(s) {
		return false
	}
	if s.waiting > 0 {
		m.fail("I1: a submitter passes those who wait")
	}
	b.grant(s, t, m)
	return true
}

func (b *bound) acceptOver(s *boundState, t int, m *move) bool {
	if s.used >= 2*b.limit && !b.bug.noCap {
		return false
	}
	if !b.own(t) {
		m.fail("I2: a task from outside is accepted over the limit")
	}
	b.grant(s, t, m)
	s.over++
	return true
}

func (b *bound) sweep(s *boundState) bool {
	if s.buried == s.swept {
		return false
	}
	s.swept = s.buried
	for i := uint8(0); i < s.len; {
		if task := s.queue[i] - 1; s.dead>>task&1 == 0 {
			i++
			continue
		}
		s.taken |= 1 << (s.queue[i] - 1)
		copy(s.queue[i:], s.queue[i+1:])
		s.len--
		s.queue[s.len] = 0
		if !b.bug.sweepCounts {
			s.used--
		}
	}
	return s.used < b.limit
}

// free is injector.free; it returns the granted waiters.
func (b *bound) free(s *boundState, n uint8, m *move) (granted uint8) {
	s.used -= n
	for s.used < b.limit && s.waiting > 0 && !b.bug.lossyGrant {
		t := int(s.waiters[0] - 1)
		if !b.bug.grantListed {
			s.unlist(0)
		}
		b.grant(s, t, m)
		granted |= 1 << t
		if b.bug.grantListed {
			break
		}
	}
	return granted
}

func (b *bound) refusal(s *boundState, t int) uint8 {
	if s.stopped || s.closed && !b.own(t) {
		return bdClosed
	}
	return 0
}

func (b *bound) listed(s *boundState, t int) (int, bool) {
	i := slices.Index(s.waiters[:s.waiting], uint8(t)+1)
	return i, i >= 0
}

// always: I1 and I2.
func (b *bound) always(s *boundState) string {
	switch {
	case s.used != s.len:
		return fmt.Sprintf("I1: %d places are counted, %d tasks are queued", s.used, s.len)
	case s.used > b.limit+s.over+s.late:
		return fmt.Sprintf("I1: %d places are taken, the limit is %d", s.used, b.limit)
	case s.used > 2*b.limit+s.late:
		return fmt.Sprintf("I2: %d places are taken, twice the limit is %d", s.used, 2*b.limit)
	case s.waiting > 0 && s.used < b.limit:
		return "I1: somebody waits beside a free place"
	}
	return ""
}

func (b *bound) atRest(s *boundState) string {
	queued := uint8(0)
	for _, task := range s.queue[:s.len] {
		queued |= 1 << (task - 1)
	}
	for t := range b.subs {
		sub := &s.subs[t]
		_, listed := b.listed(s, t)
		in := (queued|s.taken)>>t&1 != 0
		if sub.result == 0 {
			switch {
			case b.subs[t] == 'm':
				return fmt.Sprintf("I2: submitter %d waits with a permit of its group", t)
			case !listed:
				return fmt.Sprintf("submitter %d waits, and is on no list", t)
			case s.refused && !b.own(t) || s.stopped:
				return fmt.Sprintf("L2: submitter %d waits for a closed injector", t)
			case s.dead&queued != 0 && s.buried > 0:
				return fmt.Sprintf("I1: submitter %d waits beside a dead entry", t)
			case !b.waiters:
				return fmt.Sprintf("submitter %d waits for ever", t)
			}
			continue
		}
		if sub.result == bdClosed && b.own(t) && !s.stopped {
			return fmt.Sprintf("L2: a drain refuses task %d, whose parent is in flight", t)
		}
		if listed || in != (sub.result == bdNil) {
			return fmt.Sprintf("I1: submitter %d got %s; queued or taken: %v, listed: %v", t, boundResults[sub.result], in, listed)
		}
	}
	return ""
}

var boundSettings = []bound{
	{name: "three wait for one place", limit: 1, subs: "ggg", others: "k", takes: 3, most: 1},
	{name: "two takers", limit: 1, subs: "gggg", others: "kk", takes: 4, most: 2},
	{name: "batches", limit: 2, subs: "ggggt", others: "k", takes: 5, most: 3},
	{name: "a waiter's ctx ends", limit: 1, subs: "gxg", others: "k", takes: 3, most: 1},
	{name: "all ctx end", limit: 1, subs: "xxx", others: "kk", takes: 3, most: 1},
	{name: "close", limit: 1, subs: "ggg", others: "kq", takes: 3, most: 1},
	{name: "close and ctx", limit: 1, subs: "gxc", others: "kqk", takes: 3, most: 1},
	{name: "stop", limit: 1, subs: "gcx", others: "kqQ", takes: 3, most: 1},
	{name: "a queue that stands still", limit: 1, subs: "gccc", others: "u", waiters: true},
	{name: "still, with outsiders", limit: 1, subs: "ggcs", others: "ku", takes: 4, most: 1, waiters: true},
	{name: "the last spare goes", limit: 1, subs: "gcdc", others: "lk", takes: 2, most: 1, waiters: true},
	{name: "no spares", limit: 1, subs: "gsss", others: "", waiters: true},
	{name: "a claimed task", limit: 1, subs: "ggg", others: "bk", takes: 1, most: 1, waiters: true},
	{name: "two claimed tasks", limit: 2, subs: "gggg", others: "bbk", takes: 1, most: 1, waiters: true},
	{name: "held tasks", limit: 1, subs: "hgh", others: "k", takes: 3, most: 1},
	{name: "held tasks, close", limit: 1, subs: "hhg", others: "kq", takes: 3, most: 1},
	{name: "held tasks, stop", limit: 2, subs: "hhg", others: "kQ", takes: 3, most: 1},
	{name: "children of a group with a limit", limit: 1, subs: "gmmm", others: "k", takes: 1, most: 1, waiters: true},
	{name: "the same, stop", limit: 1, subs: "hmm", others: "kQ", takes: 3, most: 1},
}

func TestExploreBound_EveryInterleavingKeepsI1I2(t *testing.T) {
	if exploredBefore(t) {
		return
	}
	total := 0
	for _, b := range boundSettings {
		total += mustHold(t, b.model())
	}
	t.Logf("%d states", total)
}

func TestExploreBound_FindsMutants(t *testing.T) {
	if exploredBefore(t) {
		return
	}
	mutants := map[string]boundMutant{
		"accept does not look who waits":           {barge: true},
		"a waiter is listed without a second look": {noSecondLook: true},
		"a freed place is not granted":             {lossyGrant: true},
		"a canceled waiter ignores its grant":      {cancelWins: true},
		"closed is checked before the lock":        {closedOutside: true},
		"closing leaves the waiters":               {keepWaiters: true},
		"acceptOver has no bound":                  {noCap: true},
		"unstick lets outsiders in":                {outsidersOver: true},
		"bury keeps the places it swept":           {sweepKeeps: true},
		"sweep does not count":                     {sweepCounts: true},
		"a granted place is not counted":           {grantUncounted: true},
		"a granted waiter stays listed":            {grantListed: true},
		"a held task is accepted when closed":      {heldClosed: true},
		"a held task is queued when stopped":       {heldStopped: true},
		"a child with a permit waits for room":     {memberWaits: true},
		"a drain refuses waiting tasks":            {dismissOwn: true},
	}
	for _, name := range slices.Sorted(maps.Keys(mutants)) {
		var models []*model[boundState]
		for _, b := range boundSettings {
			b.bug = mutants[name]
			models = append(models, b.model())
		}
		mustFail(t, name, models...)
	}
}
