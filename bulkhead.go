package executor

import (
	"context"
	"fmt"

	"golang.org/x/sync/semaphore"
)

// Bulkhead bounds how many calls of one kind are in progress at once, over all executors and goroutines
// of the process: cgo calls into one library, connections to one backend. Its methods may be called
// from any goroutine.
type Bulkhead struct {
	name  string
	calls *semaphore.Weighted
}

// NewBulkhead returns a Bulkhead for at most limit calls at once. The name is for people.
func NewBulkhead(name string, limit int) (*Bulkhead, error) {
	if name == "" {
		return nil, fmt.Errorf("executor: NewBulkhead(%q, %d): name must not be empty", name, limit)
	}
	if limit < 1 {
		return nil, fmt.Errorf("executor: NewBulkhead(%q, %d): limit must be at least 1", name, limit)
	}
	return &Bulkhead{name: name, calls: semaphore.NewWeighted(int64(limit))}, nil
}

// Blocking runs fn as the function Blocking does, when less than limit calls are in progress. Otherwise it
// waits, first come first served and with the task's slot lent; if ctx is done first it returns ctx's
// error and does not run fn. A nil result means that fn ran.
func (b *Bulkhead) Blocking(ctx context.Context, fn func()) error {
	switch {
	case b == nil:
		return errNilBulkhead
	case ctx == nil:
		return errNilContext
	case fn == nil:
		return errNilFunc
	case over(ctx):
		return errorOf(ctx)
	}
	var err error
	Blocking(ctx, func() {
		if !b.calls.TryAcquire(1) && b.calls.Acquire(sound(ctx), 1) != nil {
			err = errorOf(ctx)
			return
		}
		defer b.calls.Release(1)
		fn()
	})
	return err
}

// String returns the name.
func (b *Bulkhead) String() string { return b.name }
