package executor_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/internal/cgotest"
	"github.com/stretchr/testify/require"
)

// serve gives the handler a real server, and the address of the page.
func serve(t testing.TB, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		s.CloseClientConnections()
		s.Close()
	})
	return s.URL + "/debug/executor/"
}

// fetch makes a request with these headers, in pairs, and returns the answer and its body.
func fetch(t testing.TB, method, url string, headers ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	require.NoError(t, err)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res, string(body)
}

// report fetches the JSON of url and returns the state of its only executor.
func report(t testing.TB, url string) executor.DebugState {
	t.Helper()
	res, body := fetch(t, "GET", url+"?format=json")
	require.Equal(t, 200, res.StatusCode, body)
	var r executor.DebugReport
	require.NoError(t, json.Unmarshal([]byte(body), &r))
	require.Len(t, r.Executors, 1)
	return r.Executors[0]
}

// stream is an open stream of events.
type stream struct {
	res    *http.Response
	lines  *bufio.Scanner
	cancel context.CancelFunc
}

func openStream(t testing.TB, url string) *stream {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, "GET", url+"?format=events", nil)
	require.NoError(t, err)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	t.Cleanup(func() { res.Body.Close() })
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 1<<20)
	lines.Split(func(data []byte, atEOF bool) (int, []byte, error) { // as browsers do: a carriage return ends a line too
		if at := bytes.IndexAny(data, "\r\n"); at >= 0 {
			return at + 1, data[:at], nil
		}
		return 0, nil, nil
	})
	return &stream{res, lines, cancel}
}

// next returns the next event and its data; "" at the end of the stream.
func (s *stream) next() (event, data string) {
	for s.lines.Scan() {
		line := s.lines.Text()
		switch {
		case line == "" && event != "":
			return event, data
		case strings.HasPrefix(line, "event: "):
			event = strings.TrimPrefix(line, "event: ")
		case strings.HasPrefix(line, "data: "):
			data += strings.TrimPrefix(line, "data: ") + "\n"
		}
	}
	return "", ""
}

func debugged(t testing.TB, opts ...executor.Option) *executor.Executor {
	t.Helper()
	e := newExecutor(t, opts...)
	executor.HurryDebug(e, 50*time.Millisecond)
	return e
}

// Mutant: */* gets HTML. Mutant: the format of the query loses against Accept.
func TestDebug_TheFormatIsWhatTheClientAsksFor(t *testing.T) {
	url := serve(t, debugged(t).DebugHandler())
	for _, c := range []struct{ query, accept, media, has string }{
		{"", "text/html,application/xhtml+xml,*/*;q=0.8", "text/html", "<!DOCTYPE html>"},
		{"", "*/*", "text/plain", " slot"},
		{"", "", "text/plain", " slot"},
		{"", "application/json", "application/json", `"executors"`},
		{"?format=html", "*/*", "text/html", "<!DOCTYPE html>"},
		{"?format=json", "text/html", "application/json", `"executors"`},
		{"?format=text", "text/html", "text/plain", " slot"},
	} {
		res, body := fetch(t, "GET", url+c.query, "Accept", c.accept)
		require.Equal(t, 200, res.StatusCode)
		require.Equal(t, c.media+"; charset=utf-8", res.Header.Get("Content-Type"), "%+v", c)
		require.Contains(t, body, c.has)
		require.Equal(t, "no-store", res.Header.Get("Cache-Control"))
		require.Equal(t, "nosniff", res.Header.Get("X-Content-Type-Options"))
		require.Contains(t, res.Header.Get("Content-Security-Policy"), "default-src 'none'")
	}
}

// Mutant: a POST is served. Mutant: an unknown format gets text.
func TestDebug_OtherMethodsAndFormatsAreRefused(t *testing.T) {
	e := debugged(t)
	url := serve(t, e.DebugHandler())
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS"} {
		res, _ := fetch(t, method, url)
		require.Equal(t, 405, res.StatusCode, method)
		require.Equal(t, "GET, HEAD", res.Header.Get("Allow"))
	}
	for _, format := range []string{"xml", "", "JSON", "<b>"} {
		res, body := fetch(t, "GET", url+"?format="+format)
		require.Equal(t, 400, res.StatusCode, format)
		require.Contains(t, body, "html, json, text or events")
		require.Equal(t, "text/plain; charset=utf-8", res.Header.Get("Content-Type"))
	}
	require.Zero(t, executor.Lookouts(e), "a refused request is not a viewer")
	for _, format := range []string{"html", "json", "text", "events"} {
		res, body := fetch(t, "HEAD", url+"?format="+format)
		require.Equal(t, 200, res.StatusCode, format)
		require.Empty(t, body)
	}
	require.Zero(t, executor.DebugStreams(), "a HEAD does not stream")
}

