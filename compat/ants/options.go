package ants

import (
	"time"

	"github.com/seed-97bda89a/executor"
)

// Option changes the Options of a pool that is being made.
type Option func(opts *Options)

// Options are what a pool can be told.
type Options struct {
	ExpiryDuration   time.Duration // how long a worker stays idle; it is gone after one to two times that. Default: a second
	PreAlloc         bool          // the size is fixed: Tune does nothing. Nothing is allocated beforehand
	MaxBlockingTasks int           // how many calls of Submit may wait; 0: any number
	Nonblocking      bool          // Submit never waits
	PanicHandler     func(any)     // gets the value of a panic; default: the Logger gets it with its stack
	Logger           Logger        // default: standard error
	DisablePurge     bool          // workers stay for ever

	executor *executor.Executor
}

// WithExecutor makes the pool run its tasks on e, which it shares with others and which outlives it, instead of an
// executor of its own. The pool still runs as many tasks at once as its size says: one that e has not started 10 ms after
// the last gets a goroutine.
func WithExecutor(e *executor.Executor) Option { return func(o *Options) { o.executor = e } }

// WithOptions sets all options at once, but for WithExecutor.
func WithOptions(options Options) Option {
	return func(o *Options) {
		e := o.executor
		*o = options
		if o.executor == nil {
			o.executor = e
		}
	}
}

// WithExpiryDuration sets ExpiryDuration.
func WithExpiryDuration(expiryDuration time.Duration) Option {
	return func(o *Options) { o.ExpiryDuration = expiryDuration }
}

// WithPreAlloc sets PreAlloc.
func WithPreAlloc(preAlloc bool) Option { return func(o *Options) { o.PreAlloc = preAlloc } }

// WithMaxBlockingTasks sets MaxBlockingTasks.
func WithMaxBlockingTasks(maxBlockingTasks int) Option {
	return func(o *Options) { o.MaxBlockingTasks = maxBlockingTasks }
}

// WithNonblocking sets Nonblocking.
func WithNonblocking(nonblocking bool) Option {
	return func(o *Options) { o.Nonblocking = nonblocking }
}

// WithPanicHandler sets PanicHandler.
func WithPanicHandler(panicHandler func(any)) Option {
	return func(o *Options) { o.PanicHandler = panicHandler }
}

// WithLogger sets Logger.
func WithLogger(logger Logger) Option { return func(o *Options) { o.Logger = logger } }

// WithDisablePurge sets DisablePurge.
func WithDisablePurge(disable bool) Option { return func(o *Options) { o.DisablePurge = disable } }
