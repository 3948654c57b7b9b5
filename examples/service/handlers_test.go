package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"image/png"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-97bda89a/executor"
)

// newExecutor returns an executor that ends with the test.
func newExecutor(t *testing.T, opts ...executor.Option) *executor.Executor {
	t.Helper()
	exec, err := executor.New(opts...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, exec.Close()) })
	return exec
}

func newService(t *testing.T, log io.Writer, opts ...executor.Option) *service {
	t.Helper()
	native, err := executor.NewBulkhead(t.Name(), 2)
	require.NoError(t, err)
	return &service{
		exec: newExecutor(t, opts...), native: native, bodies: bodies{most: 10}, timeout: time.Minute,
		log: slog.New(slog.NewTextHandler(log, nil)),
	}
}

// ask sends a request to the routes of s, without a network.
func ask(ctx context.Context, s *service, method, target string, body io.Reader) *httptest.ResponseRecorder {
	return askOf(ctx, s.onExecutor(s.routes()), method, target, body)
}

func askOf(ctx context.Context, h http.Handler, method, target string, body io.Reader) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, method, target, body))
	return w
}

// occupy takes the only slot until the test ends or release is called.
func occupy(t *testing.T, exec *executor.Executor) (release func()) {
	t.Helper()
	started, gate := make(chan struct{}), make(chan struct{})
	ctx, release := context.WithCancel(context.Background())
	t.Cleanup(release)
	context.AfterFunc(ctx, func() { close(gate) })
	require.NoError(t, exec.Go(t.Context(), func(context.Context) {
		close(started)
		<-gate
	}))
	<-started
	return release
}

func TestThumbnail_IsAPicture(t *testing.T) {
	s := newService(t, io.Discard)
	for target, width := range map[string]int{
		"/thumbnail": 160, "/thumbnail?width=1": 1, "/thumbnail?width=640&seed=9": 640,
	} {
		w := ask(t.Context(), s, "GET", target, nil)
		require.Equal(t, http.StatusOK, w.Code, "%s: %s", target, w.Body)
		require.Equal(t, "image/png", w.Header().Get("Content-Type"))
		picture, err := png.Decode(w.Body)
		require.NoError(t, err)
		require.Equal(t, width, picture.Bounds().Dx())
	}
	require.Equal(t, int64(3), s.accepted.Load())
	require.Equal(t, int64(3), s.answered.Load())
}

func TestHash_IsThatOfTheBody(t *testing.T) {
	s := newService(t, io.Discard)
	for _, size := range []int{0, 1, largestBody} {
		body := bytes.Repeat([]byte("x"), size)
		w := ask(t.Context(), s, "POST", "/hash", bytes.NewReader(body))
		want := sha256.Sum256(body)
		require.Equal(t, http.StatusOK, w.Code)
		require.Equal(t, hex.EncodeToString(want[:])+"\n", w.Body.String())
	}
}

func TestRequests_ThatMakeNoSenseAreTheClients(t *testing.T) {
	s := newService(t, io.Discard)
	for _, bad := range []struct {
		method, target string
		size, status   int
	}{
		{"GET", "/thumbnail?width=0", 0, http.StatusBadRequest},
		{"GET", "/thumbnail?width=641", 0, http.StatusBadRequest},
		{"GET", "/thumbnail?seed=-1", 0, http.StatusBadRequest},
		{"POST", "/hash", largestBody + 1, http.StatusRequestEntityTooLarge},
		{"GET", "/hash", 0, http.StatusMethodNotAllowed},
		{"GET", "/", 0, http.StatusNotFound},
	} {
		w := ask(t.Context(), s, bad.method, bad.target, bytes.NewReader(make([]byte, bad.size)))
		require.Equal(t, bad.status, w.Code, "%+v: %s", bad, w.Body)
	}
}

