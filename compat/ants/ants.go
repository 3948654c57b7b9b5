// Package ants has the API of github.com/panjf2000/ants/v2, name for name and in every meaning, and runs tasks on an
// executor. Change the import; that is all.
//
// What one gets: a pool of n runs n tasks at once as before, on slots that the live page and the metrics show, and a task
// that waits in Submit or in another door lends its slot. Each pool owns an executor, which Release ends; WithExecutor
// shares one instead, and Executor leads to it. The functions of the package run on what Use has bound, else on goroutines.
// What is next: [executor.Executor.Go] on a shared executor, where tasks get a context and nothing has to be sized.
package ants

import (
	"context"
	"errors"
	"log"
	"math"
	"os"
	"sync"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/internal/door"
)

const (
	// DefaultAntsPoolSize is the size of the pool behind the functions of the package.
	DefaultAntsPoolSize = math.MaxInt32

	// DefaultCleanIntervalTime is how long a worker stays idle before it is gone, unless an option says otherwise.
	DefaultCleanIntervalTime = time.Second
)

// The states of a pool.
const (
	OPENED = iota
	CLOSED
)

var (
	// ErrLackPoolFunc is returned for a pool without its function.
	ErrLackPoolFunc = errors.New("must provide function for pool")

	// ErrInvalidPoolExpiry is returned for a negative ExpiryDuration.
	ErrInvalidPoolExpiry = errors.New("invalid expiry for pool")

	// ErrPoolClosed is returned by calls on a pool that was released.
	ErrPoolClosed = errors.New("this pool has been closed")

	// ErrPoolOverload is returned where Submit would have to wait and may not.
	ErrPoolOverload = errors.New("too many goroutines blocked on submit or Nonblocking is set")

	// ErrInvalidPreAllocSize is returned for PreAlloc without a size.
	ErrInvalidPreAllocSize = errors.New("can not set up a negative capacity under PreAlloc mode")

	// ErrTimeout is returned by ReleaseTimeout when tasks still run.
	ErrTimeout = errors.New("operation timed out")

	// ErrInvalidPoolIndex is returned for an index that a multi pool has no pool for.
	ErrInvalidPoolIndex = errors.New("invalid pool index")

	// ErrInvalidLoadBalancingStrategy is returned for a strategy that there is not.
	ErrInvalidLoadBalancingStrategy = errors.New("invalid load-balancing strategy")

	// ErrInvalidMultiPoolSize is returned for a multi pool without pools.
	ErrInvalidMultiPoolSize = errors.New("invalid size for multiple pool")
)

// Logger gets a line for each panic that no PanicHandler gets.
type Logger interface {
	Printf(format string, args ...any)
}

var registry door.Registry

// Use makes the functions of the package run on e, from now on, and returns a function that binds what was bound before.
// Nil binds nothing. Pools are made with WithExecutor instead.
func Use(e *executor.Executor) (restore func()) { return registry.Use(e) }

// Unbound returns how many tasks of all pools ran as plain goroutines: those of the functions of the package while
// nothing was bound, and those for which an executor had no slot.
func Unbound() uint64 { return registry.Unbound() }

// defaultPool is the pool of the functions of the package, made when the first of them is called.
var defaultPool = sync.OnceValue(func() *Pool {
	p := &Pool{newCommon(DefaultAntsPoolSize, &Options{ExpiryDuration: DefaultCleanIntervalTime, Logger: stderr()})}
	return p
})

func stderr() Logger {
	return log.New(os.Stderr, "[ants]: ", log.LstdFlags|log.Lmsgprefix|log.Lmicroseconds)
}

// Submit runs task in the pool of the package.
func Submit(task func()) error { return defaultPool().Submit(task) }

// Running returns how many workers the pool of the package has.
func Running() int { return defaultPool().Running() }

// Cap returns the size of the pool of the package.
func Cap() int { return defaultPool().Cap() }

// Free returns how many more workers the pool of the package may have.
func Free() int { return defaultPool().Free() }

// Release closes the pool of the package.
func Release() { defaultPool().Release() }

// ReleaseTimeout closes the pool of the package and waits for its tasks, for that long.
func ReleaseTimeout(timeout time.Duration) error { return defaultPool().ReleaseTimeout(timeout) }

// ReleaseContext closes the pool of the package and waits for its tasks, until ctx is done.
func ReleaseContext(ctx context.Context) error { return defaultPool().ReleaseContext(ctx) }

// Reboot opens the pool of the package again.
func Reboot() { defaultPool().Reboot() }
