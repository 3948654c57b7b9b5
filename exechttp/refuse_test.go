package exechttp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/exechttp"
)

func TestHandler_Refuses(t *testing.T) {
	e := newExecutor(t, executor.WithSlots(1))
	started, hold := make(chan struct{}, 10), make(chan struct{})
	var reasons []error
	h := exechttp.Handler(e, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started <- struct{}{}
		<-hold
	}), exechttp.WithWaiting(1), exechttp.WithRetryAfter(1500*time.Millisecond), exechttp.WithRefusal(func(w http.ResponseWriter, _ *http.Request, err error) {
		reasons = append(reasons, err)
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	call := func(ctx context.Context) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", "/", nil))
		return w
	}
	var all sync.WaitGroup
	all.Go(func() { call(context.Background()) })
	<-started
	ctx, cancel := context.WithCancel(context.Background())
	waiting := make(chan *httptest.ResponseRecorder)
	go func() { waiting <- call(ctx) }()
	for e.Stats().Queued == 0 {
		time.Sleep(time.Millisecond)
	}
	w := call(context.Background()) // one waits already
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.Equal(t, "2", w.Header().Get("Retry-After"))
	require.ErrorIs(t, reasons[0], executor.ErrQueueFull)
	cancel()
	require.Equal(t, http.StatusServiceUnavailable, (<-waiting).Code)
	require.ErrorIs(t, reasons[1], context.Canceled)
	close(hold)
	all.Wait()
	require.NoError(t, e.Close())
	w = call(context.Background())
	require.ErrorIs(t, reasons[2], executor.ErrClosed)
	require.Equal(t, "close", w.Header().Get("Connection"))
}

// Shutdown of the server and then of the executor loses no request.
func TestHandler_Drains(t *testing.T) {
	e := newExecutor(t, executor.WithSlots(1))
	started, hold := make(chan struct{}, 10), make(chan struct{})
	s := serve(t, exechttp.Handler(e, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started <- struct{}{}
		<-hold
		fmt.Fprint(w, "done")
	})))
	answers := make(chan string, 5)
	for range 5 {
		go func() {
			answer, err := http.Get(s.URL)
			if err != nil {
				answers <- err.Error()
				return
			}
			text, _ := io.ReadAll(answer.Body)
			answers <- string(text)
		}()
	}
	<-started
	for e.Stats().Submitted < 5 {
		time.Sleep(time.Millisecond)
	}
	ended := make(chan error, 2)
	go func() {
		ended <- s.Config.Shutdown(context.Background())
		ended <- e.Shutdown(context.Background())
	}()
	close(hold)
	for range 5 {
		require.Equal(t, "done", <-answers)
	}
	require.NoError(t, <-ended)
	require.NoError(t, <-ended)
}

// The handler runs on net/http's goroutine: a panic passes through with its own stack, a Goexit ends that goroutine. Mutant:
// run submits and waits.
func TestHandler_PanicsAndGoexitReachTheServer(t *testing.T) {
	e := newExecutor(t)
	call := func(fn func()) {
		h := exechttp.Handler(e, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { fn() }))
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	}
	for _, value := range []any{http.ErrAbortHandler, "boom", errors.New("an error")} {
		func() {
			defer func() {
				require.Equal(t, value, recover())
				require.Contains(t, string(debug.Stack()), "explode")
			}()
			call(func() { explode(value) })
		}()
	}
	ended := make(chan bool)
	go func() {
		back := false
		defer func() { ended <- back }()
		call(runtime.Goexit)
		back = true
	}()
	require.False(t, <-ended)
	require.NoError(t, e.Quiesce(context.Background()))
	require.EqualValues(t, 4, e.Stats().Panicked)
	require.Panics(t, func() { exechttp.Handler(nil, http.NotFoundHandler()) })
}

func explode(value any) { panic(value) }

