package debugpage_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/debugpage"
	"github.com/seed-97bda89a/executor/internal/cgotest"
	"github.com/seed-97bda89a/executor/internal/testkit"
	"github.com/seed-97bda89a/executor/internal/testkit/pools"
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

// What all rooms share, under the names that tests use here.
var (
	within      = testkit.Within
	eventually  = testkit.Eventually
	newGate     = testkit.NewGate
	stacks      = testkit.Stacks
	scaled      = testkit.Scaled
	newExecutor = pools.New
	closeNow    = pools.Close
	needC       = cgotest.Need
	stick       = pools.Stick
	inTask      = pools.InTask
	quiet       = pools.Quiet
	alive       = pools.Alive
)

func await[T any](t testing.TB, what string, ch <-chan T) T {
	t.Helper()
	return testkit.Await(t, what, ch)
}

func result[T any](t testing.TB, f *executor.Future[T]) error {
	t.Helper()
	return pools.Result(t, f)
}
