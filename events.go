package executor

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
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
	return strings.ToValidUTF8(text[:most], "") + "…"
}
