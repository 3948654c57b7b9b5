package executor

import (
	"bytes"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxStreams bounds the viewers that are kept up to date, over the whole process.
	maxStreams = 64

	// writeWait is how long a viewer may take to read a frame. Who takes longer is dropped.
	writeWait = 5 * time.Second

	// heartbeat is how often a stream looks for new executors, and for viewers that have gone.
	heartbeat = 5 * time.Second
)

// streams is how many are open.
var streams atomic.Int32

// stream sends every frame to a viewer as server-sent events, until the viewer leaves or falls behind, the
// only executor it looks at ends, or the server shuts down.
func (h *debugHandler) stream(w http.ResponseWriter, req *http.Request, chosen func() []*Executor, one bool) {
	if streams.Add(1) > maxStreams {
		streams.Add(-1)
		w.Header().Set("Retry-After", "5")
		http.Error(w, fmt.Sprintf("executor: there are %d viewers already: reload the page for new numbers", maxStreams), http.StatusServiceUnavailable)
		return
	}
	defer streams.Add(-1)
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.Header().Set("X-Accel-Buffering", "no") // a proxy is not to collect frames
	if req.Method == http.MethodHead {
		return
	}
	v := &viewer{w: w, control: http.NewResponseController(w), wake: make(chan struct{}, 1), watched: make(map[*Executor]*viewed)}
	defer v.leave()
	if !v.ping() {
		return
	}
	v.follow(req, chosen, one, h.shutdown(req))
}

// shutdown returns a channel that is closed when the request's server begins to shut down: it waits for its
// requests, and a stream would never end. It is nil if the server is not known.
func (h *debugHandler) shutdown(req *http.Request) <-chan struct{} {
	server, ok := req.Context().Value(http.ServerContextKey).(*http.Server)
	if !ok {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	down := h.servers[server]
	if down == nil {
		down = make(chan struct{})
		if h.servers == nil {
			h.servers = make(map[*http.Server]chan struct{})
		}
		h.servers[server] = down
		server.RegisterOnShutdown(sync.OnceFunc(func() { close(down) })) // Shutdown may be called again
	}
	return down
}

// viewer is one open stream.
type viewer struct {
	w       http.ResponseWriter
	control *http.ResponseController
	wake    chan struct{} // a lookout has a new frame
	watched map[*Executor]*viewed
}

// viewed is an executor that a viewer looks at, and the last frame it got.
type viewed struct {
	lookout *lookout
	last    *snapshot
}

func (v *viewer) follow(req *http.Request, chosen func() []*Executor, one bool, down <-chan struct{}) {
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	ok := v.join(chosen())
	for ok && v.update() {
		if one && len(v.watched) == 0 {
			v.send("end", []byte("closed"))
			return
		}
		select {
		case <-v.wake:
		case <-beat.C:
			ok = v.ping() && v.join(chosen())
		case <-down:
			return
		case <-req.Context().Done():
			return
		}
	}
}

// join begins to look at executors that are new. It reports false if the viewer is gone.
func (v *viewer) join(all []*Executor) bool {
	for _, e := range all {
		if v.watched[e] != nil {
			continue
		}
		s := e.view(v.wake)
		if s == nil { // it has ended
			if !v.send("frame", closedFrame(e).html()) {
				return false
			}
			continue
		}
		v.watched[e] = &viewed{lookout: s}
	}
	return true
}

// update sends the frames that are new. It reports false if the viewer is gone.
func (v *viewer) update() bool {
	for e, seen := range v.watched {
		f := seen.lookout.frame.Load()
		if f == nil || f == seen.last {
			continue
		}
		seen.last = f
		if !v.send("frame", f.html()) {
			return false
		}
		if f.state.Lifecycle == closedLifecycle {
			e.debug.leave(seen.lookout, v.wake)
			delete(v.watched, e)
		}
	}
	return true
}

func (v *viewer) leave() {
	for e, seen := range v.watched {
		e.debug.leave(seen.lookout, v.wake)
	}
}

// ping sends a comment. It reports false if the viewer is gone.
func (v *viewer) ping() bool { return v.write([]byte(": executor\n\n")) }

// send sends an event. It reports false if the viewer is gone.
func (v *viewer) send(name string, data []byte) bool {
	var b bytes.Buffer
	fmt.Fprintf(&b, "event: %s\n", name)
	// A carriage return ends a line too, and what follows would be a field of its own.
	data = bytes.ReplaceAll(data, []byte("\r"), []byte("\n"))
	for line := range bytes.Lines(data) {
		b.WriteString("data: ")
		b.Write(bytes.TrimSuffix(line, []byte("\n")))
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	return v.write(b.Bytes())
}

func (v *viewer) write(text []byte) bool {
	_ = v.control.SetWriteDeadline(time.Now().Add(writeWait)) // not every writer has deadlines
	if _, err := v.w.Write(text); err != nil {
		return false
	}
	return v.control.Flush() == nil
}
