package executor

import (
	"cmp"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"weak"
)

// How Report sees the slots: who is in them, for how long, and what a task does that stands still; and the groups.

const (
	maxNameShown = 200

	// stuckAfter is how long a task must have stood still for its goroutine to be looked at: a system
	// call of that length is worth a Blocking.
	stuckAfter = 20 * time.Millisecond

	// A look at goroutines stops the world for 5 µs each, so it is not done among more than maxTraced, not more
	// often than each tracePause in the whole process, and a task is looked at again only after traceAgain.
	maxTraced  = 1000
	tracePause = 500 * time.Millisecond
	traceAgain = 2 * time.Second
	maxStacks  = 8
)

// observer remembers what the last Report saw. Without one it is empty.
type observer struct {
	mu   sync.Mutex // taken before any other
	seen map[*runner]sighted
}

// lastDump has the stacks of all goroutines, for all executors of the process. They live until the next garbage collection.
var lastDump struct {
	mu    sync.Mutex // taken after observer.mu, and no other after it
	at    time.Time  // when they were last taken
	all   weak.Pointer[string]
	taken int // how often
}

// dumped returns the stacks, and from when they are: "" if there are none, and it is too early for others.
func dumped(now time.Time) (all string, at time.Time) {
	lastDump.mu.Lock()
	defer lastDump.mu.Unlock()
	if since := now.Sub(lastDump.at); since >= 0 && since < tracePause { // not of another clock, that of a bubble
		if p := lastDump.all.Value(); p != nil {
			return *p, lastDump.at
		}
		return "", lastDump.at
	}
	buf := make([]byte, 1<<20)
	all = string(buf[:runtime.Stack(buf, true)])
	lastDump.at, lastDump.all = now, weak.Make(&all)
	lastDump.taken++
	return all, now
}

// forget lets go of the runners that were seen.
func (o *observer) forget() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen = nil
}

// sighted is how far a runner was when it was first seen in its task.
type sighted struct {
	progress, epoch uint64
	since           time.Time
	flagged         bool // the last look saw its budget's flag
	traced          time.Time
	in, stack       string // what its goroutine did then
}

// held is a slot and its holder, as one look sees them.
type held struct {
	SlotInfo
	r *runner // nil unless it is in a task
}

// slots looks at every slot, and keeps track of the tasks in them.
func (o *observer) slots(e *Executor, now time.Time) []held {
	e.idle.mu.Lock()
	slots, free := e.slots.Load().list(), slices.Clone(e.idle.free)
	all := make([]held, len(slots))
	searchers := searching(e.word.Load())
	for i, s := range slots {
		if r := s.owner(); r != nil {
			all[i].r = r
		}
	}
	e.idle.mu.Unlock()

	idle := make(map[*slot]bool, len(free))
	for _, s := range free {
		idle[s] = true
	}
	for i, s := range slots {
		at := &all[i]
		at.SlotInfo = SlotInfo{Slot: i, State: "searching", Queued: s.len(), Lent: s.loan != nil}
		switch {
		case idle[s]:
			at.State, at.r = "idle", nil
		case at.r != nil: // otherwise the slot is on its way to somebody
			at.State = slotState(at.r.word.Load())
		}
	}

	seen := make(map[*runner]sighted, len(all))
	for i := range all {
		at := &all[i]
		switch r := at.r; {
		case at.State == "searching":
			searchers--
		case r != nil:
			at.Task = r.taskName()
			seen[r] = o.sight(r, now)
			at.Age = now.Sub(seen[r].since)
		}
	}
	// A runner does not say that it searches, the state word counts them. Whoever has just done something and
	// has nothing queued is the likeliest.
	for i := range all {
		if at := &all[i]; searchers > 0 && at.State == "running" && at.Age == 0 && at.Queued == 0 {
			at.search()
			searchers--
		}
	}
	o.seen = seen
	return all
}

