package debugpage_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/debugpage"
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
func report(t testing.TB, url string) debugpage.State {
	t.Helper()
	res, body := fetch(t, "GET", url+"?format=json")
	require.Equal(t, 200, res.StatusCode, body)
	var r debugpage.Report
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

// next returns the next event that is not a heartbeat, and its data; "" at the end of the stream.
func (s *stream) next() (event, data string) {
	for {
		if event, data = s.any(); event != "beat" {
			return event, data
		}
	}
}

func (s *stream) any() (event, data string) {
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
	debugpage.Hurry(t, 50*time.Millisecond)
	return e
}

// guard is how long a test waits for something that must happen. It only turns a hang into a failure
// with stacks; no test asserts that anything is fast.
const guard = 30 * time.Second

// raceEnabled tells whether the race detector is on, to make the long counts shorter.
var raceEnabled = func() bool {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return false
	}
	for _, s := range info.Settings {
		if s.Key == "-race" {
			return s.Value == "true"
		}
	}
	return false
}()

// scaled is n, or a tenth of it under the race detector.
func scaled(n int) int {
	if raceEnabled {
		return n / 10
	}
	return n
}

// newExecutor makes an executor that is closed, and seen to end, when the test ends.
func newExecutor(t testing.TB, opts ...executor.Option) *executor.Executor {
	t.Helper()
	e, err := executor.New(opts...)
	require.NoError(t, err)
	t.Cleanup(func() { closeNow(t, e) })
	return e
}

// closeNow closes e and sees it end.
func closeNow(t testing.TB, e *executor.Executor) {
	t.Helper()
	within(t, "Close", func() {
		if err := e.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

func stacks() string {
	buf := make([]byte, 1<<20)
	return string(buf[:runtime.Stack(buf, true)])
}

// await waits for ch to be closed or to deliver.
func await[T any](t testing.TB, what string, ch <-chan T) T {
	t.Helper()
	timer := time.NewTimer(guard)
	defer timer.Stop()
	select {
	case v := <-ch:
		return v
	case <-timer.C:
		t.Fatalf("%s: has not happened after %v\n%s", what, guard, stacks())
		panic("unreachable")
	}
}

// within runs fn on another goroutine and waits for it.
func within(t testing.TB, what string, fn func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		fn()
	}()
	await(t, what, done)
}

// eventually polls until cond holds.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	start, pause := time.Now(), 20*time.Microsecond
	for !cond() {
		if time.Since(start) > guard {
			t.Fatalf("%s: has not happened after %v\n%s", what, guard, stacks())
		}
		time.Sleep(pause)
		pause = min(2*pause, 2*time.Millisecond)
	}
}

// gate holds tasks up until it is opened, at the latest by the end of the test.
type gate struct {
	ch   chan struct{}
	once sync.Once
}

func newGate(t testing.TB) *gate {
	g := &gate{ch: make(chan struct{})}
	t.Cleanup(g.open)
	return g
}

func (g *gate) open() { g.once.Do(func() { close(g.ch) }) }

func (g *gate) wait() { <-g.ch }

// stick starts n tasks that hold a slot each, unmarked, until the gate opens. It returns when all run.
func stick(t testing.TB, e *executor.Executor, n int) *gate {
	t.Helper()
	g := newGate(t)
	started := make(chan struct{}, n)
	for range n {
		require.NoError(t, e.Go(context.Background(), func(context.Context) {
			started <- struct{}{}
			g.wait()
		}))
		await(t, "a sticking task starts", started)
	}
	return g
}

// inTask runs fn as a task of e and gives what it returned.
func inTask(t testing.TB, e *executor.Executor, fn func(ctx context.Context) error) error {
	t.Helper()
	f, err := executor.Submit(context.Background(), e, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, fn(ctx)
	})
	require.NoError(t, err)
	return result(t, f)
}

// result waits for the future and gives its error.
func result[T any](t testing.TB, f *executor.Future[T]) error {
	t.Helper()
	await(t, "the future resolves", f.Done())
	_, err := f.Wait(context.Background())
	return err
}

// quiet waits for quiescence and checks that the books balance.
func quiet(t testing.TB, e *executor.Executor) executor.Stats {
	t.Helper()
	within(t, "Quiesce", func() {
		if err := e.Quiesce(context.Background()); err != nil {
			t.Errorf("Quiesce: %v", err)
		}
	})
	return balanced(t, e)
}

// balanced checks that an executor at rest accounts for every task and holds none.
func balanced(t testing.TB, e *executor.Executor) executor.Stats {
	t.Helper()
	s := e.Stats()
	require.Equal(t, s.Submitted, s.Completed+s.Panicked+s.Canceled, "accepted tasks that did not end, or ended twice: %+v", s)
	require.LessOrEqual(t, s.Failed, s.Completed, "%+v", s)
	eventually(t, "gauges of an executor at rest are zero", func() bool {
		s = e.Stats()
		return s.Queued == 0 && s.Waiting == 0 && s.Running == 0 && s.Blocked == 0
	})
	return s
}

// alive runs a few tasks, to see that the executor survived what was done to it.
func alive(t testing.TB, e *executor.Executor) {
	t.Helper()
	within(t, "the executor still runs tasks", func() {
		var wg sync.WaitGroup
		for range 50 {
			wg.Add(1)
			if err := e.Go(context.Background(), func(context.Context) { wg.Done() }); err != nil {
				t.Error(err)
				return
			}
		}
		wg.Wait()
	})
}

func needC(t *testing.T) {
	t.Helper()
	if cgotest.Missing != "" {
		t.Skip(cgotest.Missing)
	}
}
