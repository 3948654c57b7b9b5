package seeds

import (
	"bytes"
	"fmt"
	"runtime"
	"strconv"
	"strings"
)

// goroutine is one of a stack dump.
type goroutine struct {
	id      int64
	state   string // chan receive, sync.Mutex.Lock
	durable bool   // waits for something of its bubble
	bubble  uint64
	stack   string
}

// goroutines returns those of a bubble.
func goroutines(bubble uint64) (all []goroutine) {
	buf := make([]byte, 64<<10)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) {
			buf = buf[:n]
			break
		}
		buf = make([]byte, 2*len(buf))
	}
	for text := range bytes.SplitSeq(buf, []byte("\n\n")) {
		if g, ok := parseGoroutine(string(text)); ok && g.bubble == bubble {
			all = append(all, g)
		}
	}
	return all
}

// parseGoroutine understands: goroutine 7 [chan receive (durable), 2 minutes, synctest bubble 3]:
func parseGoroutine(text string) (g goroutine, ok bool) {
	header, stack, _ := strings.Cut(text, "\n")
	header, ok = strings.CutPrefix(header, "goroutine ")
	id, rest, ok2 := strings.Cut(header, " [")
	if !ok || !ok2 {
		return g, false
	}
	id, _, _ = strings.Cut(id, " ")
	var err error
	if g.id, err = strconv.ParseInt(id, 10, 64); err != nil {
		return g, false
	}
	rest, _, _ = strings.Cut(rest, "]")
	for i, part := range strings.Split(rest, ", ") {
		if i == 0 {
			g.state, g.durable = strings.CutSuffix(part, " (durable)")
		} else if n, ok := strings.CutPrefix(part, "synctest bubble "); ok {
			g.bubble, _ = strconv.ParseUint(n, 10, 64)
		}
	}
	g.stack = stack
	return g, true
}

// where returns the function of the executor that the goroutine is in, and where it was called; or what it waits for itself.
func (g *goroutine) where() (call, site string) {
	lines := strings.Split(g.stack, "\n")
	for i := 0; i+1 < len(lines); i += 2 {
		name := lines[i]
		if at := strings.LastIndex(name, "("); at > 0 {
			name = name[:at]
		}
		name = strings.TrimPrefix(name, "created by ")
		if !internal(name) {
			return call, sited(lines[i+1])
		}
		if in, ok := strings.CutPrefix(name, module+"."); ok {
			call = short(in)
		}
	}
	return call, ""
}

// frames returns the program's own part of the stack.
func (g *goroutine) frames() string {
	var b strings.Builder
	lines := strings.Split(g.stack, "\n")
	for i := 0; i+1 < len(lines); i += 2 {
		if name := strings.TrimPrefix(lines[i], "created by "); !internal(name) {
			if line := fmt.Sprintf("    %s\n", sited(lines[i+1])); !strings.HasSuffix(b.String(), line) { // a function called where it stands
				b.WriteString(line)
			}
		}
	}
	return b.String()
}

// sited turns a line of a stack dump with a file into where that is.
func sited(line string) string {
	file, _, _ := strings.Cut(strings.TrimSpace(line), " +")
	if at := strings.LastIndex(file, ":"); at > 0 {
		n, _ := strconv.Atoi(file[at+1:])
		return place(file[:at], n)
	}
	return file
}

// stuck says who waits for what when nobody can go on.
func (r *run) stuck(shutting bool) *failure {
	f := &failure{kind: Deadlock, text: "deadlock: everybody waits"}
	if shutting {
		f.kind, f.text = Leak, "the test has ended, and tasks have not"
	}
	by := make(map[int64]goroutine)
	for _, g := range goroutines(r.bubble.Load()) {
		by[g.id] = g
	}
	var b strings.Builder
	for _, a := range r.live {
		if a.state.Load() == actorEnded {
			continue
		}
		g, ok := by[a.goid.Load()]
		if !ok {
			if a.state.Load() == actorQueued {
				fmt.Fprintf(&b, "\n  %s has not started", a)
			}
			continue
		}
		call, site := g.where()
		if call == "" {
			call = g.state
		}
		fmt.Fprintf(&b, "\n  %s waits in %s, %s%s", a, call, site, a.waitsFor(r.live, r.taken))
	}
	f.text += b.String()
	return f
}

// left says which goroutines are left when the run is over.
func (r *run) left(value any) *failure {
	f := &failure{kind: Leak, text: "goroutines are left at the end"}
	if r.bubble.Load() == 0 || !r.shutdown.Load() {
		f.kind, f.text = Panicked, fmt.Sprint("the test panicked: ", value)
		return f
	}
	for _, g := range goroutines(r.bubble.Load()) {
		call, site := g.where()
		if call == "" {
			call = g.state
		}
		f.text += fmt.Sprintf("\n  goroutine %d waits in %s, %s", g.id, call, site)
	}
	return f
}
