package door

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"sync/atomic"

	"github.com/seed-97bda89a/executor"
)

// Home is where a pool's jobs run: an executor of its own, or one that it shares and that outlives it.
type Home struct {
	desk  *Desk
	own   bool
	lost  runtime.Cleanup // ends the own executor when the pool is lost; the zero value in a bubble
	ended chan struct{}   // closed when the pool has no part in the executor any more
}

// NewHome returns a home for a pool of that size, 0 or less if it has no limit. Without a shared executor it makes
// one, with the given name, which ends with End, or when nobody can reach owner any more.
//
// A pool's own executor has as many slots as the pool has places, but only as many as make sense for the processors:
// slots cost memory and a look each. What comes beyond them gets a goroutine at once, for a pool of n runs n at once.
func NewHome[T any](owner *T, name string, size int, shared *executor.Executor, strays *atomic.Uint64) *Home {
	h := &Home{ended: make(chan struct{})}
	if shared != nil {
		h.desk = New(shared, true, 0, strays)
		return h
	}
	slots := slotsFor(size)
	e, err := executor.New(executor.WithName(name), executor.WithSlots(slots))
	if err != nil {
		panic(fmt.Errorf("%s: %w", name, err)) // none of the options can be wrong
	}
	h.own = true
	h.desk = New(e, true, slots, strays)
	if !inBubble() { // clean-ups run outside of it, where nothing of it may be touched
		h.lost = runtime.AddCleanup(owner, func(e *executor.Executor) { go func() { _ = e.Close() }() }, e)
	}
	return h
}

// inBubble reports whether the caller is in a bubble of testing/synctest, which the header of its stack says.
func inBubble() bool {
	var header [128]byte
	line, _, _ := bytes.Cut(header[:runtime.Stack(header[:], false)], []byte("\n"))
	return bytes.Contains(line, []byte("synctest bubble"))
}

// slotsFor returns how many slots a pool's own executor has.
func slotsFor(size int) int {
	most := 8 * runtime.GOMAXPROCS(0)
	if size <= 0 {
		return most
	}
	return min(size, most)
}

// Executor returns the executor.
func (h *Home) Executor() *executor.Executor { return h.desk.e }

// Start takes a job. It never waits.
func (h *Home) Start(j Job) { h.desk.Start(j) }

// Resize follows the pool's size.
func (h *Home) Resize(size int) {
	if !h.own {
		return
	}
	slots := slotsFor(size)
	if h.desk.e.Resize(slots) == nil {
		h.desk.SetRoom(slots)
	}
}

// End ends the pool's own executor, when done is closed and all jobs have ended. It does not wait for that.
func (h *Home) End(done <-chan struct{}) {
	h.lost.Stop()
	go func() {
		<-done
		if h.own {
			_ = h.desk.e.Shutdown(context.Background())
		}
		close(h.ended)
	}()
}

// Ended is closed when what End began is over.
func (h *Home) Ended() <-chan struct{} { return h.ended }
