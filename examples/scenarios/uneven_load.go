package main

import (
	"context"
	"sync"
	"time"

	"github.com/seed-97bda89a/executor"
)

// Every worker has a queue of its own, which nobody else looks into, and one task starts all the others.
var unevenLoad = scenario{
	name: "uneven-load",
	explain: "When queues are private, a task that starts all the others keeps them on its own worker and the rest stand idle; " +
		"idle slots steal.",
	before: unevenLoadBefore, beforeWith: "a worker for each processor, each with a queue of its own",
	after: unevenLoadAfter, afterWith: "a slot for each processor, and stealing",
}

const (
	unevenLoadUse  = "utilization"
	unevenLoadTime = "time for all"
)

const (
	unevenLoadTasks = 300
	unevenLoadEach  = 3 * time.Millisecond
)

func unevenLoadBefore(t *trial) (values, error) {
	n := t.times(unevenLoadTasks)
	queues := make([]chan func(), cores())
	var workers, all sync.WaitGroup
	for i := range queues {
		queues[i] = make(chan func(), 1+n)
		workers.Go(func() {
			t.worker(func() {
				for task := range queues[i] {
					task()
				}
			})
		})
	}
	start := time.Now()
	all.Add(n)
	queues[0] <- func() {
		for range n { // what a task starts goes to the queue of its own worker
			queues[0] <- func() {
				defer all.Done()
				t.run("tasks", func() { spin(unevenLoadEach) })
			}
		}
	}
	all.Wait()
	took := time.Since(start)
	for _, q := range queues {
		close(q)
	}
	workers.Wait()
	return values{share(unevenLoadUse, t.end().utilization(len(queues))), duration(unevenLoadTime, took)}, nil
}

func unevenLoadAfter(t *trial) (values, error) {
	n := t.times(unevenLoadTasks)
	exec, err := executor.New(executor.WithName("uneven-load"), executor.WithSlots(cores()))
	if err != nil {
		return nil, err
	}
	defer exec.Close()
	start := time.Now()
	group := exec.NewGroup(t.ctx)
	group.Go(func(ctx context.Context) error {
		for range n {
			group.Go(func(context.Context) error {
				t.run("tasks", func() { spin(unevenLoadEach) })
				return nil
			})
		}
		return nil
	})
	err = group.Wait()
	took := time.Since(start)
	return values{share(unevenLoadUse, t.end().utilization(cores())), duration(unevenLoadTime, took)}, err
}
