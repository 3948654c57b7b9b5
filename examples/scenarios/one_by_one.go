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

const (
	oneByOneTasks = 1_000_000
	oneByOneDrawn = 50 // of so many tasks one is drawn
)

func oneByOneBefore(t *trial) (values, error) {
	q := newLockedQueue()
	stop := q.work(perCore * cores())
	var did atomic.Int64
	cost := newQueueCost()
	submitFromMany(t, func(i int) {
		task := func() { did.Add(1) }
		if i%oneByOneDrawn == 0 {
			task = func() { t.run("tasks", func() { did.Add(1) }) }
		}
		q.put(task)
	})
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
	submitFromMany(t, func(i int) {
		task := func(context.Context) { did.Add(1) }
		if i%oneByOneDrawn == 0 {
			task = func(context.Context) { t.run("tasks", func() { did.Add(1) }) }
		}
		refused.see(exec.Go(t.ctx, task))
	})
	refused.see(exec.Shutdown(t.ctx)) // runs everything
	return cost.values(did.Load()), refused.get()
}

// submitFromMany calls submit for each task, from several goroutines as a server's handlers are.
func submitFromMany(t *trial, submit func(i int)) {
	submitters := perCore * cores()
	n := t.times(oneByOneTasks) / submitters
	var all sync.WaitGroup
	for range submitters {
		all.Go(func() {
			for i := range n {
				submit(i)
			}
		})
	}
	all.Wait()
}