// search makes the slot one whose runner has no task.
func (at *held) search() {
	at.r = nil
	at.SlotInfo = SlotInfo{Slot: at.Slot, State: "searching", Queued: at.Queued, Lent: at.Lent}
}

// slotState names the phase of a runner that holds a slot.
func slotState(word uint64) string {
	switch {
	case word&phaseMask == phaseRunning:
		return "running"
	case word&kindWait != 0:
		return "waiting"
	}
	return "blocking"
}

// sight notes how far r is. Its age starts again when it has moved.
func (o *observer) sight(r *runner, now time.Time) sighted {
	progress, epoch := r.count.progress(), r.word.Load()/oneEpoch
	was, known := o.seen[r]
	if !known || was.progress != progress || was.epoch != epoch {
		was = sighted{progress: progress, epoch: epoch, since: now}
	}
	return was
}

// trace finds out what the tasks do that stand still, oldest first.
func (o *observer) trace(now time.Time, all []held) {
	var stuck []*held
	fresh := false
	for i := range all {
		at := &all[i]
		if at.r == nil || at.State != "running" || at.Age < stuckAfter {
			continue
		}
		was := o.seen[at.r]
		flagged := at.r.flagged.Load() == was.progress+1
		at.Overdue = flagged && was.flagged
		was.flagged = flagged
		o.seen[at.r] = was
		stuck = append(stuck, at)
		fresh = fresh || now.Sub(was.traced) > traceAgain
	}
	slices.SortFunc(stuck, func(a, b *held) int { return cmp.Compare(b.Age, a.Age) })
	if len(stuck) > maxStacks {
		stuck = stuck[:maxStacks]
	}
	if fresh && runtime.NumGoroutine() <= maxTraced {
		o.traceStacks(now, stuck)
	}
	for _, at := range stuck {
		was := o.seen[at.r]
		function := taskFunction(was.stack)
		if was.in != "" && function == "" { // it is not in a task, but wants a processor to look for one
			at.search()
			continue
		}
		at.In, at.Stack = was.in, was.stack
		if at.Task == "" {
			at.Task = function
		}
	}
}

// traceStacks looks for the stuck tasks' goroutines in the stacks of all.
func (o *observer) traceStacks(now time.Time, stuck []*held) {
	all, from := dumped(now)
	if all == "" {
		return
	}
	for _, at := range stuck {
		was := o.seen[at.r]
		if from.Sub(was.since) < stuckAfter { // it did not stand still then
			continue
		}
		stack := stackIn(all, at.r.goid.Load())
		if at.r.count.progress() != was.progress { // it has moved meanwhile: the stack is another task's
			continue
		}
		was.traced, was.in, was.stack = now, doing(stack), plainStack(stack)
		o.seen[at.r] = was
	}
}

// stackIn returns the stack of one goroutine out of those of all.
func stackIn(all string, goid int64) string {
	head := "goroutine " + strconv.FormatInt(goid, 10) + " "
	if !strings.HasPrefix(all, head) {
		at := strings.Index(all, "\n\n"+head)
		if at < 0 {
			return ""
		}
		all = all[at+2:]
	}
	one, _, _ := strings.Cut(all, "\n\n")
	return one
}

// doing says what a goroutine does, from the header of its stack: computing, cgo, syscall, or what it
// waits for in the runtime's words.
func doing(stack string) string {
	_, state, _ := strings.Cut(stack, "[")
	state, _, _ = strings.Cut(state, "]")
	state, _, _ = strings.Cut(state, ",")
	state, _, _ = strings.Cut(state, " labels:")
	state = strings.TrimSuffix(state, " (scan)")
	switch {
	case state == "":
		return ""
	case state == "running", state == "runnable", state == "preempted", state == "copystack", strings.HasPrefix(state, "GC "):
		return "computing"
	case state == "syscall" && strings.Contains(topFrame(stack), "._Cfunc_"): // as the cgo command calls it
		return "cgo"
	}
	return state
}

