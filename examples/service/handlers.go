package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/exechttp"
)

const (
	largestBody = 1 << 20
	// statusClientGone is what proxies log for a client that did not wait for its answer.
	statusClientGone = 499
)

// service answers requests. Its methods may be called by many at once.
type service struct {
	exec    *executor.Executor
	native  *executor.Bulkhead // calls into C
	bodies  bodies             // those that are being sent
	timeout time.Duration
	log     *slog.Logger

	accepted, answered atomic.Int64 // requests
}

func (s *service) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /thumbnail", s.thumbnail)
	mux.HandleFunc("POST /hash", s.hash)
	return mux
}

// onExecutor returns a handler that runs each request in mux as a task, named after its route, with a context that ends
// with the client or with the time for a request. When that is over, a request that waits for its slot is refused; one that
// runs ends when it looks at its context, and its answer goes out then. README.md says what else can be done about it.
func (s *service) onExecutor(mux *http.ServeMux) http.Handler {
	tasks := exechttp.Handler(s.exec, mux, exechttp.WithRefusal(s.fail), exechttp.WithContext(func(r *http.Request) context.Context {
		_, pattern := mux.Handler(r)
		_, route, _ := strings.Cut(pattern, " ")
		return executor.WithTaskName(r.Context(), route)
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.accepted.Add(1)
		defer s.answered.Add(1)
		ctx, cancel := context.WithTimeout(r.Context(), s.timeout)
		defer cancel()
		inner := r.WithContext(ctx)
		inner.Body = http.MaxBytesReader(w, r.Body, largestBody)
		defer func() {
			r.Pattern = inner.Pattern // for metrics and spans of requests
			if value := recover(); value != nil {
				s.panicked(w, r, value)
			}
		}()
		tasks.ServeHTTP(w, inner)
	})
}

// panicked answers a request that panicked. The deferred function that calls it has the stack of the panic below it.
func (s *service) panicked(w http.ResponseWriter, r *http.Request, value any) {
	if value == http.ErrAbortHandler { // meant for net/http
		panic(value)
	}
	s.log.Error("panic", "route", r.Pattern, "value", fmt.Sprint(value), "stack", string(debug.Stack()))
	http.Error(w, "internal error", http.StatusInternalServerError)
}

// fail answers a request that was refused, or came to nothing. Being full or late is not an error of the service, so it is
// not logged: the metrics have it.
func (s *service) fail(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, executor.ErrQueueFull), errors.Is(err, executor.ErrClosed):
		busy(w, "busy")
	case errors.Is(err, context.DeadlineExceeded):
		busy(w, "too slow")
	case errors.Is(err, context.Canceled):
		w.WriteHeader(statusClientGone)
	default:
		s.log.Error("request failed", "route", r.Pattern, "error", err)
		http.Error(w, "internal error", http.StatusInternalServerError)
	}
}

// busy sends a client away for a second: the queue is worth less than that.
func busy(w http.ResponseWriter, why string) {
	w.Header().Set("Retry-After", "1")
	http.Error(w, why, http.StatusServiceUnavailable)
}

// thumbnail answers with a small picture.
func (s *service) thumbnail(w http.ResponseWriter, r *http.Request) {
	seed, width, err := parseThumbnail(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	picture, err := s.picture(r.Context(), seed, width)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "image/png")
	w.Header().Set("Content-Length", strconv.Itoa(len(picture)))
	_, _ = w.Write(picture) // a client that went away is no error of ours
}

// parseThumbnail takes a picture's number and width from the query.
func parseThumbnail(query url.Values) (seed uint64, width int, err error) {
	seed, width = 1, 160
	if text := query.Get("seed"); text != "" {
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			return 0, 0, fmt.Errorf("seed=%q: must be a number, at least 0", text)
		}
	}
	if text := query.Get("width"); text != "" {
		if width, err = strconv.Atoi(text); err != nil || width < 1 || width > paintWidth {
			return 0, 0, fmt.Errorf("width=%q: must be 1 to %d", text, paintWidth)
		}
	}
	return seed, width, nil
}

// hash answers with the hash of the body, which it computes as the body comes. While it waits for more, others have the slot.
func (s *service) hash(w http.ResponseWriter, r *http.Request) {
	leave := s.bodies.enter(http.NewResponseController(w))
	sum := sha256.New()
	_, err := io.Copy(sum, r.Body)
	leave()
	if err != nil {
		status := http.StatusBadRequest
		if large := (*http.MaxBytesError)(nil); errors.As(err, &large) {
			status = http.StatusRequestEntityTooLarge
		}
		http.Error(w, "the body: "+err.Error(), status)
		return
	}
	_, _ = fmt.Fprintf(w, "%x\n", sum.Sum(nil))
}