var (
	voidElements = []string{"meta", "link", "br", "hr", "img", "input"}
	tags         = regexp.MustCompile(`<(/?)([a-zA-Z][a-zA-Z0-9]*)((?:[^>"]|"[^"]*")*)>`)
)

// requireSound checks that the tags of a page match, and that it asks for nothing elsewhere.
func requireSound(t *testing.T, page string) {
	t.Helper()
	markup := regexp.MustCompile(`(?s)<style>.*?</style>|<script>.*?</script>`).ReplaceAllString(page, "")
	var open []string
	for _, m := range tags.FindAllStringSubmatch(markup, -1) {
		closing, name, attributes := m[1] == "/", m[2], m[3]
		switch {
		case closing:
			require.NotEmpty(t, open, "</%s> closes nothing", name)
			require.Equal(t, open[len(open)-1], name, "in %s", m[0])
			open = open[:len(open)-1]
		case strings.HasSuffix(attributes, "/") || slices.Contains(voidElements, name):
		default:
			open = append(open, name)
		}
		names := regexp.MustCompile(`"[^"]*"`).ReplaceAllString(attributes, "")
		require.NotRegexp(t, `(?i)\s(on[a-z]+|style)\s*=`, names, "the policy forbids it")
		for _, link := range regexp.MustCompile(`(?i)(?:src|href|action|data)\s*=\s*"([^"]*)"`).FindAllStringSubmatch(attributes, -1) {
			require.Regexp(t, `^(\?|data:,$|#)`, link[1], "an address elsewhere")
		}
	}
	require.Empty(t, open)
	require.NotRegexp(t, `(?i)https?://|url\(|@import`, page)
}

// Mutant: a style attribute, a font or a script from elsewhere. Mutant: the policy allows 'unsafe-inline'.
func TestDebug_ThePageIsSoundAndLoadsNothing(t *testing.T) {
	e := debugged(t, executor.WithSlots(3), executor.WithPanicHandler(func(context.Context, *executor.PanicError) {}))
	stick(t, e, 2)
	require.NoError(t, e.Go(context.Background(), func(context.Context) { panic("oh") }))
	url := serve(t, e.DebugHandler())
	eventually(t, "everything is on the page", func() bool {
		d := report(t, url)
		return len(d.Panics) == 1 && len(d.Advice) > 0 && len(d.History) > 3
	})
	res, page := fetch(t, "GET", url, "Accept", "text/html")
	requireSound(t, page)
	policy := res.Header.Get("Content-Security-Policy")
	require.NotContains(t, policy, "unsafe")
	for _, element := range []string{"style", "script"} {
		inline := regexp.MustCompile(`(?s)<`+element+`>(.*?)</`+element+`>`).FindAllStringSubmatch(page, -1)
		require.Len(t, inline, 1)
		sum := sha256.Sum256([]byte(inline[0][1]))
		require.Contains(t, policy, element+"-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'", "the browser would ignore the %s", element)
	}
	for _, part := range []string{"head", "figures", "advice", "charts", "slots", "queues", "beside", "ended", "panics"} {
		require.Contains(t, page, `data-part="`+part+`"`)
	}
	require.Contains(t, page, `<noscript><meta http-equiv="refresh"`)
	require.NotContains(t, page, "<p>template")
}

// Mutant: a field loses its JSON name, or is written in another way than it is read.
func TestDebug_TheJSONIsWhatTheTypesSay(t *testing.T) {
	e := debugged(t, executor.WithName("json"))
	stick(t, e, 1)
	url := serve(t, e.DebugHandler())
	eventually(t, "the slot has an age", func() bool {
		return slices.ContainsFunc(report(t, url).Slots, func(s executor.DebugSlot) bool { return s.Age > 50*time.Millisecond })
	})
	_, body := fetch(t, "GET", url+"?format=json")
	var r executor.DebugReport
	d := json.NewDecoder(strings.NewReader(body))
	d.DisallowUnknownFields()
	require.NoError(t, d.Decode(&r))
	again, err := json.MarshalIndent(r, "", "  ")
	require.NoError(t, err)
	require.Equal(t, strings.TrimSpace(body), string(again))
	require.NotRegexp(t, `"[A-Z]\w*":`, body, "a field without a JSON name")

	s := r.Executors[0]
	require.Equal(t, "json", s.Name)
	require.Equal(t, "open", s.Lifecycle)
	require.Equal(t, e.Stats().Slots, len(s.Slots))
	require.EqualValues(t, 1, s.Stats.Submitted)
	require.NotEmpty(t, s.History)
}

