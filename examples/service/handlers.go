package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/seed-97bda89a/executor"
)

const (
	largestBody = 1 << 20
	// retryAfter is when to come back, in seconds: the queue is worth less than that.
	retryAfter = "1"
	// statusClientGone is what proxies log for a client that did not wait for its answer.
	statusClientGone = 499
)

// service answers requests. Its methods may be called by many at once.
type service struct {
	exec     *executor.Executor
	native   *executor.Bulkhead // calls into C
	requests int64              // in progress at most, once they are there: each holds a body
	bodies   bodies             // those that are still being sent
	timeout  time.Duration
	log      *slog.Logger

	accepted, answered atomic.Int64 // requests
	working            atomic.Int64 // those that are there, and not answered
}

// job is the part of a request that computes. It runs in a task, with a context that ends with the request.
type job func(ctx context.Context) (reply, error)

type reply struct {
	contentType string
	body        []byte
}

func (s *service) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /thumbnail", s.onExecutor("thumbnail", s.prepareThumbnail))
	mux.HandleFunc("POST /hash", s.onExecutor("hash", s.prepareHash))
	return mux
}

// onExecutor makes a handler of a function that looks at a request and returns what there is to compute. That
// function waits for the client and holds no slot; an error of it is the client's.
func (s *service) onExecutor(name string, prepare func(http.ResponseWriter, *http.Request) (job, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.accepted.Add(1)
		defer s.answered.Add(1)
		work, err := prepare(w, r)
		if err != nil {
			refuse(w, err)
			return
		}
		defer s.working.Add(-1)
		if s.working.Add(1) > s.requests {
			busy(w, "busy")
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), s.timeout)
		defer cancel()
		answer, err := s.run(executor.WithTaskName(ctx, name), work)
		if err != nil {
			s.fail(w, r, name, err)
			return
		}
		w.Header().Set("Content-Type", answer.contentType)
		w.Header().Set("Content-Length", strconv.Itoa(len(answer.body)))
		_, _ = w.Write(answer.body) // a client that went away is no error of ours
	}
}

// run computes on the executor, or says at once that there is no room. When ctx ends it returns; the task is
// dropped if it has not started, and else sees its context done.
func (s *service) run(ctx context.Context, work job) (reply, error) {
	future, err := executor.TrySubmit(ctx, s.exec, work)
	if err != nil {
		return reply{}, err
	}
	return future.Wait(ctx)
}

// refuse answers a request that makes no sense.
func refuse(w http.ResponseWriter, err error) {
	status := http.StatusBadRequest
	if large := (*http.MaxBytesError)(nil); errors.As(err, &large) {
		status = http.StatusRequestEntityTooLarge
	}
	http.Error(w, err.Error(), status)
}

// busy sends a client away for a while.
func busy(w http.ResponseWriter, why string) {
	w.Header().Set("Retry-After", retryAfter)
	http.Error(w, why, http.StatusServiceUnavailable)
}

// fail answers a request that came to nothing. Being full is not an error of the service, so it is not logged:
// the metrics have it.
func (s *service) fail(w http.ResponseWriter, r *http.Request, name string, err error) {
	var panicked *executor.PanicError
	switch {
	case errors.Is(err, executor.ErrQueueFull), errors.Is(err, executor.ErrClosed):
		busy(w, "busy")
	case r.Context().Err() != nil:
		w.WriteHeader(statusClientGone)
	case errors.Is(err, context.DeadlineExceeded):
		busy(w, "too slow")
	case errors.As(err, &panicked):
		s.log.Error("panic", "handler", name, "value", fmt.Sprint(panicked.Value), "stack", string(panicked.Stack))
		http.Error(w, "internal error", http.StatusInternalServerError)
	default:
		s.log.Error("request failed", "handler", name, "error", err)
		http.Error(w, "internal error", http.StatusInternalServerError)
	}
}

// prepareThumbnail takes a picture's number and width from the query.
func (s *service) prepareThumbnail(_ http.ResponseWriter, r *http.Request) (job, error) {
	seed, width := uint64(1), 160
	query := r.URL.Query()
	if text := query.Get("seed"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("seed=%q: must be a number, at least 0", text)
		}
		seed = n
	}
	if text := query.Get("width"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > paintWidth {
			return nil, fmt.Errorf("width=%q: must be 1 to %d", text, paintWidth)
		}
		width = n
	}
	return func(ctx context.Context) (reply, error) {
		body, err := s.thumbnail(ctx, seed, width)
		return reply{"image/png", body}, err
	}, nil
}

// prepareHash reads the body, so that no slot waits for a slow client.
func (s *service) prepareHash(w http.ResponseWriter, r *http.Request) (job, error) {
	leave := s.bodies.enter(http.NewResponseController(w))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, largestBody))
	leave()
	if err != nil {
		return nil, fmt.Errorf("the body: %w", err)
	}
	return func(context.Context) (reply, error) {
		sum := sha256.Sum256(body)
		return reply{"text/plain; charset=utf-8", []byte(hex.EncodeToString(sum[:]) + "\n")}, nil
	}, nil
}
