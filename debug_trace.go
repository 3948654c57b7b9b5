package executor

import (
	"cmp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What the tasks do that stand still: it is in their goroutines' stacks.

const (
	// A look at goroutines stops the world for 5 µs each, so it is not done among more than maxTraced, and a
	// task is looked at again only after traceAgain.
	maxTraced  = 1000
	traceAgain = 2 * time.Second
	maxStacks  = 8
)

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
	if fresh && now.Sub(o.traced) >= samplePeriod/2 && runtime.NumGoroutine() <= maxTraced {
		o.traceStacks(now, stuck)
		o.traced = now
	}
	for _, at := range stuck {
		was := o.seen[at.r]
		function := taskFunction(was.stack)
		if was.in != "" && function == "" { // it is not in a task, but wants a processor to look for one
			at.State, at.Overdue = "searching", false
			continue
		}
		at.In, at.Stack = was.in, was.stack
		if at.Task == "" {
			at.Task = function
		}
	}
}

// traceStacks takes the stacks of the stuck tasks' goroutines.
func (o *observer) traceStacks(now time.Time, stuck []*held) {
	if o.buf == nil {
		o.buf = make([]byte, 1<<20)
	}
	all := string(o.buf[:runtime.Stack(o.buf, true)])
	for _, at := range stuck {
		was := o.seen[at.r]
		stack := stackIn(all, at.r.goid)
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