// While the queue stands, requests are refused early.
func TestHandler_ShedsByQueueDelay(t *testing.T) {
	e := newExecutor(t, executor.WithSlots(1), executor.WithQueueDelay(time.Millisecond), executor.WithStallDetection(false))
	hold, shed := make(chan struct{}), make(chan error, 1)
	h := exechttp.Handler(e, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hold }),
		exechttp.WithRefusal(func(_ http.ResponseWriter, _ *http.Request, err error) {
			select {
			case shed <- err:
			default:
			}
		}))
	var all sync.WaitGroup
	for len(shed) == 0 {
		all.Go(func() { h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)) })
		time.Sleep(time.Millisecond)
	}
	require.Equal(t, executor.ErrOverloaded, <-shed)
	close(hold)
	all.Wait()
}

// A request that a task makes for itself, as a handler that calls another one, is part of it.
func TestHandler_InsideATaskRunsAtOnce(t *testing.T) {
	e := newExecutor(t, executor.WithSlots(1))
	inner := exechttp.Handler(e, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }), exechttp.WithWaiting(0))
	outer := exechttp.Handler(e, inner)
	w := httptest.NewRecorder()
	outer.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	require.Equal(t, http.StatusTeapot, w.Code)
}

// Connection: close is for a closed executor, not for a context whose cause looks like it.
func TestHandler_TheCauseOfAContextIsNoRefusal(t *testing.T) {
	e := newExecutor(t)
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(executor.ErrClosed)
	w := httptest.NewRecorder()
	exechttp.Handler(e, http.NotFoundHandler()).ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", "/", nil))
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.Empty(t, w.Header().Get("Connection"))
}

// Each request waits in the lane that WithContext chooses, and each lane has its own bound. Mutants seen to fail: all lanes have one
// count together; a lane that there is not is told like a full one.
func TestHandler_ChoosesLanes(t *testing.T) {
	e := newExecutor(t, executor.WithSlots(2), executor.WithStallDetection(false),
		executor.WithLanes(executor.Lane{Name: "reports", Max: 1}, executor.Lane{Name: "fair", Fair: true}))
	hold := make(chan struct{})
	s := serve(t, exechttp.Handler(e, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hold }), exechttp.WithWaiting(2),
		exechttp.WithContext(func(r *http.Request) context.Context {
			ctx := executor.WithTenant(r.Context(), r.Header.Get("Customer"))
			if lane := strings.TrimPrefix(r.URL.Path, "/"); lane != "" {
				ctx = executor.WithLane(ctx, lane)
			}
			return ctx
		})))
	var all sync.WaitGroup
	get := func(path string) *http.Response {
		answer, err := http.Get(s.URL + path)
		if err != nil {
			t.Error(err)
			return new(http.Response)
		}
		_ = answer.Body.Close()
		return answer
	}
	lanes := func() (of map[string]executor.LaneStats) {
		of = make(map[string]executor.LaneStats)
		for _, l := range e.Stats().Lanes {
			of[l.Name] = l
		}
		return of
	}
	start := func(path string) {
		all.Go(func() {
			if answer := get(path); answer.StatusCode != http.StatusOK {
				t.Errorf("%s: %s", path, answer.Status)
			}
		})
	}
	for range 3 {
		start("/reports")
	}
	for l := lanes()["reports"]; l.Running != 1 || l.Queued != 2; l = lanes()["reports"] {
		time.Sleep(time.Millisecond)
	}
	refused := get("/reports")
	require.Equal(t, http.StatusServiceUnavailable, refused.StatusCode)
	require.Equal(t, "1", refused.Header.Get("Retry-After"))
	start("/fair")
	for lanes()["fair"].Running != 1 {
		time.Sleep(time.Millisecond)
	}
	start("/")
	for lanes()[""].Queued != 1 { // both slots are taken, and it may wait
		time.Sleep(time.Millisecond)
	}
	unknown := get("/nowhere")
	require.Equal(t, http.StatusInternalServerError, unknown.StatusCode)
	require.Empty(t, unknown.Header.Get("Retry-After"))
	close(hold)
	all.Wait()
	require.EqualValues(t, 3, lanes()["reports"].Taken)
}