// GroupInfo is a Group of a Report.
type GroupInfo struct {
	Name    string `json:"name"`    // of its tasks: WithTaskName
	Limit   int    `json:"limit"`   // SetLimit; negative: none
	Backlog int    `json:"backlog"` // SetBacklog
	Active  int    `json:"active"`  // tasks that were accepted and have not ended
	Started int    `json:"started"` // of these, those that the limit lets run; without a limit all
	Held    int    `json:"held"`    // of these, those that wait in the group for the limit
	Waiting int    `json:"waiting"` // callers of Go that wait at the backlog's bound
	Failed  bool   `json:"failed"`  // a task has returned an error, or the group's context is done
	Others  int    `json:"others"`  // submitters of other tasks that wait for room in the executor's queue
}

// look is what a Report says of the group.
func (g *Group) look() GroupInfo {
	g.mu.Lock()
	b := &g.books
	info := GroupInfo{Limit: b.limit, Backlog: b.backlog, Active: b.active, Started: b.active - b.held.len, Held: b.held.len, Waiting: b.waiting.len}
	rd := g.round
	failed := rd != nil && len(rd.errs) > 0
	g.mu.Unlock()
	info.Failed = failed || rd != nil && rd.ctx.Err() != nil
	info.Name = cutOff(nameOf(g.parent), maxNameShown)
	return info
}

// groupList has the groups of an executor that have tasks. It names no Group: a program without groups does not link them.
// Its parts have a lock each, the last one taken.
type groupList [8]struct {
	mu    sync.Mutex
	first *groupSeat
	_     [48]byte
}

// groupSeat is a group's place in it.
type groupSeat struct {
	of         interface{ look() GroupInfo }
	part       uint32 // which list, counted from 1; 0: none yet
	prev, next *groupSeat
}

// add lists a group that has got its first task.
func (l *groupList) add(s *groupSeat) {
	if s.part == 0 { // once, so that no look meets it twice
		s.part = 1 + rand.Uint32N(uint32(len(l)))
	}
	at := &l[s.part-1]
	at.mu.Lock()
	defer at.mu.Unlock()
	if s.next = at.first; s.next != nil {
		s.next.prev = s
	}
	at.first = s
}

// remove takes a group off the list whose last task has ended.
func (l *groupList) remove(s *groupSeat) {
	at := &l[s.part-1]
	at.mu.Lock()
	defer at.mu.Unlock()
	if s.prev != nil {
		s.prev.next = s.next
	} else {
		at.first = s.next
	}
	if s.next != nil {
		s.next.prev = s.prev
	}
	s.prev, s.next = nil, nil
}

// look returns what is to be said of the groups that have tasks, those with the most first.
func (l *groupList) look(q *injector) []GroupInfo {
	var all []GroupInfo
	waiters, of := q.waitersOf()
	seen := make(map[*groupSeat]bool) // one may move to another part meanwhile
	for i := range l {
		var seats []*groupSeat
		l[i].mu.Lock()
		for s := l[i].first; s != nil; s = s.next {
			seats = append(seats, s)
		}
		l[i].mu.Unlock()
		for _, s := range seats {
			if info := s.of.look(); info.Active > 0 && !seen[s] {
				seen[s] = true
				info.Others = waiters - of[s.of]
				all = append(all, info)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b GroupInfo) int {
		return cmp.Or(cmp.Compare(b.Active+b.Waiting, a.Active+a.Waiting), cmp.Compare(a.Name, b.Name))
	})
	return all[:min(len(all), maxGroupsShown)]
}

const maxGroupsShown = 100

// waitersOf counts who waits for room in the queue, and how many of them for a task of which group.
func (q *injector) waitersOf() (all int, of map[any]int) {
	of = make(map[any]int)
	q.mu.Lock()
	defer q.mu.Unlock()
	for w := q.waiters.first; w != nil; w = w.next {
		if t, ok := w.en.of.job.(*groupTask); ok && w.en.fn == nil {
			of[t.round.g]++ // it has not ended: it was not even accepted
		}
	}
	return q.waiters.len, of
}
