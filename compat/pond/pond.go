// Package pond has the API of github.com/alitto/pond/v2, name for name and in every meaning, and runs tasks on an
// executor. Change the import; that is all.
//
// What one gets: a pool of n runs n tasks at once as before, on slots that the live page and the metrics show, and a task
// that waits for another lends its slot. Each pool owns an executor, from its first task until Stop; WithExecutor shares
// one instead, and Executor leads to it. The functions of the package run on what Use has bound, else on goroutines.
// What is next: [executor.Submit] and [executor.Group] on a shared executor, whose queue has a bound and whose tasks get
// a context.
package pond

import (
	"context"
	"errors"
	"math"
	"sync"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/internal/door"
)

const (
	// Unbounded is the size of a queue without a bound.
	Unbounded = math.MaxInt

	// DefaultQueueSize is the size of a pool's queue unless WithQueueSize says otherwise.
	DefaultQueueSize = Unbounded

	// DefaultNonBlocking says what a pool does at a full queue unless WithNonBlocking says otherwise: wait.
	DefaultNonBlocking = false

	// LinkedBufferInitialSize means nothing here: the queue is a ring.
	LinkedBufferInitialSize = 1024

	// LinkedBufferMaxCapacity means nothing here: the queue is a ring.
	LinkedBufferMaxCapacity = 100 * 1024
)

var (
	// ErrQueueFull is the error of a task that found the queue full and could not wait.
	ErrQueueFull = errors.New("queue is full")

	// ErrQueueEmpty is never returned.
	ErrQueueEmpty = errors.New("queue is empty")

	// ErrPoolStopped is the error of a task that came after Stop, and the cause of the pool's context after it.
	ErrPoolStopped = errors.New("pool stopped")

	// ErrMaxConcurrencyReached is never returned.
	ErrMaxConcurrencyReached = errors.New("max concurrency reached")

	// ErrGroupStopped is the error of a group after its Stop.
	ErrGroupStopped = errors.New("task group stopped")

	// ErrPanic is the error of a task that panicked; it wraps the value too, if that is an error.
	ErrPanic = errors.New("task panicked")

	// ErrContextCanceled is the error of a task that did not start because its context was done.
	ErrContextCanceled = errors.New("context canceled")
)

var registry door.Registry

// Use makes the functions of the package run on e, from now on, and returns a function that binds what was bound before.
// Nil binds nothing. Pools are made with WithExecutor instead.
func Use(e *executor.Executor) (restore func()) { return registry.Use(e) }

// Unbound returns how many workers of all pools ran as plain goroutines: those of the functions of the package while
// nothing was bound, and those for which an executor had no slot.
func Unbound() uint64 { return registry.Unbound() }

// Executor returns the executor that a pool's tasks run on, or nil if that is none. It makes it if the pool had no task yet.
func Executor(p BasePool) *executor.Executor {
	if p, ok := p.(interface{ Executor() *executor.Executor }); ok {
		return p.Executor()
	}
	return nil
}

// defaultPool is the pool of the functions of the package, made when the first of them is called.
var defaultPool = sync.OnceValue(func() *pool {
	p := newPool(0, nil)
	p.public = true
	return p
})

// Submit runs task in the pool of the package.
func Submit(task func()) Task { return defaultPool().Submit(task) }

// SubmitErr runs task in the pool of the package.
func SubmitErr(task func() error) Task { return defaultPool().SubmitErr(task) }

// NewGroup returns a group of tasks in the pool of the package.
func NewGroup() TaskGroup { return defaultPool().NewGroup() }

// NewSubpool returns a pool that shares the workers of the pool of the package.
func NewSubpool(maxConcurrency int) Pool { return defaultPool().NewSubpool(maxConcurrency) }

// Option changes a pool that is being made.
type Option func(*pool)

// WithExecutor makes the pool run its tasks on e, which it shares with others and which outlives it, instead of an
// executor of its own. The pool still runs as many tasks at once as its size says: one that e has not started 10 ms after
// the last gets a goroutine. A subpool runs where its parent does.
func WithExecutor(e *executor.Executor) Option { return func(p *pool) { p.shared = e } }

// WithContext sets the context of the pool. When it is done the pool is stopped, and tasks do not start any more, but for
// those of Go.
func WithContext(ctx context.Context) Option { return func(p *pool) { p.ctx = ctx } }

// WithQueueSize bounds how many tasks wait for a worker. With 0 none does: a submission waits for a worker.
func WithQueueSize(size int) Option { return func(p *pool) { p.queueSize = size } }

// WithNonBlocking makes submissions fail at a full queue instead of wait.
func WithNonBlocking(nonBlocking bool) Option { return func(p *pool) { p.nonBlocking = nonBlocking } }

// WithoutPanicRecovery makes a panic in a task end the process instead of become the task's error.
func WithoutPanicRecovery() Option { return func(p *pool) { p.panicRecovery = false } }
