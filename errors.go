package executor

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"unsafe"

	"github.com/seed-97bda89a/executor/internal/goid"
)

var (
	// ErrClosed is returned for work that arrives after Shutdown or Close began, and is the
	// error of tasks that Close dropped before they started.
	ErrClosed error = &sentinel{"executor: closed", "closed"}

	// ErrQueueFull is returned by TryGo and TrySubmit at the queue limit, and by Go inside a task
	// when even twice the limit is queued.
	ErrQueueFull error = &sentinel{"executor: queue full", "queue_full"}

	// ErrOverloaded is returned for work from outside that is refused early: see WithQueueDelay. It matches ErrQueueFull
	// under errors.Is.
	ErrOverloaded error = &sentinel{"executor: overloaded", "overloaded"}

	// ErrGoexit is the error of a task that ended by runtime.Goexit (or testing's FailNow).
	ErrGoexit error = &sentinel{"executor: task called runtime.Goexit", "goexit"}

	// ErrInTask is returned by Shutdown, Close and Quiesce when a task of the same executor calls
	// them: they wait for that very task.
	ErrInTask error = &sentinel{"executor: called from a task of the same executor", "in_task"}

	// ErrSelfWait is returned to a task that waits for itself: by Future.Wait and Group.Wait when the waiting task is what
	// they wait for, also where it runs in place on the stack of another task; and inside a task of a Serial, or of a key,
	// by whatever waits for another task of it or for room in it.
	ErrSelfWait error = &sentinel{"executor: a task waits for itself", "self_wait"}
)

// errBubble is the panic of a call that would have to wait, or be waited for, across the border of a bubble.
func errBubble(e *Executor, call string) error {
	return fmt.Errorf("executor: %s: the executor %q was not made in the testing/synctest bubble that this call comes from, "+
		"and nobody can wait or be woken across its border: make the executor inside the bubble", call, e.name)
}

// errBulkheadBorder is the same for a Bulkhead.
func errBulkheadBorder(b *Bulkhead) error {
	return fmt.Errorf("executor: Bulkhead.Blocking: calls of the Bulkhead %q on both sides of the border of a testing/synctest bubble would have to wait for "+
		"each other, and nobody can be woken across it: make a Bulkhead inside the bubble", b.name)
}

// Who asks, so that it comes to that and not to the end of the process.

// stranger reports whether the calling goroutine is in another bubble of testing/synctest than e, or only one of the
// two is in one. r is the caller's runner, of whatever executor, or nil: then it takes some 40 ns the first time. A goroutine
// never changes its bubble, and its number is never used again, so e remembers a few who were asked before.
func (e *Executor) stranger(r *runner) bool {
	if r != nil {
		return r.e.bubble != e.bubble
	}
	id := goid.Fast()
	known := &e.known[uint64(id)%uint64(len(e.known))]
	if id != 0 && known.Load() == id {
		return false
	}
	if goid.Bubble() != e.bubble {
		return true
	}
	known.Store(id)
	return false
}

// bubble returns the bubble that the calling goroutine is in, or 0. r is the caller's runner, or nil.
func (r *runner) bubble() uint64 {
	if r != nil {
		return r.e.bubble
	}
	return goid.Bubble()
}

// meet is called before the caller waits for e, or leaves something for e to wake it by. A channel that one of the
// two makes, and the other uses, ends the process if they are not in the same bubble. So meet panics instead.
func (e *Executor) meet(r *runner, call string) {
	if e.stranger(r) {
		panic(errBubble(e, call))
	}
}

// meetInside is meet for a call that may wake somebody of e, and waits for nobody. From a bubble to an executor outside that
// works. The other way round it ends the process, so an executor in a bubble lets nobody in; after its end nobody is left.
func (e *Executor) meetInside(r *runner, call string) {
	if e.bubble != 0 && e.word.Load()&ended == 0 {
		e.meet(r, call)
	}
}

// meetContext is meet for the submission of a task with that parent. One that never ends wakes nobody. r is the
// caller's runner if it is one of e, else nil.
func (e *Executor) meetContext(r *runner, parent context.Context) {
	if r != nil {
		return
	}
	if e.meetInside(nil, "a task"); sameContext(parent, background) {
		return
	}
	if o := e.inject.recent.Load(); o != nil && sameContext(o.parent, parent) {
		return
	}
	if e.stranger(nil) && parent.Done() != nil {
		panic(errBubble(e, "a task whose context can end"))
	}
}

// sentinel is an error that there is only one of. OpenTelemetry finds its kind by ErrorType.
type sentinel struct{ text, kind string }

func (s *sentinel) Error() string     { return s.text }
func (s *sentinel) ErrorType() string { return s.kind }

// Is makes ErrOverloaded a kind of ErrQueueFull.
func (s *sentinel) Is(target error) bool {
	return sameError(target, ErrQueueFull) && s.kind == "overloaded"
}

// PanicError is how a panic in a task reaches whoever waits for the task. It is never wrapped in
// another PanicError on its way through nested tasks.
type PanicError struct {
	Value any    // what was passed to panic
	Stack []byte // the stack of the goroutine that panicked, from inside the panic
	noted uint32 // it is among the executor's events; atomic
}