// Mutant: a blocked slot passes for a running one. Mutant: an age starts again with every look.
func TestDebug_SlotsShowWhatTheyDo(t *testing.T) {
	e := debugged(t, executor.WithSlots(3), executor.WithMaxSpares(0), executor.WithStallDetection(false))
	url := serve(t, e.DebugHandler())
	g := stick(t, e, 1)
	inside := make(chan struct{})
	require.NoError(t, e.Go(context.Background(), func(ctx context.Context) {
		executor.Blocking(ctx, func() { close(inside); g.wait() })
	}))
	await(t, "the task blocks", inside)
	var states []string
	eventually(t, "one slot runs, one blocks and one is idle", func() bool {
		states = nil
		d := report(t, url)
		for _, s := range d.Slots {
			states = append(states, s.State)
			if s.State == "running" && (s.Age < 200*time.Millisecond || s.In != "chan receive" || !strings.Contains(s.Task, "stick")) {
				return false
			}
		}
		slices.Sort(states)
		return slices.Equal(states, []string{"blocking", "idle", "running"}) && d.Runners.Blocking == 1
	})
	g.open()
	quiet(t, e)
	eventually(t, "all are idle", func() bool {
		return !slices.ContainsFunc(report(t, url).Slots, func(s executor.DebugSlot) bool { return s.State != "idle" || s.Age != 0 || s.Stack != "" })
	})
}

// Mutant: the stream ends after a frame, or repeats it.
func TestDebug_AStreamIsKeptUpToDate(t *testing.T) {
	e := debugged(t, executor.WithName("streamed"))
	s := openStream(t, serve(t, e.DebugHandler()))
	require.Equal(t, "text/event-stream; charset=utf-8", s.res.Header.Get("Content-Type"))
	event, first := s.next()
	require.Equal(t, "frame", event)
	requireSound(t, first)
	require.Contains(t, first, `data-executor="streamed"`)
	g := stick(t, e, 1)
	within(t, "a frame shows the task", func() {
		for {
			if _, data := s.next(); strings.Contains(data, "stick") {
				return
			}
		}
	})
	g.open()
	within(t, "a frame shows the end", func() {
		for {
			if _, data := s.next(); strings.Contains(data, "running 0") {
				return
			}
		}
	})
}

// Mutant: every stream, or every request, starts a lookout. Mutant: the last to leave does not end it.
func TestDebug_AllViewersShareOneLookoutThatEndsAfterThem(t *testing.T) {
	e := debugged(t)
	alive(t, e)
	quiet(t, e)
	url := serve(t, e.DebugHandler())
	serve(t, executor.DebugHandler())
	require.Zero(t, executor.Lookouts(e), "nobody looks yet")
	all := make([]*stream, 20)
	for i := range all {
		all[i] = openStream(t, url)
		fetch(t, "GET", url)
	}
	for _, s := range all {
		s.next()
		s.next()
	}
	require.Equal(t, 1, executor.Lookouts(e))
	require.Equal(t, 1, strings.Count(stacks(), ".(*lookout).run("))
	for i, s := range all {
		s.cancel()
		if i < len(all)-1 {
			require.Equal(t, 1, executor.Lookouts(e))
		}
	}
	eventually(t, "the lookout ends", func() bool { return executor.Lookouts(e) == 0 && executor.DebugStreams() == 0 })
	http.DefaultClient.CloseIdleConnections()
	eventually(t, "no goroutine is left of it", func() bool { return !strings.Contains(stacks(), ".(*lookout).run(") })
	alive(t, e)
	fetch(t, "GET", url)
	eventually(t, "another viewer, another lookout", func() bool { return executor.Lookouts(e) == 0 })
}

