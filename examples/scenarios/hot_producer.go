package main

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-97bda89a/executor"
)

// Events come faster than the backend answers, and each gets a goroutine, as in a server's accept loop.
var hotProducer = scenario{
	name: "hot-producer",
	explain: "With a goroutine for each event, everything that the backend can not take in time piles up in memory; a bounded " +
		"queue makes the producer wait (Go) or tells it to drop the event (TryGo), and as many are handled.",
	before: hotProducerBefore, beforeWith: "a goroutine for each event, and a pool of connections",
	after: hotProducerAfter, afterWith: "Go, which waits for room in the queue, and a Bulkhead for the connections",
}

const (
	hotProducerGoroutines = "goroutines"
	hotProducerMemory     = "peak memory"
	hotProducerDone       = "events handled"
	hotProducerRefused    = "events dropped"
	hotProducerDropping   = ", dropping" // after a name: the same, if what does not fit is dropped
)

// 10,000 events come in a second. Each takes the backend 100 ms, and it takes 50 at a time.
const (
	hotProducerTime        = 1500 * time.Millisecond
	hotProducerRate        = 10_000
	hotProducerEach        = 100 * time.Millisecond
	hotProducerConnections = 50
	hotProducerQueue       = 100 // events that may wait, in the executor's queue
)

// event is what a request, a message or a line of a log is when it has come in.
type event struct{ payload [16 << 10]byte }

// produce makes events at the rate until the context is done. The function that takes them may hold it up: then it
// catches up as far as the time allows.
func produce(ctx context.Context, take func(*event)) {
	start := time.Now()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for made := 0; ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		for due := int(time.Since(start).Seconds() * hotProducerRate); made < due && ctx.Err() == nil; made++ {
			take(&event{payload: [16 << 10]byte{0: 1}})
		}
	}
}

// send is the call of the backend. It reports whether the event was done before there was no point any more.
func (e *event) send(ctx context.Context) bool {
	select {
	case <-time.After(hotProducerEach):
		return e.payload[0] == 1
	case <-ctx.Done():
		return false
	}
}

func hotProducerBefore(t *trial) (values, error) {
	ctx, cancel := context.WithTimeout(t.ctx, t.lasting(hotProducerTime))
	defer cancel()
	most := watch()
	connections := make(chan struct{}, hotProducerConnections)
	var all sync.WaitGroup
	var done atomic.Int64
	produce(ctx, func(e *event) {
		all.Go(func() {
			t.block(func() {
				select {
				case connections <- struct{}{}:
				case <-ctx.Done():
					return
				}
				defer func() { <-connections }()
				t.run("in the backend", func() {
					if e.send(ctx) {
						done.Add(1)
					}
				})
			})
		})
	})
	all.Wait()
	r := hotProducerResult{done: done.Load()}
	r.goroutines, r.memory = most()
	return append(r.values(""), r.values(hotProducerDropping)...), nil
}

func hotProducerAfter(t *trial) (values, error) {
	waits, err := hotProducerBounded(t, (*executor.Executor).Go)
	if err != nil {
		return nil, err
	}
	t.end()
	drops, err := hotProducerBounded(t, (*executor.Executor).TryGo)
	return append(append(waits.values(""), drops.values(hotProducerDropping)...), count(hotProducerRefused, drops.refused)), err
}

type hotProducerResult struct {
	goroutines    int
	memory        uint64
	done, refused int64
}

func (r hotProducerResult) values(how string) values {
	return values{
		count(hotProducerGoroutines+how, r.goroutines),
		bytesOf(hotProducerMemory+how, r.memory),
		count(hotProducerDone+how, r.done),
	}
}

// hotProducerBounded gives the events to an executor, in one of the two ways.
func hotProducerBounded(
	t *trial, start func(*executor.Executor, context.Context, func(context.Context)) error,
) (r hotProducerResult, err error) {
	ctx, cancel := context.WithTimeout(t.ctx, t.lasting(hotProducerTime))
	defer cancel()
	most := watch()
	exec, err := executor.New(executor.WithName("hot-producer"), executor.WithSlots(cores()),
		executor.WithQueueLimit(hotProducerQueue), executor.WithMaxSpares(hotProducerConnections))
	if err != nil {
		return r, err
	}
	connections, err := executor.NewBulkhead("backend", hotProducerConnections)
	if err != nil {
		return r, errors.Join(err, exec.Close())
	}
	var done atomic.Int64
	produce(ctx, func(e *event) {
		failed := start(exec, ctx, func(ctx context.Context) {
			t.block(func() {
				_ = connections.Blocking(ctx, func() { // its error is the context's: the time is up
					t.run("in the backend", func() {
						if e.send(ctx) {
							done.Add(1)
						}
					})
				})
			})
		})
		switch {
		case errors.Is(failed, executor.ErrQueueFull):
			r.refused++
		case failed != nil && ctx.Err() == nil:
			err = failed
			cancel()
		}
	})
	r.goroutines, r.memory = most()
	err = errors.Join(err, exec.Close())
	r.done = done.Load()
	return r, err
}
