package exechttp

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/seed-97bda89a/executor"
)

// Option changes what Handler returns.
type Option func(*handler)

// WithWaiting bounds how many requests wait for a slot; more are refused. With 0 none waits.
// Default: the executor's queue limit.
func WithWaiting(n int) Option { return func(h *handler) { h.most = int64(n) } }

// WithContext sets what makes the context under which a request waits and runs, from the request, whose context it must
// be made from: to choose a lane or a tenant, name the task, or set a deadline for waiting.
// Default: the request's context.
func WithContext(of func(*http.Request) context.Context) Option {
	return func(h *handler) { h.context = of }
}

// WithRetryAfter sets what a refused client is told to wait, in whole seconds. Default: a second.
func WithRetryAfter(d time.Duration) Option { return func(h *handler) { h.retry = d } }

// WithRefusal sets what answers a request that is refused. Its header has Retry-After already; reason is
// executor.ErrQueueFull, executor.ErrOverloaded, executor.ErrClosed or the error of a context. Default: a line of text
// with 503.
func WithRefusal(answer func(w http.ResponseWriter, r *http.Request, reason error)) Option {
	return func(h *handler) { h.refusal = answer }
}

type handler struct {
	e       *executor.Executor
	next    http.Handler
	context func(*http.Request) context.Context
	retry   time.Duration
	refusal func(http.ResponseWriter, *http.Request, error)

	most    int64
	waiting atomic.Int64
}

// Handler returns a handler that runs each request in next under e's Do, on the goroutine that net/http has for it, with the
// task's context as the request's. A request for which there is no slot waits its turn, until its context is done; one that
// may not wait, or that comes when e is closed or overloaded, is answered with 503 and Retry-After. Reads of the request's
// body and writes, flushes and hijacked connections of the answer lend the slot while they wait. A panic or Goexit in next
// reaches net/http as without it. Inside a task of e a request runs at once, as part of that task.
//
// It panics if e or next is nil.
func Handler(e *executor.Executor, next http.Handler, opts ...Option) http.Handler {
	if e == nil || next == nil {
		panic(errors.New("exechttp: Handler: nil Executor or nil Handler"))
	}
	h := &handler{e: e, next: next, retry: time.Second, most: -1}
	for _, opt := range opts {
		opt(h)
	}
	if h.most < 0 {
		h.most = int64(e.Stats().QueueLimit)
	}
	if h.refusal == nil {
		h.refusal = func(w http.ResponseWriter, _ *http.Request, _ error) {
			http.Error(w, http.StatusText(http.StatusServiceUnavailable), http.StatusServiceUnavailable)
		}
	}
	return h
}

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	if h.context != nil {
		ctx = h.context(r)
	}
	began, err := h.run(ctx, func(ctx context.Context) { h.serve(w, r, ctx) })
	if began {
		return
	}
	header := w.Header()
	header.Set("Retry-After", strconv.Itoa(int((h.retry+time.Second-1)/time.Second)))
	if err == executor.ErrClosed { // itself: the cause of a context may match anything
		header.Set("Connection", "close") // another process is better
	}
	h.refusal(w, r, err)
}

// serve runs a request in a task.
func (h *handler) serve(w http.ResponseWriter, r *http.Request, ctx context.Context) {
	inner := r.WithContext(ctx)
	if r.Body != nil && r.Body != http.NoBody {
		inner.Body = waiting(r.Body, always)
	}
	defer func() {
		// net/http removes the files of a form that it finds in its own request, and others log the pattern.
		r.Form, r.PostForm, r.MultipartForm, r.Pattern = inner.Form, inner.PostForm, inner.MultipartForm, inner.Pattern
	}()
	h.next.ServeHTTP(waitingWriter(w), inner)
}

// run runs fn under Do. It reports whether fn began; if not, err says why.
func (h *handler) run(ctx context.Context, fn func(context.Context)) (began bool, err error) {
	do := h.e.Do
	if h.waiting.Add(1) > h.most {
		do = h.e.TryDo
	}
	waits := func() { h.waiting.Add(-1) }
	defer func() {
		if !began {
			waits()
		}
	}()
	err = do(ctx, func(ctx context.Context) error {
		began = true
		waits()
		fn(ctx)
		return nil
	})
	return began, err
}