// Mutant: Close leaves the lookout, or waits for viewers. Mutant: the handler hangs after the end.
func TestDebug_CloseEndsTheStreamsAndThePageSaysSo(t *testing.T) {
	e := debugged(t, executor.WithName("ending"))
	url := serve(t, e.DebugHandler())
	s, silent := openStream(t, url), openStream(t, url) // the second one does not read
	event, _ := s.next()
	require.Equal(t, "frame", event)
	closeNow(t, e)
	require.Zero(t, executor.Lookouts(e))
	within(t, "the stream ends", func() {
		var last, before string
		for {
			event, data := s.next()
			if event == "" {
				break
			}
			if event == "frame" {
				before = data
			}
			last = event
		}
		if last != "end" || !strings.Contains(before, `class="state closed"`) {
			t.Errorf("the last event was %q, the last frame\n%s", last, before)
		}
	})
	eventually(t, "the other one ends", func() bool { return executor.DebugStreams() == 0 })
	_ = silent

	d := report(t, url)
	require.Equal(t, "closed", d.Lifecycle)
	_, text := fetch(t, "GET", url)
	require.Contains(t, text, "ending: closed")
	late := openStream(t, url)
	event, data := late.next()
	require.Equal(t, "frame", event)
	require.Contains(t, data, `class="state closed"`)
	event, _ = late.next()
	require.Equal(t, "end", event)
	require.Zero(t, executor.Lookouts(e))
}

// Mutant: the lifecycle is open until the end.
func TestDebug_ADrainIsShown(t *testing.T) {
	e := debugged(t, executor.WithSlots(1))
	url := serve(t, e.DebugHandler())
	g := stick(t, e, 1)
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { done <- e.Shutdown(ctx) }()
	eventually(t, "draining", func() bool { return report(t, url).Lifecycle == "draining" })
	cancel()
	eventually(t, "stopping", func() bool { return report(t, url).Lifecycle == "stopping" })
	g.open()
	require.ErrorIs(t, await(t, "Shutdown returns", done), context.Canceled)
	require.Equal(t, "closed", report(t, url).Lifecycle)
}

const hostile = "</title><script>alert(1)</script>\"'><img src=x onerror=alert(2)>\revent: end\rdata: \x1b[2J"

// Mutant: a name goes into the page as it is. Mutant: a carriage return ends a line of an event.
func TestDebug_HostileNamesAndPanicsAreHarmless(t *testing.T) {
	e := debugged(t, executor.WithName(hostile), executor.WithPanicHandler(func(context.Context, *executor.PanicError) {}))
	for _, value := range []any{hostile, errors.New(hostile), struct{ s string }{hostile}, hostileValue{}} {
		value := value
		require.NoError(t, e.Go(context.Background(), func(context.Context) { panic(value) }))
		require.Error(t, inTask(t, e, func(context.Context) error { panic(value) }))
	}
	url := serve(t, executor.DebugHandler())
	requireHarmless := func(page string) {
		t.Helper()
		require.NotContains(t, page, "<script>alert")
		require.NotContains(t, page, "<img")
		require.NotContains(t, page, "\x1b[2J</")
		requireSound(t, page)
	}
	_, page := fetch(t, "GET", url+"?format=html")
	requireHarmless(page)
	require.Contains(t, page, "&lt;script&gt;alert(1)")
	s := openStream(t, url)
	event, data := s.next()
	require.Equal(t, "frame", event)
	requireHarmless(data)
	event, _ = s.next()
	require.Equal(t, "frame", event, "the name made up an event")

	_, text := fetch(t, "GET", url+"?format=text")
	require.NotRegexp(t, `[\x00-\x09\x0b-\x1f\x7f]`, text, "a terminal would obey it")
	_, body := fetch(t, "GET", url+"?format=json")
	require.NotContains(t, body, "<script>")
	var r executor.DebugReport
	require.NoError(t, json.Unmarshal([]byte(body), &r))
	require.Contains(t, r.Executors[0].Panics[0].What+r.Executors[0].Panics[1].What, "hostileValue")
}

// hostileValue is a panic value that panics again when asked what it is.
type hostileValue struct{}

func (hostileValue) Error() string { panic("again") }

