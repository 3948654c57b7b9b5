package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"image/png"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
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
		exec: newExecutor(t, opts...), native: native, requests: 10, bodies: bodies{most: 10},
		timeout: time.Minute, log: slog.New(slog.NewTextHandler(log, nil)),
	}
}

// ask sends a request to the handlers, without a network.
func ask(ctx context.Context, h http.Handler, method, target string, body io.Reader) *httptest.ResponseRecorder {
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
		w := ask(t.Context(), s.routes(), "GET", target, nil)
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
		w := ask(t.Context(), s.routes(), "POST", "/hash", bytes.NewReader(body))
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
		w := ask(t.Context(), s.routes(), bad.method, bad.target, bytes.NewReader(make([]byte, bad.size)))
		require.Equal(t, bad.status, w.Code, "%+v: %s", bad, w.Body)
	}
	require.Zero(t, s.exec.Stats().Submitted)
}

func TestService_ShedsWhatItHasNoRoomFor(t *testing.T) {
	s := newService(t, io.Discard, executor.WithSlots(1), executor.WithQueueLimit(1), executor.WithStallDetection(false))
	release := occupy(t, s.exec)
	queued, err := executor.TrySubmit(t.Context(), s.exec, func(context.Context) (int, error) { return 7, nil })
	require.NoError(t, err)

	w := ask(t.Context(), s.routes(), "GET", "/thumbnail", nil)
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.Equal(t, "1", w.Header().Get("Retry-After"))

	release()
	seven, err := queued.Wait(t.Context())
	require.NoError(t, err)
	require.Equal(t, 7, seven)
	require.Equal(t, http.StatusOK, ask(t.Context(), s.routes(), "GET", "/thumbnail", nil).Code, "there is room again")

	require.NoError(t, s.exec.Shutdown(t.Context()))
	w = ask(t.Context(), s.routes(), "GET", "/thumbnail", nil)
	require.Equal(t, http.StatusServiceUnavailable, w.Code, "the end is like being full")
	require.Equal(t, "1", w.Header().Get("Retry-After"))
}

// Clients that send their body a byte at a time take nobody's place: not that of a request without a body, nor that of
// another body, which takes the place of the oldest one.
//
// Mutant: bodies that are being read count as requests in progress. Mutant: at the bound the newcomer is refused.
func TestService_SlowBodiesTurnNobodyAway(t *testing.T) {
	s := newService(t, io.Discard)
	s.bodies.most = 3
	server := httptest.NewServer(s.routes())
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
	res, err = http.Post(server.URL+"/hash", "", strings.NewReader("quick"))
	require.NoError(t, err)
	res.Body.Close()
	require.Equal(t, http.StatusOK, res.StatusCode)
	for _, rest := range bodies {
		rest.Close()
	}
	for range 3 {
		<-slow
	}
}

func TestService_DropsWhatComesTooLate(t *testing.T) {
	var log strings.Builder
	s := newService(t, &log, executor.WithSlots(1), executor.WithStallDetection(false))
	s.timeout = 10 * time.Millisecond
	release := occupy(t, s.exec)

	w := ask(t.Context(), s.routes(), "GET", "/thumbnail", nil)
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.Equal(t, "1", w.Header().Get("Retry-After"))

	gone, cancel := context.WithCancel(t.Context())
	cancel()
	s.timeout = time.Minute
	require.Equal(t, statusClientGone, ask(gone, s.routes(), "GET", "/thumbnail", nil).Code)
	require.Empty(t, log.String(), "neither is an error of the service")

	release()
	require.NoError(t, s.exec.Quiesce(t.Context()))
	stats := s.exec.Stats()
	require.Equal(t, uint64(1), stats.Completed, "only what held the slot has run")
	require.Equal(t, uint64(1), stats.Canceled)
}

func TestService_AnswersBeforeATaskThatDoesNotStop(t *testing.T) {
	s := newService(t, io.Discard)
	s.timeout = 10 * time.Millisecond
	gate := make(chan struct{})
	deaf := s.onExecutor("deaf", func(http.ResponseWriter, *http.Request) (job, error) {
		return func(context.Context) (reply, error) {
			<-gate
			return reply{}, nil
		}, nil
	})
	require.Equal(t, http.StatusServiceUnavailable, ask(t.Context(), deaf, "GET", "/", nil).Code)
	close(gate)
	require.NoError(t, s.exec.Quiesce(t.Context()))
	require.Equal(t, uint64(1), s.exec.Stats().Submitted)
}

func TestService_OutlivesAPanic(t *testing.T) {
	var log strings.Builder
	s := newService(t, &log)
	h := s.onExecutor("bad", func(http.ResponseWriter, *http.Request) (job, error) {
		return func(context.Context) (reply, error) { panic("secret") }, nil
	})
	w := ask(t.Context(), h, "GET", "/", nil)
	require.Equal(t, http.StatusInternalServerError, w.Code)
	require.NotContains(t, w.Body.String(), "secret")
	require.Contains(t, log.String(), "value=secret")
	require.Contains(t, log.String(), "handlers_test.go")

	failing := s.onExecutor("bad", func(http.ResponseWriter, *http.Request) (job, error) {
		return func(context.Context) (reply, error) { return reply{}, io.ErrUnexpectedEOF }, nil
	})
	require.Equal(t, http.StatusInternalServerError, ask(t.Context(), failing, "GET", "/", nil).Code)
	require.Contains(t, log.String(), io.ErrUnexpectedEOF.Error())
}
