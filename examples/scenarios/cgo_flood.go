package main

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-97bda89a/executor"
)

// A library in C has sixteen connections to a database. A query waits, in C, for a connection to be free, and then for
// the answer. Meanwhile the program has work of its own.
var cgoFlood = scenario{
	name: "cgo-flood",
	explain: "A goroutine for each call into C that blocks is a thread for each, and most of them only wait in C for their turn; " +
		"a Bulkhead lets in as many as the library can serve, in the same time, and the slots stay with other work.",
	before: cgoFloodBefore, beforeWith: "a goroutine for each call",
	after: cgoFloodAfter, afterWith: "slots, and a Bulkhead for the calls",
	unavailable: queryMissing,
}

const (
	cgoFloodThreads = "threads of the process"
	cgoFloodInC     = "calls in C at once"
	cgoFloodTook    = "time for all calls"
	cgoFloodWork    = "other work meanwhile"
	cgoFloodBusy    = "workers or slots busy with it"
)

const (
	cgoFloodCalls = 200
	cgoFloodUnit  = time.Millisecond      // of the other work
	cgoFloodCalm  = 50 * time.Millisecond // before the calls

	// Some calls wait in C, so that a connection has its next query before Go has heard of the end of the last one.
	cgoFloodLimit = connections + 8
)

// cgoFloodResult is what is measured, in a process of its own for the sake of the threads.
type cgoFloodResult struct {
	Threads, InC int
	Took         time.Duration
	Units        int64   // of other work
	Busy         float64 // workers or slots
}

func cgoFloodBefore(t *trial) (values, error) { return cgoFloodAsk(t, "cgo-flood before") }

func cgoFloodAfter(t *trial) (values, error) {
	// With a channel as semaphore in place of the executor a fifth less of the other work was done.
	t.remark("A call that blocks in C keeps a processor of Go until the runtime looks, up to 10 ms; in a flood it looks often.")
	return cgoFloodAsk(t, "cgo-flood after")
}

func cgoFloodAsk(t *trial, name string) (values, error) {
	var r cgoFloodResult
	err := askElsewhere(t, name, &r)
	return values{
		count(cgoFloodThreads, r.Threads), count(cgoFloodInC, r.InC), duration(cgoFloodTook, r.Took),
		rate(cgoFloodWork, r.Units, max(1, r.Took)), share(cgoFloodBusy, r.Busy),
	}, err
}

func cgoFloodGoroutines(t *trial) (any, error) {
	var stop atomic.Bool
	var units atomic.Int64
	var workers, calls sync.WaitGroup
	t.begin()
	for range cores() {
		workers.Go(func() {
			for !stop.Load() {
				t.run("other work", func() { spin(cgoFloodUnit) })
				units.Add(1)
			}
		})
	}
	pause(t.ctx, cgoFloodCalm)
	units.Store(0)
	start := time.Now()
	for range t.times(cgoFloodCalls) {
		calls.Go(func() { t.block(query) })
	}
	calls.Wait()
	r := cgoFloodResult{Threads: threads(), InC: mostQueries(), Took: time.Since(start), Units: units.Load()}
	r.Busy = t.end().busy(cores())
	stop.Store(true)
	workers.Wait()
	return r, nil
}

func cgoFloodBulkhead(t *trial) (any, error) {
	library, err := executor.NewBulkhead("library", cgoFloodLimit)
	if err != nil {
		return nil, err
	}
	exec, err := executor.New(executor.WithName("cgo-flood"), executor.WithSlots(cores()))
	if err != nil {
		return nil, err
	}
	defer exec.Close()
	var stop atomic.Bool
	var units atomic.Int64
	t.begin()
	work := func(ctx context.Context) {
		for !stop.Load() && executor.Checkpoint(ctx) == nil {
			t.run("other work", func() { spin(cgoFloodUnit) })
			units.Add(1)
		}
	}
	for range cores() {
		if err := exec.Go(t.ctx, work); err != nil {
			return nil, err
		}
	}
	pause(t.ctx, cgoFloodCalm)
	units.Store(0)
	start := time.Now()
	calls := exec.NewGroup(t.ctx)
	for range t.times(cgoFloodCalls) {
		calls.Go(func(ctx context.Context) error {
			return library.Blocking(ctx, func() { t.block(query) })
		})
	}
	err = calls.Wait()
	r := cgoFloodResult{Threads: threads(), InC: mostQueries(), Took: time.Since(start), Units: units.Load()}
	r.Busy = t.end().busy(cores())
	stop.Store(true)
	return r, err
}
