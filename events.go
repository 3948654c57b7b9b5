package executor

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// Panics and stalls are rare, so each is noted when it happens, whether somebody looks or not.

const (
	maxRecent      = 16
	maxRecentStack = 8 << 10
	maxRecentText  = 1 << 10
)

// events keeps the last panics and stalls of an executor. Nothing in it refers to a task's values.
type events struct {
	mu     sync.Mutex
	panics []EventInfo // oldest first
	stalls []EventInfo
}

// panicked makes an error of what recover returned in r's task, and notes it where it came up first.
func (r *runner) panicked(value any) *PanicError {
	p := asPanicError(value)
	if p.first() {
		r.e.events.panicked(r.taskName(), p)
	}
	return p
}

// taskName returns the name of the task that r runs, or "". Any goroutine may ask.
func (r *runner) taskName() string {
	n := r.name.Load()
	if n == nil {
		return ""
	}
	return cutOff(n.name, maxNameShown)
}

// panicked notes a panic.
func (ev *events) panicked(task string, p *PanicError) {
	stack := cutOff(string(p.Stack), maxRecentStack)
	ev.add(&ev.panics, EventInfo{
		Time: time.Now(), Panic: cutOff(panicText(p.Value), maxRecentText), Task: task, Stack: stack,
		Place: task + " " + withoutArguments(topFrame(stack)),
	})
}

// stalled notes what the monitor saw. task is the name of the oldest task.
func (ev *events) stalled(task string, info *StallInfo) {
	stack := cutOff(info.Stack, maxRecentStack)
	function := taskFunction(plainStack(stack))
	if function == "" {
		return // it was between two tasks
	}
	if task == "" {
		task = function
	}
	e := EventInfo{Time: time.Now(), Task: task, Stack: stack, Place: task + " " + info.Reason, Reason: info.Reason, Still: len(info.Ages), Queued: info.Queued}
	if e.Still > 0 {
		e.Age = info.Ages[0]
	}
	ev.add(&ev.stalls, e)
}

// add appends an event, which takes the place of an earlier one from the same place.
func (ev *events) add(to *[]EventInfo, e EventInfo) {
	ev.mu.Lock()
	defer ev.mu.Unlock()
	e.Count = 1
	at := slices.IndexFunc(*to, func(l EventInfo) bool { return l.Place == e.Place })
	if at >= 0 {
		e.Count += (*to)[at].Count
	} else if len(*to) == maxRecent {
		at = 0
	}
	if at >= 0 {
		*to = slices.Delete(*to, at, at+1)
	}
	*to = append(*to, e)
}

// list returns copies, newest first. Stacks are made plain only here, for there may be many panics.
func (ev *events) list() (panics, stalls []EventInfo) {
	ev.mu.Lock()
	defer ev.mu.Unlock()
	newest := func(from []EventInfo) []EventInfo {
		to := slices.Clone(from)
		slices.Reverse(to)
		for i := range to {
			to[i].Stack = plainStack(to[i].Stack)
		}
		return to
	}
	return newest(ev.panics), newest(ev.stalls)
}

// panicText says what a panic value is, as the runtime does when it crashes: by Error or String, or in full
// if it is one of the basic types. What a pointer leads to is not read, for others may be writing it.
func panicText(value any) (text string) {
	defer func() {
		if recover() != nil {
			text = fmt.Sprintf("(%T)", value)
		}
	}()
	switch v := value.(type) {
	case error:
		return v.Error()
	case fmt.Stringer:
		return v.String()
	case string:
		return v
	case bool, int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64, uintptr, float32, float64, complex64, complex128:
		return fmt.Sprint(v)
	}
	return fmt.Sprintf("(%T)", value)
}

// plainStack is a stack trace without what may be a user's data: arguments of functions, labels.
func plainStack(stack string) string {
	var b strings.Builder
	for line := range strings.Lines(cutOff(stack, maxRecentStack)) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, "goroutine "):
			if head, _, found := strings.Cut(line, " labels:"); found {
				line = head + "]:"
			}
		case strings.HasPrefix(line, "\t"), strings.HasPrefix(line, "created by "):
			line, _, _ = strings.Cut(line, " +0x")
		default:
			line = withoutArguments(line)
		}
		b.WriteString(line)
		b.WriteByte('\n')
	}
	return strings.TrimRight(b.String(), "\n")
}

func withoutArguments(line string) string {
	if at := strings.LastIndexByte(line, '('); at > 0 && strings.HasSuffix(line, ")") {
		return line[:at]
	}
	return line
}

// taskFunction returns the innermost function in a plain stack that this package called, which is a task's
// or a loop's body; "" if there is none.
func taskFunction(stack string) string {
	const own = ScopeName + "."
	before := ""
	for line := range strings.Lines(stack) {
		line = strings.TrimRight(line, "\n")
		if line == "" || strings.HasPrefix(line, "\t") || strings.HasPrefix(line, "goroutine ") {
			continue
		}
		if strings.HasPrefix(line, own) && before != "" {
			return before
		}
		if before = line; strings.HasPrefix(line, own) {
			before = ""
		}
	}
	return ""
}

// topFrame is the first frame below the header and the machinery of panics.
func topFrame(stack string) string {
	for line := range strings.Lines(stack) {
		switch {
		case strings.HasPrefix(line, "goroutine "), strings.HasPrefix(line, "\t"), strings.HasPrefix(line, "panic"),
			strings.HasPrefix(line, "runtime."), strings.HasPrefix(line, "runtime/"), strings.HasPrefix(line, ScopeName+"."):
			continue
		}
		return strings.TrimRight(line, "\n")
	}
	return ""
}

