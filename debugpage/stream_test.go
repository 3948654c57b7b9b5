package debugpage_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/debugpage"
	"github.com/stretchr/testify/require"
)

// Mutant: the stream ends after a frame, or repeats it.
func TestPage_AStreamIsKeptUpToDate(t *testing.T) {
	e := debugged(t, executor.WithName("streamed"))
	s := openStream(t, serve(t, debugpage.Handler(e)))
	require.Equal(t, "text/event-stream; charset=utf-8", s.res.Header.Get("Content-Type"))
	event, first := s.next()
	require.Equal(t, "frame", event)
	requireSound(t, first)
	require.Contains(t, first, `data-executor="streamed"`)
	g := stick(t, e, 1)
	within(t, "a frame shows the task", func() {
		for {
			if _, data := s.next(); strings.Contains(data, "Stick") {
				return
			}
		}
	})
	g.Open()
	within(t, "a frame shows the end", func() {
		for {
			if _, data := s.next(); strings.Contains(data, "running 0") {
				return
			}
		}
	})
}

// Mutant: every stream, or every request, starts a lookout. Mutant: the last to leave does not end it.
func TestPage_AllViewersShareOneLookoutThatEndsAfterThem(t *testing.T) {
	e := debugged(t)
	alive(t, e)
	quiet(t, e)
	url := serve(t, debugpage.Handler(e))
	serve(t, debugpage.Handler())
	require.Zero(t, debugpage.Lookouts(e), "nobody looks yet")
	all := make([]*stream, 20)
	for i := range all {
		all[i] = openStream(t, url)
		fetch(t, "GET", url)
	}
	for _, s := range all {
		s.next()
		s.next()
	}
	require.Equal(t, 1, debugpage.Lookouts(e))
	eventually(t, "only one runs", func() bool { return strings.Count(stacks(), ".(*lookout).run(") == 1 })
	for i, s := range all {
		s.cancel()
		if i < len(all)-1 {
			require.Equal(t, 1, debugpage.Lookouts(e))
		}
	}
	eventually(t, "the lookout ends", func() bool { return debugpage.Lookouts(e) == 0 && debugpage.Streams() == 0 })
	http.DefaultClient.CloseIdleConnections()
	eventually(t, "no goroutine is left of it", func() bool { return !strings.Contains(stacks(), ".(*lookout).run(") })
	alive(t, e)
	fetch(t, "GET", url)
	eventually(t, "another viewer, another lookout", func() bool { return debugpage.Lookouts(e) == 0 })
}

// Mutant: Close leaves the lookout, or waits for viewers. Mutant: the handler hangs after the end.
func TestPage_CloseEndsTheStreamsAndThePageSaysSo(t *testing.T) {
	e := debugged(t, executor.WithName("ending"))
	url := serve(t, debugpage.Handler(e))
	s, silent := openStream(t, url), openStream(t, url) // the second one does not read
	event, _ := s.next()
	require.Equal(t, "frame", event)
	closeNow(t, e)
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
	eventually(t, "the other one ends", func() bool { return debugpage.Streams() == 0 })
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
	require.Zero(t, debugpage.Lookouts(e))
}

// Mutant: the lifecycle is open until the end.
func TestPage_ADrainIsShown(t *testing.T) {
	e := debugged(t, executor.WithSlots(1))
	url := serve(t, debugpage.Handler(e))
	g := stick(t, e, 1)
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { done <- e.Shutdown(ctx) }()
	eventually(t, "draining", func() bool { return report(t, url).Lifecycle == "draining" })
	cancel()
	eventually(t, "stopping", func() bool { return report(t, url).Lifecycle == "stopping" })
	require.ErrorIs(t, await(t, "Shutdown returns", done), context.Canceled)
	g.Open()
	eventually(t, "closed", func() bool { return report(t, url).Lifecycle == "closed" })
}

const hostile = "</title><script>alert(1)</script>\"'><img src=x onerror=alert(2)>\revent: end\rdata: \x1b[2J"