// Mutant: names of executors that have ended stay. Mutant: ?executor= is ignored.
func TestDebug_AllLiveExecutorsAreListed(t *testing.T) {
	a, b := debugged(t, executor.WithName("page-a")), debugged(t, executor.WithName("page-b & co"))
	url := serve(t, executor.DebugHandler())
	listed := func() (names []string) {
		var r executor.DebugReport
		_, body := fetch(t, "GET", url+"?format=json")
		require.NoError(t, json.Unmarshal([]byte(body), &r))
		for _, d := range r.Executors {
			names = append(names, d.Name)
		}
		return names
	}
	require.Equal(t, []string{"page-a", "page-b & co"}, listed())
	_, page := fetch(t, "GET", url+"?format=html")
	requireSound(t, page)
	require.Contains(t, page, `href="?executor=page-b`)
	res, one := fetch(t, "GET", url+"?format=html&executor=page-b+%26+co")
	require.Equal(t, 200, res.StatusCode)
	require.NotContains(t, one, `data-executor="page-a"`)
	require.Contains(t, one, `data-executor="page-b &amp; co"`)
	res, body := fetch(t, "GET", url+"?executor=nobody")
	require.Equal(t, 404, res.StatusCode)
	require.Contains(t, body, `"nobody"`)

	s := openStream(t, url)
	seen := make(map[bool]bool)
	within(t, "both are in the stream", func() {
		for len(seen) < 2 {
			_, data := s.next()
			seen[strings.Contains(data, "page-a")] = true
		}
	})
	closeNow(t, a)
	require.Equal(t, []string{"page-b & co"}, listed())
	c := newExecutor(t, executor.WithName("page-c"))
	within(t, "the new one is in the stream, and the other one is not ended by the first one's end", func() {
		for c := ""; !strings.Contains(c, "page-c"); {
			_, c = s.next()
		}
	})
	closeNow(t, b)
	closeNow(t, c)
	require.Empty(t, listed())
	_, page = fetch(t, "GET", url+"?format=html")
	require.Contains(t, page, "no live executor")
	_, text := fetch(t, "GET", url)
	require.Contains(t, text, "no live executor")
}

// Mutant: streams are not counted, or not given back.
func TestDebug_TooManyStreamsAreToldSo(t *testing.T) {
	e := debugged(t)
	url := serve(t, e.DebugHandler())
	all := make([]*stream, executor.MaxDebugStreams)
	for i := range all {
		all[i] = openStream(t, url)
		require.Equal(t, 200, all[i].res.StatusCode)
	}
	res, body := fetch(t, "GET", url+"?format=events")
	require.Equal(t, 503, res.StatusCode)
	require.NotEmpty(t, res.Header.Get("Retry-After"))
	require.Contains(t, body, "64 viewers")
	res, _ = fetch(t, "GET", url)
	require.Equal(t, 200, res.StatusCode, "the page itself is still there")
	all[0].cancel()
	eventually(t, "there is room again", func() bool { return openStream(t, url).res.StatusCode == 200 })
}

// stuckWriter is a viewer that takes so many writes and then no more: the deadline ends them.
type stuckWriter struct {
	*httptest.ResponseRecorder
	takes    int
	deadline time.Time
}

func (w *stuckWriter) SetWriteDeadline(t time.Time) error { w.deadline = t; return nil }
func (w *stuckWriter) FlushError() error                  { return nil }
func (w *stuckWriter) Write(p []byte) (int, error) {
	if w.takes--; w.takes < 0 {
		return 0, os.ErrDeadlineExceeded
	}
	return len(p), nil
}

// Mutant: no deadline is set. Mutant: an error of a write is ignored.
func TestDebug_ASlowViewerIsDroppedAndHoldsUpNobody(t *testing.T) {
	e := debugged(t)
	h := e.DebugHandler()
	quick := openStream(t, serve(t, h))
	quick.next()
	for takes := range 4 {
		slow := &stuckWriter{ResponseRecorder: httptest.NewRecorder(), takes: takes}
		within(t, "the slow one is dropped", func() {
			h.ServeHTTP(slow, httptest.NewRequest("GET", "/?format=events", nil))
		})
		require.False(t, slow.deadline.IsZero())
		quick.next()
	}
	eventually(t, "only the quick one is left", func() bool { return executor.DebugStreams() == 1 })
}

