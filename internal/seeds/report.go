package seeds

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/seed-97bda89a/executor/internal/sched"
)

// failure is how a run failed.
type failure struct {
	kind  Kind
	text  string
	stack string
}

// Kind is a kind of failure.
type Kind int

const (
	Passed       Kind = iota
	TestFailed        // t.Error or t.Fatal, or a data race
	Panicked          // a task, or the test
	Deadlock          // everybody waits
	Leak              // somebody is left at the end
	Endless           // too many steps
	Undetermined      // two runs of a seed differ
	Locked            // a lock is held across a point, or the test waits for something outside of its bubble
)

func (f *failure) String() string {
	if f.kind == TestFailed {
		return "the test failed"
	}
	return f.text + f.stack
}

// callers returns the calling goroutine's stack without what is not the program's, a line each.
func callers() string {
	var pcs [64]uintptr
	var b strings.Builder
	for frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])]); ; {
		frame, more := frames.Next()
		if frame.Function != "" && !internal(frame.Function) {
			fmt.Fprintf(&b, "\n  in %s, %s", frame.Function[strings.LastIndexByte(frame.Function, '/')+1:], place(frame.File, frame.Line))
		}
		if !more {
			return b.String()
		}
	}
}

// maxShrinks is how many runs are spent on a simpler schedule.
const maxShrinks = 400

// shrink returns the simplest failing run that it finds: it leaves turns out, many at once first.
func (x *explorer) shrink(r *run) *run {
	best, tries := r, 0
	for size := len(best.turns); size > 0; {
		smaller := false
		for from := 0; from < len(best.turns) && tries < maxShrinks; {
			to := min(from+size, len(best.turns))
			turns := slices.Concat(best.turns[:from], best.turns[to:])
			tries++
			next := x.try(r.seed, newReplay(turns))
			if next.failure.Load() != nil && len(next.turns) < len(best.turns) {
				best, smaller = next, true
				continue
			}
			from = to
		}
		if !smaller || size > len(best.turns) {
			size = min(size/2, len(best.turns))
		}
	}
	return best
}

// diverged says how two runs of one seed differ.
func diverged(a, b *run) string {
	n := min(len(a.steps), len(b.steps))
	i := 0
	for i < n && a.steps[i].hash == b.steps[i].hash {
		i++
	}
	at := func(r *run) string {
		if i == len(r.steps) {
			return "it ends"
		}
		s := r.steps[i]
		return fmt.Sprintf("%s is at %q, and %d can go on", s.actor, s.point, s.ready)
	}
	return fmt.Sprintf("nondeterminism outside the executor: two runs of it differ at step %d: in one %s, in the other %s.\n"+
		"Look for: the order of a map, a select with several ready cases, math/rand (use executortest.Rand), goroutines of the test's own that "+
		"race, state that outlives a run, files and connections.", i+1, at(a), at(b))
}

// maxLines is how many steps are printed.
const maxLines = 120

// lines returns the steps of a traced run.
func (r *run) lines() string {
	var b strings.Builder
	names := 4
	for _, s := range r.steps {
		names = max(names, len(s.actor.String()))
	}
	submitted := map[*actor]string{} // where
	for i, s := range r.steps {
		call, site := where(s.pcs)
		var what string
		switch s.point {
		case sched.Start:
			what, site = "starts", submitted[s.actor]
			if s.actor == r.main {
				site = ""
			}
		case sched.End:
			what, site = "ends", ""
		case sched.Submit, sched.Forked:
			what = call
			for _, child := range s.actor.born {
				if _, known := submitted[child]; !known {
					submitted[child] = "from " + site
					what += ": " + child.String()
					break
				}
			}
		case sched.Back:
			what = "is back from " + call
		case sched.Unblock:
			what = "leaves " + call
		case sched.Locked:
			what = "waits in " + call
		default:
			what = call
		}
		if i == maxLines/2 && len(r.steps) > maxLines {
			fmt.Fprintf(&b, "     ... %d steps ...\n", len(r.steps)-maxLines)
		}
		if i < maxLines/2 || i >= len(r.steps)-maxLines/2 {
			fmt.Fprintf(&b, "%4d  %s\n", i+1, strings.TrimRight(fmt.Sprintf("%-*s  %-28s  %s", names, s.actor, what, site), " "))
		}
	}
	return strings.TrimRight(b.String(), "\n")
}

const module = "github.com/seed-97bda89a/executor"

// where returns the function of the executor that the user's code called, and the place where it did.
func where(pcs []uintptr) (call, site string) {
	if len(pcs) == 0 {
		return "", ""
	}
	for frames := runtime.CallersFrames(pcs); ; {
		frame, more := frames.Next()
		if frame.Function != "" && !internal(frame.Function) {
			return call, place(frame.File, frame.Line)
		}
		if name, ok := strings.CutPrefix(frame.Function, module+"."); ok {
			call = short(name)
		}
		if !more {
			return call, ""
		}
	}
}

// internal reports whether a function is not of the user.
func internal(name string) bool {
	for _, prefix := range []string{module + ".", module + "/executortest.", module + "/internal/sched.", module + "/internal/seeds.", "runtime.", "testing.", "testing/synctest.", "internal/", "sync.", "context.", "time."} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// short returns the name of a function without its package, type arguments and pointers: Group.Wait.
func short(name string) string {
	if before, rest, ok := strings.Cut(name, "["); ok {
		_, after, _ := strings.Cut(rest, "]")
		name = before + after
	}
	return strings.NewReplacer("(*", "", ")", "").Replace(name)
}

func place(file string, line int) string {
	if dir, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(dir, file); err == nil && !strings.HasPrefix(rel, "..") {
			file = rel
		} else {
			file = filepath.Base(file)
		}
	}
	return fmt.Sprintf("%s:%d", filepath.ToSlash(file), line)
}