// cutOff cuts text at most bytes, at the end of a rune.
func cutOff(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most] + "…"
}

// What is told of tasks that stand still, and what their stacks say.

// StallInfo tells a handler of WithOnStall what stands still.
type StallInfo struct {
	Executor string          // the executor's name
	Reason   string          // StallBlocked, StallCPU, StallSpares or StallSubmitters
	QueueAge time.Duration   // how long no task has ended and none was taken from the queue
	Queued   int             // tasks that wait
	Waiting  int             // submitters that wait for room in the queue
	Ages     []time.Duration // of the tasks that stand still, oldest first; as far as the monitor knows
	Stack    string          // of the oldest one's goroutine; empty if it moved on meanwhile
}

// The reasons in StallInfo.
const (
	StallBlocked = "blocked" // tasks block outside of Blocking; extra slots are lent for them
	StallCPU     = "cpu"     // a task runs past its budget without a Checkpoint, while others wait
	StallSpares  = "spares"  // tasks block, and no spare is left to stand in for them

	// StallSubmitters is StallSpares while submitters wait for room in the queue: if those tasks wait for what a submitter
	// does next, such as take a result, nothing moves any more.
	StallSubmitters = "submitters"
)

// stallReport is keeper.report. WithOnStall and Watch make it known, so that other programs do not link it.
type stallReport func(k *keeper, s *sight, short bool)

// report tells the handler, at most once a second, what stands still.
func (k *keeper) report(s *sight, short bool) {
	e := k.e
	info := StallInfo{Executor: e.name, QueueAge: s.now.Sub(k.stalls.movedAt), Queued: s.queued, Waiting: s.held}
	var oldest *runner
	var most time.Duration
	stands := func(r *runner, since time.Time) {
		age := s.now.Sub(since)
		if info.Ages = append(info.Ages, age); oldest == nil || age > most {
			oldest, most = r, age
		}
	}
	for _, r := range k.stuck {
		if r.seen.overdue {
			stands(r, r.seen.since)
		}
	}
	marked := oldest == nil && info.QueueAge >= 2*e.cfg.tick() // all of it is inside Blocking, or waits
	if marked {
		for _, r := range k.denied {
			stands(r, r.seen.denied)
		}
	}
	if oldest == nil || s.now.Sub(k.reported) < time.Second || !e.reporting.CompareAndSwap(false, true) {
		return
	}
	k.reported = s.now
	info.Reason = StallBlocked
	switch {
	case marked || short && !s.busy():
		if info.Reason = StallSpares; s.held > 0 {
			info.Reason = StallSubmitters
		}
	case s.busy():
		info.Reason = StallCPU
	}
	slices.SortFunc(info.Ages, func(a, b time.Duration) int { return cmp.Compare(b, a) })
	progress := oldest.seen.progress
	e.group.Add(1)
	go func() {
		defer e.reporting.Store(false)
		task := oldest.taskName()
		if e.cfg.onStall == nil && runtime.NumGoroutine() > maxTraced {
			e.group.Done()
			return
		}
		if stack := stackOf(oldest.goid.Load()); oldest.count.progress() == progress {
			info.Stack = stack
			info.Reason = reasonOf(stack, info.Reason)
			e.events.stalled(task, &info)
		}
		e.group.Done() // what follows is not the executor's: nobody waits for it
		if e.cfg.onStall != nil {
			e.cfg.onStall(info)
		}
	}()
}

// reasonOf corrects the reason, which is about all tasks that stand still, by the state of the oldest.
func reasonOf(stack, reason string) string {
	_, state, _ := strings.Cut(stack, "[")
	has := func(prefix string) bool { return strings.HasPrefix(state, prefix) }
	switch {
	case has("running"), has("runnable"), has("preempted"), has("GC "):
		return StallCPU
	case reason != StallCPU, state == "", has("syscall"): // the last may be C code that computes
		return reason
	}
	return StallBlocked
}

// dump returns the stacks of all goroutines, or as much of them as 16 MB hold. It stops the world for as long as it
// takes to print them, which is why reports are rare.
func dump() string {
	const most = 16 << 20
	for size := 64 << 10; ; size *= 4 {
		buf := make([]byte, size)
		if n := runtime.Stack(buf, true); n < size || size >= most {
			return string(buf[:n])
		}
	}
}

// stackOf returns the stack of one goroutine.
func stackOf(goid int64) string { return stackIn(dump(), goid) }

// certainty is what the state in a goroutine's stack says about its task.
type certainty int

const (
	mayCompute certainty = iota // it runs, or could, or somebody works for it
	inCall                      // in a system call or in C, which computes or waits
	waits                       // for a channel, a lock, a timer, the network
)

// waitingStates are how the runtime names what a goroutine certainly waits for. What is not known here may compute.
var waitingStates = []string{"chan receive", "chan send", "select", "sleep", "IO wait", "semacquire", "sync."}

func certaintyOf(stack string) certainty {
	_, state, _ := strings.Cut(stack, "[")
	if strings.HasPrefix(state, "syscall") {
		return inCall
	}
	if slices.ContainsFunc(waitingStates, func(w string) bool { return strings.HasPrefix(state, w) }) {
		return waits
	}
	return mayCompute
}