// Mutant: a stream holds up the server's shutdown.
func TestDebug_TheServersShutdownEndsItsStreams(t *testing.T) {
	e := debugged(t)
	server := httptest.NewServer(e.DebugHandler())
	defer server.Close()
	other := openStream(t, serve(t, e.DebugHandler()))
	for range 3 {
		openStream(t, server.URL+"/").next()
	}
	within(t, "Shutdown", func() {
		if err := server.Config.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	eventually(t, "one stream is left, of the other server", func() bool { return executor.DebugStreams() == 1 })
	other.next()
	event, _ := other.next()
	require.Equal(t, "frame", event)
}

// Mutant: the lookout is started without asking whether the executor ends.
func TestDebug_ViewersRaceClose(t *testing.T) {
	h := executor.DebugHandler()
	for range scaled(200) {
		e, err := executor.New(executor.WithSlots(2))
		require.NoError(t, err)
		executor.HurryDebug(e, time.Millisecond)
		one := e.DebugHandler()
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				for _, format := range []string{"json", "text", "html", "events"}[i%4:] {
					ctx, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
					for _, h := range []http.Handler{one, h} {
						h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/?format="+format, nil).WithContext(ctx))
					}
					cancel()
				}
			})
		}
		for range 20 {
			_ = e.Go(context.Background(), func(ctx context.Context) { executor.Blocking(ctx, runtime.Gosched) })
		}
		closeNow(t, e)
		within(t, "viewers leave", wg.Wait)
		require.Zero(t, executor.Lookouts(e))
	}
}

// Time is the test's own here: a lookout that does not end by itself would tick for ever.
func TestDebug_WorksInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, err := executor.New(executor.WithSlots(1))
		require.NoError(t, err)
		rec := httptest.NewRecorder()
		e.DebugHandler().ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
		require.Contains(t, rec.Body.String(), "1 slot, fixed by WithSlots")
		require.Equal(t, 1, executor.Lookouts(e))
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Zero(t, executor.Lookouts(e))
		require.NoError(t, e.Close())
	})
}

func TestDebug_ANilExecutorPanicsInTheCaller(t *testing.T) {
	require.PanicsWithError(t, "executor: nil Executor", func() { (*executor.Executor)(nil).DebugHandler() })
}

// advised waits until the page of e gives advice of this kind.
func advised(t *testing.T, e *executor.Executor, kind string) executor.DebugAdvice {
	t.Helper()
	url := serve(t, e.DebugHandler())
	var found executor.DebugAdvice
	eventually(t, "advice of the kind "+kind, func() bool {
		for _, a := range report(t, url).Advice {
			if a.Kind == kind {
				found = a
				return true
			}
		}
		return false
	})
	return found
}

// The rules have tests with invented states; these are real tasks.
func TestDebug_AdviceAboutRealTasks(t *testing.T) {
	t.Run("blocked", func(t *testing.T) {
		e := debugged(t, executor.WithSlots(1))
		stick(t, e, 1)
		require.Contains(t, advised(t, e, executor.AdviceBlocked).Problem, "stick")
	})
	t.Run("cgo", func(t *testing.T) {
		needC(t)
		e := debugged(t, executor.WithSlots(1))
		stop := make(chan struct{})
		defer close(stop)
		require.NoError(t, e.Go(context.Background(), func(context.Context) {
			for {
				select {
				case <-stop:
					return
				default:
					cgotest.Sleep(200)
				}
			}
		}))
		advised(t, e, executor.AdviceCgo)
	})
	t.Run("checkpoint", func(t *testing.T) {
		e := debugged(t, executor.WithSlots(1))
		var stop atomic.Bool
		defer stop.Store(true)
		require.NoError(t, e.Go(context.Background(), func(context.Context) {
			for n := 0; !stop.Load(); n++ {
			}
		}))
		require.NoError(t, e.Go(context.Background(), func(context.Context) {}))
		advised(t, e, executor.AdviceCheckpoint)
	})
	t.Run("spares", func(t *testing.T) {
		e := debugged(t, executor.WithSlots(1), executor.WithMaxSpares(1))
		openStream(t, serve(t, e.DebugHandler())).next() // what happened before is not advice
		g := newGate(t)
		for range 4 {
			require.NoError(t, e.Go(context.Background(), func(ctx context.Context) { executor.Blocking(ctx, g.wait) }))
		}
		advised(t, e, executor.AdviceSpares)
	})
	t.Run("rejections", func(t *testing.T) {
		e := debugged(t, executor.WithSlots(1), executor.WithQueueLimit(1), executor.WithStallDetection(false))
		openStream(t, serve(t, e.DebugHandler())).next()
		stick(t, e, 1)
		for range 5 {
			_ = e.TryGo(context.Background(), func(context.Context) {})
		}
		require.Contains(t, advised(t, e, executor.AdviceRejections).Problem, "4 submissions were refused in the last")
	})
}
