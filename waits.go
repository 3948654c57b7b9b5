package executor

import (
	"context"
	"errors"
	"runtime/pprof"
	"sync"
)

// Waits ready-made: for a channel, a sync.WaitGroup, a lock. Each tries first, where it can, and lends the task's slot only
// if it has to wait. They are kind to pipelines: the slot goes at once to whoever is queued, who may be the one that is
// waited for, and never waits for a tick of the keeper, as that of a short Blocking does.

var (
	errNilWaitGroup = errors.New("executor: nil WaitGroup")
	errNilLocker    = errors.New("executor: nil Locker")
)

// Receive receives from ch, as <-ch does: ok is false when ch is closed and empty. If nothing is there, it waits with the
// task's slot lent, and returns ctx's error if ctx is done first; then nothing was received. Outside of a task, and
// inside Blocking, it just waits. Cost: as much as a receive in a select if something is there, a hand-over of the
// slot if others wait for it.
func Receive[T any](ctx context.Context, ch <-chan T) (v T, ok bool, err error) {
	if ctx == nil {
		return v, false, errNilContext
	}
	select {
	case v, ok = <-ch:
		return v, ok, nil
	default:
	}
	done := ctx.Done()
	currentRunner(ctx).lendWhile(func() {
		select {
		case v, ok = <-ch:
		case <-done:
			err = errorOf(ctx)
		}
	})
	return v, ok, err
}

// Send sends v to ch. If nobody takes it and ch has no room, it waits with the task's slot lent, and returns ctx's error
// if ctx is done first; then v was not sent. Like ch <- v it panics if ch is closed.
func Send[T any](ctx context.Context, ch chan<- T, v T) error {
	if ctx == nil {
		return errNilContext
	}
	select {
	case ch <- v:
		return nil
	default:
	}
	done := ctx.Done()
	var err error
	currentRunner(ctx).lendWhile(func() {
		select {
		case ch <- v:
		case <-done:
			err = errorOf(ctx)
		}
	})
	return err
}

// WaitFor waits for wg with the task's slot lent, or until ctx is done, which is its error then. If ctx can end, the wait
// is a goroutine of its own, which belongs to no executor: when ctx ends first, it stays until wg is done, and wg must
// not be used again before that.
func WaitFor(ctx context.Context, wg *sync.WaitGroup) error {
	switch {
	case ctx == nil:
		return errNilContext
	case wg == nil:
		return errNilWaitGroup
	}
	r := currentRunner(ctx)
	if ctx.Done() == nil {
		r.lendWhile(wg.Wait)
		return nil
	}
	gone := make(chan struct{})
	go func() {
		pprof.SetGoroutineLabels(context.Background())
		wg.Wait()
		close(gone)
	}()
	_, err := r.await(ctx, gone, nil)
	return err
}

// Lock locks l. It calls TryLock first, if l has that (sync.Mutex does), and otherwise Lock with the task's slot lent. It is
// for locks that may be held for long; one that is held for less than a few microseconds needs no lending.
func Lock(ctx context.Context, l sync.Locker) {
	if ctx == nil {
		panic(errNilContext)
	}
	if l == nil {
		panic(errNilLocker)
	}
	if t, ok := l.(interface{ TryLock() bool }); ok && t.TryLock() {
		return
	}
	currentRunner(ctx).lendWhile(l.Lock)
}
