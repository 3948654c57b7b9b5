package main

import (
	"context"
	"runtime"
	"sync"

	"time"

	"github.com/seed-97bda89a/executor"
)

// One job in ten needs a thread for itself, because it calls a library that keeps state in it. So all the workers are
// locked to their threads, and each customer has its own worker. One customer has most of the jobs.
var pinnedWorkers = scenario{
	name: "pinned-workers",
	explain: "With a worker locked to each core and a channel for each, the channel of the largest customer fills up while the " +
		"other workers starve; on shared slots only the jobs that need a thread get one, through OnThread.",
	before: pinnedWorkersBefore, beforeWith: "workers locked to their threads, a channel each",
	after: pinnedWorkersAfter, afterWith: "slots; OnThread for one job in ten",
}

const (
	pinnedWorkersBusy = "workers busy"
	pinnedWorkersTime = "time for all jobs"
)

const (
	pinnedWorkersJobs = 400
	pinnedWorkersWork = 4 * time.Millisecond
)

// pinnedJob is one job of the load.
type pinnedJob struct {
	customer int
	bound    bool // to a thread
}

// pinnedJobs are so many that three of four are of customer 0.
func pinnedJobs(n int) []pinnedJob {
	jobs := make([]pinnedJob, n)
	for i := range jobs {
		if i%4 == 3 {
			jobs[i].customer = 1 + i/4%100
		}
		jobs[i].bound = i%10 == 0
	}
	return jobs
}

func (j pinnedJob) do(t *trial) {
	label := "other customers"
	switch {
	case j.bound:
		label = "needs a thread"
	case j.customer == 0:
		label = "the largest customer"
	}
	t.run(label, func() { spin(pinnedWorkersWork) })
}

func pinnedWorkersBefore(t *trial) (values, error) {
	var workers sync.WaitGroup
	inputs := make([]chan pinnedJob, cores())
	for i := range inputs {
		inputs[i] = make(chan pinnedJob, 16)
		workers.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			for job := range inputs[i] {
				job.do(t)
			}
		})
	}
	start := time.Now()
	for _, job := range pinnedJobs(t.times(pinnedWorkersJobs)) {
		inputs[job.customer%len(inputs)] <- job
	}
	for _, in := range inputs {
		close(in)
	}
	workers.Wait()
	return pinnedWorkersValues(t, start), nil
}

func pinnedWorkersAfter(t *trial) (values, error) {
	exec, err := executor.New(executor.WithName("pinned-workers"), executor.WithSlots(cores()))
	if err != nil {
		return nil, err
	}
	defer exec.Close()
	start := time.Now()
	group := exec.NewGroup(t.ctx)
	for _, job := range pinnedJobs(t.times(pinnedWorkersJobs)) {
		group.Go(func(ctx context.Context) error {
			if job.bound {
				executor.OnThread(ctx, func() { job.do(t) })
			} else {
				job.do(t)
			}
			return nil
		})
	}
	err = group.Wait()
	return pinnedWorkersValues(t, start), err
}

func pinnedWorkersValues(t *trial, start time.Time) values {
	took := time.Since(start)
	return values{share(pinnedWorkersBusy, t.end().busy(cores())), duration(pinnedWorkersTime, took)}
}
