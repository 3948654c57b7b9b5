package debugpage

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/seed-97bda89a/executor"
)

const (
	// maxStreams bounds the viewers that are kept up to date, over the whole process. One more takes the place of
	// the oldest: who does not read is not noticed while the system buffers for it, and must not lock out others.
	maxStreams = 64

	// writeWait is how long a viewer may take to read a frame. Who takes longer is dropped.
	writeWait = 5 * time.Second

	// heartbeat is how often a stream looks for new executors, and tells the viewer that it is there: a browser
	// that hears nothing for three times as long is behind a proxy that collects, and loads the page again.
	heartbeat = 5 * time.Second
)

// streams are those that are open, oldest first. Each channel is closed when another takes the place.
var streams struct {
	mu   sync.Mutex
	open []chan struct{}
}

// enter adds a stream, and returns what is closed when it has to leave.
func enter() chan struct{} {
	streams.mu.Lock()
	defer streams.mu.Unlock()
	if len(streams.open) == maxStreams {
		close(streams.open[0])
		streams.open = slices.Delete(streams.open, 0, 1)
	}
	out := make(chan struct{})
	streams.open = append(streams.open, out)
	return out
}

func leave(out chan struct{}) {
	streams.mu.Lock()
	defer streams.mu.Unlock()
	streams.open = slices.DeleteFunc(streams.open, func(c chan struct{}) bool { return c == out })
}

// stream sends every frame to a viewer as server-sent events, until the viewer leaves or falls behind, the
// only executor it looks at ends, another viewer needs the place, or the server shuts down.
func stream(w http.ResponseWriter, req *http.Request, c choice) {
	if !canFlush(w) { // the browser then loads the page again and again
		http.Error(w, "executor: this connection collects what is written to it, so the page can not be kept up to date: reload it", http.StatusNotImplemented)
		return
	}
	down := shutdownOf(req)
	if down == nil {
		http.Error(w, "executor: the server shuts down", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.Header().Set("X-Accel-Buffering", "no") // a proxy is not to collect frames
	if req.Method == http.MethodHead {
		return
	}
	out := enter()
	defer leave(out)
	v := &viewer{w: w, control: http.NewResponseController(w), wake: make(chan struct{}, 1), watched: make(map[*executor.Executor]*viewed)}
	defer v.leave()
	v.follow(req, c, down, out)
}

// canFlush reports whether what is written to w can be sent at once.
func canFlush(w http.ResponseWriter) bool {
	for {
		switch t := w.(type) {
		case interface{ FlushError() error }, http.Flusher:
			return true
		case interface{ Unwrap() http.ResponseWriter }:
			w = t.Unwrap()
		default:
			return false
		}
	}
}

// viewer is one open stream.
type viewer struct {
	w       http.ResponseWriter
	control *http.ResponseController
	wake    chan struct{} // a lookout has a new frame
	watched map[*executor.Executor]*viewed
	listed  bool // the viewer has the list of many executors

	process   []byte    // the last frame of what belongs to the process
	processAt time.Time // and when it was made
}

// viewed is an executor that a viewer looks at, and the last frame it got.
type viewed struct {
	lookout *lookout // nil if there is none
	last    *snapshot
}

func (v *viewer) follow(req *http.Request, c choice, down, out <-chan struct{}) {
	beat := time.NewTicker(orHurry(heartbeat))
	defer beat.Stop()
	ok := v.send("beat", nil) && v.join(c)
	for ok && v.update(c) {
		if !c.live && v.all(closed) {
			v.send("end", []byte(closed))
			return
		}
		var again <-chan time.Time
		if v.listed || v.unattended() {
			again = time.After(period())
		}
		select {
		case <-v.wake:
		case <-again:
		case <-beat.C:
			ok = v.send("beat", nil) && v.join(c)
		case <-out:
			v.send("full", []byte("another viewer has the place"))
			return
		case <-down:
			return
		case <-req.Context().Done():
			return
		}
	}
}

// join begins to look at executors that are new, and tells which have gone. It reports false if the viewer is gone.
func (v *viewer) join(c choice) bool {
	all := c.list()
	if many := len(all) > maxSections; many || v.listed {
		if many != v.listed && (v.listed || len(v.watched) > 0) {
			v.send("reload", nil) // from one kind of page to the other
			return false
		}
		v.listed = many
		return true
	}
	for _, e := range all {
		if v.watched[e] == nil {
			v.watched[e] = &viewed{lookout: watch(e, v.wake)}
		}
	}
	for e, seen := range v.watched {
		if c.live && !slices.Contains(all, e) {
			v.drop(e, seen)
			if !v.send("gone", []byte(e.Name())) {
				return false
			}
		}
	}
	return true
}

// update sends the frames that are new. It reports false if the viewer is gone.
func (v *viewer) update(c choice) bool {
	if v.listed {
		return v.send("frame", renderList(c.list()))
	}
	for e, seen := range v.watched {
		var f *snapshot
		switch {
		case seen.lookout != nil:
			f = seen.lookout.frame.Load()
		case seen.last == nil || seen.last.state.Lifecycle != closed && time.Since(seen.last.state.Time) >= period():
			f = glimpse(e)
		}
		if f == nil || f == seen.last {
			continue
		}
		seen.last = f
		if !v.send("frame", f.html()) {
			return false
		}
		if f.state.Lifecycle == closed && c.live {
			v.drop(e, seen)
			if !v.send("gone", []byte(e.Name())) {
				return false
			}
		}
	}
	return v.updateProcess()
}

// updateProcess sends what belongs to the process, if it is new, after the executors.
func (v *viewer) updateProcess() bool {
	for _, seen := range v.watched {
		if seen.last == nil {
			return true
		}
	}
	if time.Since(v.processAt) < period()/2 {
		return true
	}
	v.processAt = time.Now()
	fresh := renderProcess()
	if bytes.Equal(fresh, v.process) || v.process == nil && ofProcess().empty() {
		return true
	}
	v.process = fresh
	return v.send("frame", fresh)
}

// all reports whether the last frame of every executor has this lifecycle.
func (v *viewer) all(lifecycle string) bool {
	for _, seen := range v.watched {
		if seen.last == nil || seen.last.state.Lifecycle != lifecycle {
			return false
		}
	}
	return !v.listed
}

// unattended reports whether there are executors that no lookout looks at.
func (v *viewer) unattended() bool {
	for _, seen := range v.watched {
		if seen.lookout == nil && (seen.last == nil || seen.last.state.Lifecycle != closed) {
			return true
		}
	}
	return false
}

func (v *viewer) drop(e *executor.Executor, seen *viewed) {
	if seen.lookout != nil {
		seen.lookout.leave(v.wake)
	}
	delete(v.watched, e)
}

func (v *viewer) leave() {
	for e, seen := range v.watched {
		v.drop(e, seen)
	}
}

// send sends an event. It reports false if the viewer is gone.
func (v *viewer) send(name string, data []byte) bool {
	var b bytes.Buffer
	fmt.Fprintf(&b, "event: %s\n", name)
	// A carriage return ends a line too, and what follows would be a field of its own.
	data = bytes.ReplaceAll(data, []byte("\r"), []byte("\n"))
	if len(data) == 0 {
		b.WriteString("data\n") // without a data field there is no event
	}
	for line := range bytes.Lines(data) {
		b.WriteString("data: ")
		b.Write(bytes.TrimSuffix(line, []byte("\n")))
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	_ = v.control.SetWriteDeadline(time.Now().Add(writeWait)) // not every writer has deadlines
	if _, err := v.w.Write(b.Bytes()); err != nil {
		return false
	}
	return v.control.Flush() == nil
}
