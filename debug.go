package executor

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
)

// DebugHandler returns a page that shows what the executor does: its slots and what they run, queues, rates
// over the last minute, panics, stalls, and advice if something is wrong. It is read-only, and is to be
// mounted by the caller where the public can not reach it:
//
//	mux.Handle("/debug/executor/", e.DebugHandler())
//
// Browsers get a page that is kept up to date by server-sent events, ?format=json is a DebugReport, and
// everybody else gets text. Names of tasks, panic values and stacks are shown, arguments of tasks are not.
//
// Nobody looking costs nothing. Any number of viewers costs one goroutine, which takes a look once a second
// until 10 s after the last of them has gone, and ends with the executor. At most 64 streams are open
// over the whole process; others get 503. The handler works after Close too, and says so. A nil Executor
// panics.
func (e *Executor) DebugHandler() http.Handler {
	if err := e.missing(); err != nil {
		panic(err)
	}
	return &debugHandler{list: func() []*Executor { return []*Executor{e} }, one: true}
}

// DebugHandler is the page of all live executors of the process. ?executor=NAME shows one of them.
func DebugHandler() http.Handler {
	return &debugHandler{list: names.live}
}

type debugHandler struct {
	list func() []*Executor
	one  bool // always the same one

	mu      sync.Mutex
	servers map[*http.Server]chan struct{} // closed when the server shuts down
}

func (h *debugHandler) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	head := w.Header()
	head.Set("Cache-Control", "no-store")
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Referrer-Policy", "no-referrer")
	head.Set("Content-Security-Policy", "default-src 'none'")
	head.Add("Vary", "Accept")
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		head.Set("Allow", "GET, HEAD")
		http.Error(w, "executor: this page can only be read: use GET", http.StatusMethodNotAllowed)
		return
	}
	format := formatOf(req)
	if format == "" {
		http.Error(w, fmt.Sprintf("executor: unknown format %q: use html, json, text or events", cutOff(req.URL.Query().Get("format"), 40)), http.StatusBadRequest)
		return
	}
	chosen, one := h.chosen(req)
	if chosen == nil {
		http.Error(w, fmt.Sprintf("executor: no live executor is named %q", cutOff(req.URL.Query().Get("executor"), 200)), http.StatusNotFound)
		return
	}
	switch format {
	case "events":
		h.stream(w, req, chosen, one)
	case "json":
		head.Set("Content-Type", "application/json; charset=utf-8")
		writeBody(w, renderJSON(frames(req, chosen())))
	case "text":
		head.Set("Content-Type", "text/plain; charset=utf-8")
		writeBody(w, renderTexts(frames(req, chosen())))
	case "html":
		head.Set("Content-Type", "text/html; charset=utf-8")
		head.Set("Content-Security-Policy", pageTemplate().policy)
		writeBody(w, renderPage(frames(req, chosen()), req.URL.Query().Get("executor")))
	}
}

// formatOf returns what the client wants, or "" if that is unknown.
func formatOf(req *http.Request) string {
	if query := req.URL.Query(); query.Has("format") {
		switch format := query.Get("format"); format {
		case "html", "json", "text", "events":
			return format
		}
		return ""
	}
	accept := strings.Join(req.Header.Values("Accept"), ",")
	for _, known := range []struct{ media, format string }{
		{"text/event-stream", "events"}, {"text/html", "html"}, {"application/json", "json"},
	} {
		if strings.Contains(accept, known.media) {
			return known.format
		}
	}
	return "text"
}

// chosen returns what lists the executors that the request is about, and whether that is always the same one. It
// returns nil if the request names one that is not there.
func (h *debugHandler) chosen(req *http.Request) (list func() []*Executor, one bool) {
	query := req.URL.Query()
	if h.one || !query.Has("executor") {
		return h.list, h.one
	}
	for _, e := range h.list() {
		if e.name == query.Get("executor") {
			return func() []*Executor { return []*Executor{e} }, true
		}
	}
	return nil, true
}

// frames returns the latest look at each executor. The first request makes the lookouts take one.
func frames(req *http.Request, chosen []*Executor) []*snapshot {
	lookouts := make([]*lookout, len(chosen))
	for i, e := range chosen {
		lookouts[i] = e.view(nil)
	}
	var all []*snapshot
	for i, s := range lookouts {
		if s == nil {
			all = append(all, closedFrame(chosen[i]))
			continue
		}
		select {
		case <-s.ready:
			all = append(all, s.frame.Load())
		case <-req.Context().Done():
			return all
		}
	}
	return all
}

// closedFrame looks at an executor that has ended: nobody samples it any more.
func closedFrame(e *Executor) *snapshot {
	o := observer{e: e}
	return newSnapshot(o.look())
}

func writeBody(w http.ResponseWriter, body []byte) { _, _ = w.Write(body) }

func renderJSON(all []*snapshot) []byte {
	report := DebugReport{Executors: make([]DebugState, 0, len(all))}
	for _, f := range all {
		report.Executors = append(report.Executors, f.state)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetIndent("", "  ")
	if err := enc.Encode(report); err != nil {
		return fmt.Appendf(nil, "%q\n", err.Error())
	}
	return b.Bytes()
}
