package executor

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// TaskInfo is a task that runs.
type TaskInfo struct {
	Name     string        `json:"name"`     // by WithTaskName, or ""
	Age      time.Duration `json:"age"`      // it has run for at least so long
	Blocking bool          `json:"blocking"` // it is inside Blocking, or waits with its slot lent
	Func     string        `json:"func"`     // the task's function, as in a stack trace; "" if it could not be found out
}

// UnfinishedError says what was left of an executor when the context of Shutdown was done. It is in the error that
// Shutdown returns, beside the context's error: see errors.As.
type UnfinishedError struct {
	Running []TaskInfo // all that run, oldest first
	Queued  int        // forked children that still run, since their tasks do
	Dropped int        // tasks that had not started, dropped now: their error is ErrClosed
}

// Error is one line, with the oldest task.
func (u *UnfinishedError) Error() string {
	if u == nil {
		return "executor: a nil *UnfinishedError"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "executor: %d %s still running", len(u.Running), plural(len(u.Running), "task"))
	if len(u.Running) > 0 {
		oldest := u.Running[0]
		fmt.Fprintf(&b, " (the oldest for %v at least", oldest.Age.Round(time.Millisecond))
		if name := cmp.Or(oldest.Name, oldest.Func); name != "" {
			fmt.Fprintf(&b, ": %s", name)
		}
		b.WriteString(")")
	}
	fmt.Fprintf(&b, ", %d queued, %d dropped", u.Queued, u.Dropped)
	return b.String()
}

// seen is how far a runner was, and since when it has been there at least.
type seen struct {
	progress uint64
	since    time.Duration // since epoch
}

// observe notes how far each runner is, so that unfinished knows for how long its task has run at least.
func (e *Executor) observe() {
	now := time.Since(epoch)
	e.life.mu.Lock()
	defer e.life.mu.Unlock()
	before := e.life.seen
	e.life.seen = make(map[*runner]seen)
	for _, r := range e.registry.all() {
		s := seen{r.count.progress(), now}
		if b, ok := before[r]; ok && b.progress == s.progress {
			s = b
		}
		e.life.seen[r] = s
	}
}

// unfinished tells what runs. It prints the stacks of all goroutines, which stops the world for about 5 µs for each; among
// more than maxDumped it leaves out the functions.
func (e *Executor) unfinished() *UnfinishedError {
	u := &UnfinishedError{}
	var stacks map[int64]string
	if runtime.NumGoroutine() <= maxDumped {
		stacks = stacksByGoroutine()
	}
	e.observe() // whoever has moved since Shutdown was called is young
	now := time.Since(epoch)
	for _, r := range e.registry.all() {
		e.life.mu.Lock()
		since := e.life.seen[r].since
		e.life.mu.Unlock()
		info := TaskInfo{Name: r.taskName(), Age: now - since, Blocking: r.word.Load()&phaseMask != phaseRunning}
		stack, found := stacks[r.goid.Load()]
		tasks := tasksOn(stack)
		switch {
		case len(tasks) > 0:
			for i, function := range tasks { // those that run in place, on top of one that waits for them, began later
				info.Func = function
				u.Running = append(u.Running, info)
				if i == 0 {
					info.Age = 0
				}
			}
		case info.Blocking || !found && e.busy(r):
			u.Running = append(u.Running, info)
		}
	}
	slices.SortStableFunc(u.Running, func(a, b TaskInfo) int { return cmp.Compare(b.Age, a.Age) })
	u.Queued = e.Stats().Queued
	return u
}

// busy reports whether r is not parked, nor a record that no guest uses.
func (e *Executor) busy(r *runner) bool {
	e.idle.mu.Lock()
	defer e.idle.mu.Unlock()
	return r.list != &e.idle.parked && r.goid.Load() != 0
}

// all returns the runners.
func (g *registry) all() []*runner {
	g.mu.Lock()
	defer g.mu.Unlock()
	var all []*runner
	for r := g.first; r != nil; r = r.sibling {
		all = append(all, r)
	}
	return all
}

const (
	maxDumped    = 10_000
	maxDumpBytes = 64 << 20
)

// stacksByGoroutine returns the stacks of all goroutines, by number, as far as they fit.
func stacksByGoroutine() map[int64]string {
	size := 64 << 10
	buf := make([]byte, size)
	n := runtime.Stack(buf, true)
	for n == size && size < maxDumpBytes {
		size *= 4
		buf = make([]byte, size)
		n = runtime.Stack(buf, true)
	}
	stacks := make(map[int64]string)
	for stack := range strings.SplitSeq(string(buf[:n]), "\n\n") {
		number, _, _ := strings.Cut(strings.TrimPrefix(stack, "goroutine "), " ")
		if id, err := strconv.ParseInt(number, 10, 64); err == nil {
			stacks[id] = stack
		}
	}
	return stacks
}

// taskCalls are the functions of this package that call a task's function.
var taskCalls = []string{".bare", ".bareInPlace", ".guard", ".run", ".runTakenBack", ".host"}

// tasksOn returns the functions of the tasks on a runner's stack, the oldest first: those that were called by a block of
// frames of this package in which one of taskCalls is.
func tasksOn(stack string) []string {
	var tasks []string
	callee, candidate, calls := "", "", false
	for line := range strings.Lines(stack) {
		line = strings.TrimRight(line, "\n")
		if line == "" || strings.HasPrefix(line, "\t") || strings.HasPrefix(line, "goroutine ") || strings.HasPrefix(line, "created by ") {
			continue
		}
		function := withoutArguments(line)
		if !strings.HasPrefix(function, ScopeName+".") {
			if calls {
				tasks = append(tasks, candidate)
			}
			callee, candidate, calls = function, "", false
			continue
		}
		if candidate == "" {
			candidate = callee
		}
		function = strings.TrimSuffix(function, "[...]")
		calls = calls || slices.ContainsFunc(taskCalls, func(call string) bool { return strings.HasSuffix(function, call) })
	}
	if calls && candidate != "" {
		tasks = append(tasks, candidate)
	}
	slices.Reverse(tasks)
	return tasks
}

func plural(n int, noun string) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}