// One request runs, one waits, and the next is told to come back, whatever it asks for. Mutant: each route has a handler, and so
// a bound, of its own.
func TestService_ShedsWhatItHasNoRoomFor(t *testing.T) {
	s := newService(t, io.Discard, executor.WithSlots(1), executor.WithQueueLimit(1), executor.WithStallDetection(false))
	h := s.onExecutor(s.routes())
	release := occupy(t, s.exec)
	waits := make(chan *httptest.ResponseRecorder)
	go func() { waits <- askOf(context.Background(), h, "GET", "/thumbnail", nil) }()
	for s.exec.Stats().Queued == 0 {
		time.Sleep(time.Millisecond)
	}

	for method, target := range map[string]string{"GET": "/thumbnail", "POST": "/hash"} {
		w := askOf(t.Context(), h, method, target, strings.NewReader(""))
		require.Equal(t, http.StatusServiceUnavailable, w.Code)
		require.Equal(t, "1", w.Header().Get("Retry-After"))
	}
	require.EqualValues(t, 2, s.exec.Stats().RejectedFull)

	release()
	require.Equal(t, http.StatusOK, (<-waits).Code)
	require.Equal(t, http.StatusOK, askOf(t.Context(), h, "GET", "/thumbnail", nil).Code, "there is room again")

	require.NoError(t, s.exec.Shutdown(t.Context()))
	w := askOf(t.Context(), h, "GET", "/thumbnail", nil)
	require.Equal(t, http.StatusServiceUnavailable, w.Code, "the end is like being full")
	require.Equal(t, "1", w.Header().Get("Retry-After"))
}

// Clients that send their body a byte at a time take nobody's place: not the slot of a request without a body, nor the place
// of another body, which takes that of the oldest one.
//
// Mutants: the body is read outside of Blocking; at the bound the newcomer is thrown out.
func TestService_SlowBodiesTurnNobodyAway(t *testing.T) {
	s := newService(t, io.Discard, executor.WithSlots(1), executor.WithStallDetection(false))
	s.bodies.most = 3
	server := httptest.NewServer(s.onExecutor(s.routes()))
	defer server.Close()
	slow := make(chan error, 20)
	var bodies []*io.PipeWriter
	for range 20 {
		body, rest := io.Pipe()
		bodies = append(bodies, rest)
		go func() {
			res, err := http.Post(server.URL+"/hash", "", body)
			if err == nil {
				res.Body.Close()
			}
			slow <- err
		}()
		_, err := rest.Write([]byte("x"))
		require.NoError(t, err)
	}
	for range 17 { // all but the last three are thrown out
		<-slow
	}
	res, err := http.Get(server.URL + "/thumbnail?width=1")
	require.NoError(t, err)
	res.Body.Close()
	require.Equal(t, http.StatusOK, res.StatusCode)
	body, rest := io.Pipe()
	status := make(chan int, 1)
	go func() {
		res, err := http.Post(server.URL+"/hash", "", body)
		if err != nil {
			t.Error(err)
			res = &http.Response{Body: http.NoBody}
		}
		res.Body.Close()
		status <- res.StatusCode
	}()
	_, err = rest.Write([]byte("begun"))
	require.NoError(t, err)
	<-slow // it gave up its place
	require.NoError(t, rest.Close())
	require.Equal(t, http.StatusOK, <-status)
	for _, rest := range bodies {
		rest.Close()
	}
	for range 2 {
		<-slow
	}
}

func TestService_DropsWhatComesTooLate(t *testing.T) {
	var log strings.Builder
	s := newService(t, &log, executor.WithSlots(1), executor.WithStallDetection(false))
	s.timeout = 10 * time.Millisecond
	release := occupy(t, s.exec)

	w := ask(t.Context(), s, "GET", "/thumbnail", nil)
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.Equal(t, "1", w.Header().Get("Retry-After"))

	gone, cancel := context.WithCancel(t.Context())
	cancel()
	s.timeout = time.Minute
	require.Equal(t, statusClientGone, ask(gone, s, "GET", "/thumbnail", nil).Code)
	require.Empty(t, log.String(), "neither is an error of the service")

	release()
	require.NoError(t, s.exec.Quiesce(t.Context()))
	stats := s.exec.Stats()
	require.Equal(t, uint64(1), stats.Completed, "only what held the slot has run")
	require.Equal(t, uint64(1), stats.Canceled)
}

