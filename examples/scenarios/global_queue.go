package main

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/seed-97bda89a/executor"
)

// Tasks start tasks, which start tasks, and each of them goes through one queue with one lock.
var globalQueue = scenario{
	name: "global-queue",
	explain: "With one queue for all, every task takes the same lock twice, and workers wait for it; " +
		"with a deque for each slot, a task that starts others touches nobody's lock.",
	before: globalQueueBefore, beforeWith: "workers on one queue with a mutex",
	after: globalQueueAfter, afterWith: "each slot has a queue of its own",
}

// 1,000 tasks start 1,000 each: ten, which start ten, which start ten.
const (
	globalQueueRoots = 1000
	globalQueueChild = 10
	globalQueueDepth = 3
)

func globalQueueBefore(t *trial) (values, error) {
	roots := t.times(globalQueueRoots)
	q := newLockedQueue(t)
	stop := q.work(perCore * cores())
	defer stop()
	var did atomic.Int64
	var all sync.WaitGroup
	var grow func(depth int)
	grow = func(depth int) {
		did.Add(1)
		if depth == 0 {
			return
		}
		all.Add(globalQueueChild)
		for range globalQueueChild {
			q.put(func() {
				defer all.Done()
				grow(depth - 1)
			})
		}
	}
	cost := newQueueCost()
	all.Add(roots)
	for range roots {
		q.put(func() {
			defer all.Done()
			grow(globalQueueDepth)
		})
	}
	all.Wait()
	return cost.values(did.Load()), nil
}

func globalQueueAfter(t *trial) (values, error) {
	roots := t.times(globalQueueRoots)
	exec, err := executor.New(executor.WithName("global-queue"), executor.WithSlots(cores()),
		executor.WithQueueLimit(1_000_000)) // the queue before has no limit at all
	if err != nil {
		return nil, err
	}
	defer exec.Close()
	var did atomic.Int64
	var refused firstError
	var grow func(ctx context.Context, depth int)
	grow = func(ctx context.Context, depth int) {
		if did.Add(1)%queueDrawn == 0 {
			t.run("tasks", func() {})
		}
		if depth == 0 {
			return
		}
		for range globalQueueChild {
			refused.see(exec.Go(ctx, func(ctx context.Context) { grow(ctx, depth-1) }))
		}
	}
	cost := newQueueCost()
	for range roots {
		refused.see(exec.Go(t.ctx, func(ctx context.Context) { grow(ctx, globalQueueDepth) }))
	}
	refused.see(exec.Quiesce(t.ctx))
	return cost.values(did.Load()), refused.get()
}