// Mutant: a name goes into the page as it is. Mutant: a carriage return ends a line of an event.
func TestPage_HostileNamesAndPanicsAreHarmless(t *testing.T) {
	e := debugged(t, executor.WithName(hostile), executor.WithPanicHandler(func(context.Context, *executor.PanicError) {}))
	for _, value := range []any{hostile, errors.New(hostile), struct{ s string }{hostile}, hostileValue{}} {
		value := value
		require.NoError(t, e.Go(context.Background(), func(context.Context) { panic(value) }))
		require.Error(t, inTask(t, e, func(context.Context) error { panic(value) }))
	}
	url := serve(t, debugpage.Handler())
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
	var r debugpage.Report
	require.NoError(t, json.Unmarshal([]byte(body), &r))
	require.Contains(t, r.Executors[0].Panics[0].What+r.Executors[0].Panics[1].What, "hostileValue")
}

// hostileValue is a panic value that panics again when asked what it is.
type hostileValue struct{}

func (hostileValue) Error() string { panic("again") }

// Mutant: names of executors that have ended stay. Mutant: ?executor= is ignored.
func TestPage_AllLiveExecutorsAreListed(t *testing.T) {
	a, b := debugged(t, executor.WithName("page-a")), debugged(t, executor.WithName("page-b & co"))
	url := serve(t, debugpage.Handler())
	listed := func() (names []string) {
		var r debugpage.Report
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

// P4: who does not read is not noticed while the system buffers for it. One more viewer takes the place of the oldest,
// which is told so.
//
// Mutant: the newcomer is refused. Mutant: a stream that was thrown out gives back a place once more.
func TestPage_OneMoreViewerTakesThePlaceOfTheOldest(t *testing.T) {
	e := debugged(t)
	url := serve(t, debugpage.Handler(e))
	all := make([]*stream, debugpage.MaxStreams)
	for i := range all {
		all[i] = openStream(t, url)
		event, _ := all[i].next()
		require.Equal(t, "frame", event)
	}
	late := openStream(t, url)
	event, _ := late.next()
	require.Equal(t, "frame", event)
	for event != "full" {
		event, _ = all[0].next()
		require.NotEmpty(t, event)
	}
	event, _ = all[0].next()
	require.Empty(t, event, "the oldest one is over")
	require.Equal(t, debugpage.MaxStreams, debugpage.Streams())
	for range 3 {
		event, _ = all[1].next()
		require.Equal(t, "frame", event)
	}
	for _, s := range all {
		s.cancel()
	}
	eventually(t, "only the late one is left", func() bool { return debugpage.Streams() == 1 })
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
func TestPage_ASlowViewerIsDroppedAndHoldsUpNobody(t *testing.T) {
	e := debugged(t)
	h := debugpage.Handler(e)
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
	eventually(t, "only the quick one is left", func() bool { return debugpage.Streams() == 1 })
}

// Mutant: a stream holds up the server's shutdown.
func TestPage_TheServersShutdownEndsItsStreams(t *testing.T) {
	e := debugged(t)
	server := httptest.NewServer(debugpage.Handler(e))
	defer server.Close()
	other := openStream(t, serve(t, debugpage.Handler(e)))
	for range 3 {
		openStream(t, server.URL+"/").next()
	}
	within(t, "Shutdown", func() {
		if err := server.Config.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	eventually(t, "one stream is left, of the other server", func() bool { return debugpage.Streams() == 1 })
	other.next()
	event, _ := other.next()
	require.Equal(t, "frame", event)
}

// Mutant: the lookout is started without asking whether the executor ends.
func TestPage_ViewersRaceClose(t *testing.T) {
	h := debugpage.Handler()
	for range scaled(200) {
		e, err := executor.New(executor.WithSlots(2))
		require.NoError(t, err)
		debugpage.Hurry(t, time.Millisecond)
		one := debugpage.Handler(e)
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
		eventually(t, "the lookout ends", func() bool { return debugpage.Lookouts(e) == 0 })
	}
}

// Time is the test's own here: a lookout that does not end by itself would tick for ever.
func TestPage_WorksInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, err := executor.New(executor.WithSlots(1))
		require.NoError(t, err)
		rec := httptest.NewRecorder()
		debugpage.Handler(e).ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
		require.Contains(t, rec.Body.String(), "1 slot, fixed by WithSlots")
		require.Equal(t, 1, debugpage.Lookouts(e))
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Zero(t, debugpage.Lookouts(e))
		require.NoError(t, e.Close())
	})
}

func TestPage_ANilExecutorPanicsInTheCaller(t *testing.T) {
	require.PanicsWithError(t, "debugpage: Handler: executor 0 is nil, or was not made by New", func() { debugpage.Handler(nil) })
}
