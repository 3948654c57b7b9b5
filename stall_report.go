package executor

import (
	"cmp"
	"runtime"
	"slices"
	"strings"
	"time"
)

// What is told of tasks that stand still, and what their stacks say.

// StallInfo tells a handler of WithOnStall what stands still.
type StallInfo struct {
	Executor string          // the executor's name
	Reason   string          // StallBlocked, StallCPU or StallSpares
	QueueAge time.Duration   // how long no task has ended and none was taken from the queue
	Queued   int             // tasks that wait
	Ages     []time.Duration // of the tasks that stand still, oldest first; as far as the monitor knows
	Stack    string          // of the oldest one's goroutine; empty if it moved on meanwhile
}

// The reasons in StallInfo.
const (
	StallBlocked = "blocked" // tasks block outside of Blocking; extra slots are lent for them
	StallCPU     = "cpu"     // a task runs past its budget without a Checkpoint, while others wait
	StallSpares  = "spares"  // tasks block, and no spare is left to stand in for them
)

// stallReport is keeper.report. WithOnStall and Watch make it known, so that other programs do not link it.
type stallReport func(k *keeper, s *sight, short bool)

// report tells the handler, at most once a second, what stands still.
func (k *keeper) report(s *sight, short bool) {
	e := k.e
	info := StallInfo{Executor: e.name, QueueAge: s.now.Sub(k.stalls.movedAt), Queued: s.queued}
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
		info.Reason = StallSpares
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
