// Package debugpage is a page that shows what executors do: their slots and what they run, queues, rates over the
// last minute, panics, stalls, and advice if something is wrong. It is read-only, and is to be mounted by the
// program where the public can not reach it:
//
//	mux.Handle("/debug/executor/", debugpage.Handler())
//
// Browsers get a page that is kept up to date by server-sent events, ?format=json is a Report, ?format=list an
// Overview, ?format=timeline is Timelines, ?format=perfetto the same for https://ui.perfetto.dev, and everybody else gets text. Names of tasks, panic values and stacks are shown, arguments of tasks are not.
//
// Nobody looking costs nothing. Any number of viewers costs one goroutine for each executor that they look at, which
// takes a look once a second until 10 s after the last of them has gone. The page reads [executor.Executor.Report],
// as any other program may.
package debugpage

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/seed-97bda89a/executor"
)

// Handler returns the page of these executors or, if there are none, of all that live in the process at the time of
// a request; ?executor=NAME shows one of them. More than 16 are shown as a list. At most 64 pages are kept up to date
// at once over the whole process: one more takes the place of the one that has been open for longest, which then
// reloads itself now and then. It works after an executor has ended too, and says so. A nil Executor panics.
func Handler(execs ...*executor.Executor) http.Handler {
	for i, e := range execs {
		if e.Name() == "" {
			panic(fmt.Errorf("debugpage: Handler: executor %d is nil, or was not made by New", i))
		}
	}
	if len(execs) == 0 {
		return &handler{list: executor.Executors, live: true}
	}
	return &handler{list: func() []*executor.Executor { return execs }}
}

type handler struct {
	list func() []*executor.Executor
	live bool // list changes
}

func (h *handler) ServeHTTP(w http.ResponseWriter, req *http.Request) {
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
		http.Error(w, fmt.Sprintf("executor: unknown format %q: use html, json, list, text, events, timeline or perfetto", cutOff(req.URL.Query().Get("format"), 40)), http.StatusBadRequest)
		return
	}
	c, ok := h.choose(req)
	if !ok {
		http.Error(w, fmt.Sprintf("executor: no live executor is named %q", cutOff(c.only, 200)), http.StatusNotFound)
		return
	}
	shutdownOf(req) // the earlier it is known, the better: a stream may come when it is too late
	switch format {
	case "events":
		stream(w, req, c)
	case "json":
		head.Set("Content-Type", "application/json; charset=utf-8")
		writeBody(w, renderJSON(frames(req, c.list())))
	case "timeline", "perfetto":
		timelines := timelinesOf(req, c.list())
		if format == "timeline" {
			head.Set("Content-Type", "application/json; charset=utf-8")
			writeBody(w, compact(Timelines{timelines}))
			return
		}
		head.Set("Content-Type", "application/octet-stream")
		head.Set("Content-Disposition", `attachment; filename="executor.perfetto-trace"`)
		for _, tl := range timelines {
			writeBody(w, tl.perfetto()) // traces can be put one after the other
		}
	case "list":
		head.Set("Content-Type", "application/json; charset=utf-8")
		writeBody(w, encoded(overviewOf(c.list())))
	case "text":
		head.Set("Content-Type", "text/plain; charset=utf-8")
		if all := c.list(); len(all) > maxSections {
			writeBody(w, renderTextList(all))
		} else {
			writeBody(w, renderTexts(frames(req, all)))
		}
	case "html":
		head.Set("Content-Type", "text/html; charset=utf-8")
		head.Set("Content-Security-Policy", pageTemplate().policy)
		if all := c.list(); len(all) > maxSections {
			writeBody(w, renderListPage(all))
		} else {
			writeBody(w, renderPage(frames(req, all), c.only))
		}
	}
}

// formatOf returns what the client wants, or "" if that is unknown.
func formatOf(req *http.Request) string {
	if query := req.URL.Query(); query.Has("format") {
		switch format := query.Get("format"); format {
		case "html", "json", "list", "text", "events", "timeline", "perfetto":
			return format
		}
		return ""
	}
	best, format := 0.0, "text"
	for media := range strings.SplitSeq(strings.Join(req.Header.Values("Accept"), ","), ",") {
		kind, params, err := mime.ParseMediaType(media)
		if err != nil {
			continue
		}
		quality := 1.0
		if q, ok := params["q"]; ok {
			if quality, err = strconv.ParseFloat(q, 64); err != nil {
				continue
			}
		}
		known := map[string]string{"text/event-stream": "events", "text/html": "html", "application/json": "json", "text/plain": "text"}[kind]
		if known != "" && quality > best {
			best, format = quality, known
		}
	}
	return format
}

// choice is the executors that a request is about.
type choice struct {
	list func() []*executor.Executor
	live bool   // list changes
	only string // the name in the request, if there is one
}

// choose returns them, or false if the request names one that is not there.
func (h *handler) choose(req *http.Request) (choice, bool) {
	c := choice{list: h.list, live: h.live, only: req.URL.Query().Get("executor")}
	if !req.URL.Query().Has("executor") {
		return c, true
	}
	for _, e := range h.list() {
		if e.Name() == c.only {
			c.list, c.live = func() []*executor.Executor { return []*executor.Executor{e} }, false
			return c, true
		}
	}
	return c, false
}

// frames returns the latest look at each executor. The first request makes the lookouts take one. Of more than
// maxSections each gets a glimpse, unless somebody looks at it anyway.
func frames(req *http.Request, chosen []*executor.Executor) []*snapshot {
	asked := make([]*lookout, len(chosen))
	if len(chosen) <= maxSections {
		for i, e := range chosen {
			asked[i] = watch(e, nil)
		}
	}
	var all []*snapshot
	for i, s := range asked {
		if s == nil {
			all = append(all, glimpse(chosen[i]))
			continue
		}
		select {
		case <-s.ready:
			f := s.frame.Load()
			if chosen[i].Ended() && f.state.Lifecycle != closed { // since that look
				f = glimpse(chosen[i])
			}
			all = append(all, f)
		case <-req.Context().Done():
			return all
		}
	}
	return all
}

func writeBody(w http.ResponseWriter, body []byte) { _, _ = w.Write(body) }

func renderJSON(all []*snapshot) []byte {
	report := Report{Executors: make([]State, 0, len(all)), Bulkheads: bulkheads(), Tables: tables()}
	for _, f := range all {
		report.Executors = append(report.Executors, f.state)
	}
	return encoded(report)
}

func compact(data any) []byte {
	text, err := json.Marshal(data)
	if err != nil {
		return fmt.Appendf(nil, "%q\n", err.Error())
	}
	return text
}

func encoded(data any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetIndent("", "  ")
	if err := enc.Encode(data); err != nil {
		return fmt.Appendf(nil, "%q\n", err.Error())
	}
	return b.Bytes()
}