// first reports whether nobody has noted the panic yet: it may pass through many joins.
func (p *PanicError) first() bool { return atomic.CompareAndSwapUint32(&p.noted, 0, 1) }

// Error returns one line: the panic value, and the function and line that panicked. The stack is in Stack; %+v of a
// PanicError prints both.
func (p *PanicError) Error() string {
	if p == nil {
		return "executor: a nil *PanicError"
	}
	text := "executor: task panicked: " + strings.Join(strings.Fields(fmt.Sprint(p.Value)), " ")
	if where := siteOf(string(p.Stack)); where != "" {
		text += " (" + where + ")"
	}
	return text
}

// Format prints the error as fmt does, and with %+v the stack after it.
func (p *PanicError) Format(s fmt.State, verb rune) {
	text := p.Error()
	if p != nil && verb == 'v' && s.Flag('+') {
		text += "\n\n" + string(p.Stack)
	}
	type plain string // which has no methods
	before, after, _ := strings.Cut(fmt.FormatString(s, verb), "+")
	_, _ = fmt.Fprintf(s, before+after, plain(text))
}

// siteOf returns the function and the line of a stack that panicked, or "". A panic that went on through a
// deferred function of this package is on the stack twice, and the lower one counts.
func siteOf(stack string) string {
	_, stack, found := strings.Cut(stack, "\npanic(")
	for found {
		lines := strings.Split(stack, "\n")[1:] // the line of panic itself, then two for each frame
		for len(lines) > 2 && strings.HasPrefix(lines[1], "runtime.") {
			lines = lines[2:]
		}
		if len(lines) < 3 {
			return ""
		}
		name, line := lines[1], strings.TrimSpace(lines[2])
		if !strings.Contains(name, "executor.(*probe).end(") {
			if i := strings.LastIndexByte(name, '('); i > 0 {
				name = name[:i]
			}
			line, _, _ = strings.Cut(line, " +0x")
			return name[strings.LastIndexByte(name, '/')+1:] + " at " + line[strings.LastIndexByte(line, '/')+1:]
		}
		_, stack, found = strings.Cut(stack, "\npanic(")
	}
	return ""
}

// Unwrap returns the panic value if it is an error.
func (p *PanicError) Unwrap() error {
	if p == nil {
		return nil
	}
	err, _ := p.Value.(error)
	return err
}

// ErrorType returns "panic", the attribute error.type in OpenTelemetry.
func (p *PanicError) ErrorType() string { return "panic" }

// asPanicError wraps what recover returned. It is called while the panicking stack still stands.
func asPanicError(value any) *PanicError {
	if p, ok := value.(*PanicError); ok && p != nil {
		return p
	}
	return &PanicError{Value: value, Stack: debug.Stack()}
}

// contextError is the error of a done context: it is both ctx.Err() and context.Cause(ctx), which may be nil.
type contextError struct{ err, cause error }

func (c *contextError) Error() string {
	if c.cause == nil {
		return c.err.Error()
	}
	return fmt.Sprintf("%v: %v", c.err, c.cause)
}

func (c *contextError) Unwrap() []error {
	if c.cause == nil {
		return []error{c.err}
	}
	return []error{c.err, c.cause}
}

// errorOf returns the error of a context that is done, matching both Err and Cause. It is never nil, also where
// the context says no error, and never one of this package's own errors, whatever a context of a kind of its own
// returns: so whoever gets an error tells by == whether it was the executor that refused.
func errorOf(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if err == nil {
		err = context.Canceled
	}
	if sameError(cause, err) {
		cause = nil
	}
	if cause == nil && (sameError(err, context.Canceled) || sameError(err, context.DeadlineExceeded)) {
		return err
	}
	return &contextError{err, cause}
}

// expired reports whether err is that of a context whose deadline was over. A cause does not count: it may carry
// somebody else's deadline.
func expired(err error) bool {
	if c, ok := err.(*contextError); ok {
		err = c.err
	}
	return sameError(err, context.DeadlineExceeded)
}

// sameError reports whether a and b are the same value, word for word. Unlike == it can not panic on errors of an
// incomparable type.
func sameError(a, b error) bool {
	return *(*[2]uintptr)(unsafe.Pointer(&a)) == *(*[2]uintptr)(unsafe.Pointer(&b))
}

var (
	errNilContext   = errors.New("executor: nil context")
	errNilFunc      = errors.New("executor: nil function")
	errNilExecutor  = errors.New("executor: nil Executor")
	errNilFuture    = errors.New("executor: nil Future")
	errNilGroup     = errors.New("executor: nil Group")
	errZeroExecutor = errors.New("executor: Executor not made by New")
	errZeroGroup    = errors.New("executor: Group not made by NewGroup")
	errNilBulkhead  = errors.New("executor: nil Bulkhead")
	errZeroFuture   = errors.New("executor: Future not made by Submit")
	errZeroBulkhead = errors.New("executor: Bulkhead not made by NewBulkhead")
)
