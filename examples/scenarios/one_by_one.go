package main

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/seed-97bda89a/executor"
)

// Tasks come from outside, and each is taken from the shared queue on its own.
var oneByOne = scenario{
	name: "one-by-one",
	explain: "Workers that take single tasks from a shared queue meet each other and those who submit at its lock, once a task; " +
		"a slot takes up to 128 at a time. With many processors this is what limits throughput.",
	before: oneByOneBefore, beforeWith: "workers on one queue with a mutex",
	after: oneByOneAfter, afterWith: "slots that take batches",
}

const oneByOneTasks = 1_000_000

func oneByOneBefore(t *trial) (values, error) {
	q := newLockedQueue(t)
	stop := q.work(perCore * cores())
	var did atomic.Int64
	cost := newQueueCost()
	submitFromMany(t, func() { q.put(func() { did.Add(1) }) })
	stop() // runs everything
	return cost.values(did.Load()), nil
}

func oneByOneAfter(t *trial) (values, error) {
	exec, err := executor.New(executor.WithName("one-by-one"), executor.WithSlots(cores()))
	if err != nil {
		return nil, err
	}
	defer exec.Close()
	var did atomic.Int64
	var refused firstError
	cost := newQueueCost()
	submitFromMany(t, func() {
		refused.see(exec.Go(t.ctx, func(context.Context) {
			if did.Add(1)%queueDrawn == 0 {
				t.run("tasks", func() {})
			}
		}))
	})
	refused.see(exec.Shutdown(t.ctx)) // runs everything
	return cost.values(did.Load()), refused.get()
}

// submitFromMany calls submit for each task, from several goroutines as a server's handlers are.
func submitFromMany(t *trial, submit func()) {
	submitters := cores() // with many more it is they who wait, for each other, on both sides
	n := t.times(oneByOneTasks) / submitters
	var all sync.WaitGroup
	for range submitters {
		all.Go(func() {
			for range n {
				submit()
			}
		})
	}
	all.Wait()
}
