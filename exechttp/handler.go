package exechttp

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/internal/anteroom"
)

// Option changes what Handler returns.
type Option func(*handler)

// WithWaiting bounds how many requests wait for a slot, of each lane; more are refused. With 0 none waits.
// Default: the executor's queue limit, or that of the lane.
func WithWaiting(n int) Option { return func(h *handler) { h.most = int64(n) } }

// WithContext sets what makes the context under which a request waits and runs, from the request, whose context it must
// be made from: to choose a lane or a tenant, name the task, or set a deadline for waiting.
// Default: the request's context.
//
//	exechttp.WithContext(func(r *http.Request) context.Context {
//		ctx := executor.WithTenant(r.Context(), r.Header.Get("Customer"))
//		if r.URL.Path == "/report" {
//			return executor.WithLane(ctx, "reports")
//		}
//		return ctx
//	})
func WithContext(of func(*http.Request) context.Context) Option {
	return func(h *handler) { h.context = of }
}

// WithRetryAfter sets what a refused client is told to wait, in whole seconds. Default: a second.
func WithRetryAfter(d time.Duration) Option { return func(h *handler) { h.retry = d } }

// WithRefusal sets what answers a request that is refused. Its header has Retry-After already; reason is
// executor.ErrQueueFull, executor.ErrOverloaded, executor.ErrClosed or the error of a context. If it is another one, the program
// has chosen a lane that there is not, and the header has no Retry-After. Default: a line of text with 503, or 500 then.
func WithRefusal(answer func(w http.ResponseWriter, r *http.Request, reason error)) Option {
	return func(h *handler) { h.refusal = answer }
}

type handler struct {
	e       *executor.Executor
	next    http.Handler
	context func(*http.Request) context.Context
	retry   time.Duration
	refusal func(http.ResponseWriter, *http.Request, error)

	most int64
	room *anteroom.Room
}

// Handler returns a handler that runs each request in next under e's Do, on the goroutine that net/http has for it, with the
// task's context as the request's. A request for which there is no slot waits its turn, until its context is done; one that
// may not wait, or that comes when e is closed or overloaded, is answered with 503 and Retry-After. Reads of the request's
// body and writes, flushes and hijacked connections of the answer lend the slot while they wait. A panic or Goexit in next
// reaches net/http as without it. Inside a task of e a request runs at once, as part of that task.
//
// An answer goes out when next returns, also after the end of its context. Where it must not wait for a handler that does not
// look at its context, put http.TimeoutHandler in front, which runs each request on one more goroutine and keeps the whole answer
// in memory first: nothing streams, and a late request has its slot until it returns.
//
// To bound bodies, put http.MaxBytesHandler around it: net/http closes the connection of a client that sends too much only
// where MaxBytesReader is given the server's own ResponseWriter.
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
	h.room = anteroom.New(e, h.most)
	return h
}

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	if h.context != nil {
		ctx = h.context(r)
	}
	began, err := h.room.Do(ctx, func(ctx context.Context) error {
		h.serve(w, r, ctx)
		return nil
	})
	if began {
		return
	}
	header, code := w.Header(), http.StatusInternalServerError
	if h.room.Knows(ctx) { // else it is a mistake of the program, and to try again does not help
		code = http.StatusServiceUnavailable
		header.Set("Retry-After", strconv.Itoa(int((h.retry+time.Second-1)/time.Second)))
	}
	if err == executor.ErrClosed { // itself: the cause of a context may match anything
		header.Set("Connection", "close") // another process is better
	}
	if h.refusal != nil {
		h.refusal(w, r, err)
		return
	}
	http.Error(w, http.StatusText(code), code)
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