// A request runs on its own goroutine, so its answer waits for it, however late it is; what comes too late is the answer all
// the same. Mutant: the time for a request is not in its context.
func TestService_WaitsForATaskThatDoesNotStop(t *testing.T) {
	s := newService(t, io.Discard)
	s.timeout = 10 * time.Millisecond
	server := httptest.NewServer(s.onExecutor(deaf(func(r *http.Request) { <-r.Context().Done() })))
	defer server.Close()
	answer := fetch(t, server.URL)
	for answer == "503 too slow\n" { // the time was over before it began
		answer = fetch(t, server.URL)
	}
	require.Equal(t, "200 late", answer)
}

// With http.TimeoutHandler in front the answer goes out before such a task ends. It keeps its slot, and the server does not
// know of it any more, but the executor's Shutdown waits for it.
//
// Mutant: without TimeoutHandler it hangs.
func TestService_AnswersBeforeATaskThatDoesNotStop(t *testing.T) {
	s := newService(t, io.Discard, executor.WithStallDetection(false))
	var begun atomic.Int64
	gate := make(chan struct{})
	server := httptest.NewServer(http.TimeoutHandler(s.onExecutor(deaf(func(*http.Request) {
		begun.Add(1)
		<-gate
	})), 10*time.Millisecond, "too slow"))
	defer server.Close()
	for begun.Load() == 0 { // else the time was over before it began
		require.Equal(t, "503 too slow", fetch(t, server.URL))
	}
	require.NoError(t, server.Config.Shutdown(t.Context()))
	over, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, s.exec.Shutdown(over), context.Canceled, "it is still there")
	require.Zero(t, s.exec.Stats().Completed)
	close(gate)
	require.NoError(t, s.exec.Shutdown(t.Context()))
	require.EqualValues(t, begun.Load(), s.exec.Stats().Completed)
}

// fetch returns the status and the text that a server answers with.
func fetch(t *testing.T, url string) string {
	t.Helper()
	res, err := http.Get(url)
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return fmt.Sprint(res.StatusCode, " ", string(body))
}

// deaf makes routes whose one handler calls fn, whatever its context says.
func deaf(fn func(*http.Request)) *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		fn(r)
		fmt.Fprint(w, "late")
	})
	return mux
}

// Mutants: what is meant for net/http is answered; the pattern is not told outside.
func TestService_OutlivesAPanic(t *testing.T) {
	var log strings.Builder
	s := newService(t, &log)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /bad", func(http.ResponseWriter, *http.Request) { panic("secret") })
	mux.HandleFunc("GET /abort", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	h := s.onExecutor(mux)
	w := askOf(t.Context(), h, "GET", "/bad", nil)
	require.Equal(t, http.StatusInternalServerError, w.Code)
	require.NotContains(t, w.Body.String(), "secret")
	require.Contains(t, log.String(), "value=secret")
	require.Contains(t, log.String(), `route="GET /bad"`)
	require.Contains(t, log.String(), "TestService_OutlivesAPanic", "the stack is that of the panic")
	require.PanicsWithValue(t, http.ErrAbortHandler, func() { askOf(t.Context(), h, "GET", "/abort", nil) })
	require.EqualValues(t, 2, s.exec.Stats().Panicked)

	w = httptest.NewRecorder()
	s.fail(w, httptest.NewRequest("GET", "/", nil), io.ErrUnexpectedEOF)
	require.Equal(t, http.StatusInternalServerError, w.Code)
	require.Contains(t, log.String(), io.ErrUnexpectedEOF.Error())
}
