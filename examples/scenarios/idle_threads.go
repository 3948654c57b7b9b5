package main

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"github.com/seed-97bda89a/executor"
)

// A pool grows when all its workers are busy. Once in the life of the program, 200 jobs block at the same time.
var idleThreads = scenario{
	name: "idle-threads",
	explain: "A pool that grows for a burst of blocking jobs keeps its workers for ever; the executor's spares end after their " +
		"keep-alive. The threads are Go's, which keeps them in both cases, unless the jobs ran in OnThread.",
	before: idleThreadsBefore, beforeWith: "a worker more whenever all are busy",
	after: idleThreadsAfter, afterWith: "slots and spares, the jobs marked Blocking",
	unavailable: slowPipeMissing,
}

const (
	idleThreadsPeak       = "workers in the burst"
	idleThreadsGoroutines = "goroutines left by it"
	idleThreadsThreads    = "threads left by it"
	idleThreadsOwn        = "the same, jobs in OnThread"
)

const (
	idleThreadsJobs      = 200
	idleThreadsKeepAlive = 200 * time.Millisecond // the default is 10 s
	idleThreadsLater     = 500 * time.Millisecond // when the leftovers are counted
)

// idleThreadsResult is what is measured, in a process of its own for the sake of the threads.
type idleThreadsResult struct{ Peak, Goroutines, Threads int }

// idleThreadsBurst submits the jobs, waits until all of them block, lets them go, and counts what is left a while later.
func idleThreadsBurst(t *trial, submit func(job func()) error, done func() error) (r idleThreadsResult, err error) {
	pipe, err := newSlowPipe()
	if err != nil {
		return r, err
	}
	defer pipe.close()
	goroutines, before := runtime.NumGoroutine(), threads()
	var inside gauge
	var blocking sync.WaitGroup
	n := t.times(idleThreadsJobs)
	blocking.Add(n)
	failed := make(chan error, n)
	t.begin()
	for range n {
		err := submit(func() {
			defer inside.enter()()
			t.run("jobs", func() { spin(50 * time.Microsecond) })
			blocking.Done()
			t.block(func() { failed <- pipe.wait() })
		})
		if err != nil {
			return r, err
		}
	}
	blocking.Wait()
	pause(t.ctx, 100*time.Millisecond) // so that it can be seen
	for range n {
		pipe.answer()
	}
	for range n {
		err = errors.Join(err, <-failed)
	}
	err = errors.Join(err, done())
	pause(t.ctx, idleThreadsLater)
	r.Peak = int(inside.most())
	r.Goroutines, r.Threads = runtime.NumGoroutine()-goroutines, max(0, threads()-before)
	return r, err
}

// growingPool starts a worker when all are busy.
type growingPool struct {
	jobs    chan func()
	workers sync.WaitGroup
}

func (p *growingPool) submit(job func()) error {
	select {
	case p.jobs <- job: // somebody waits for it
	default:
		p.workers.Go(func() {
			job()
			for job := range p.jobs {
				job()
			}
		})
	}
	return nil
}

func idleThreadsPool(t *trial) (any, error) {
	p := growingPool{jobs: make(chan func())}
	r, err := idleThreadsBurst(t, p.submit, func() error { return nil })
	close(p.jobs)
	p.workers.Wait()
	return r, err
}

func idleThreadsBlocking(t *trial) (any, error) { return idleThreadsExecutor(t, executor.Blocking) }

func idleThreadsOnThread(t *trial) (any, error) { return idleThreadsExecutor(t, executor.OnThread) }

func idleThreadsExecutor(t *trial, wait func(context.Context, func())) (any, error) {
	exec, err := executor.New(executor.WithName("idle-threads"), executor.WithSlots(cores()),
		executor.WithMaxSpares(idleThreadsJobs), executor.WithKeepAlive(idleThreadsKeepAlive))
	if err != nil {
		return nil, err
	}
	defer exec.Close()
	return idleThreadsBurst(t, func(job func()) error {
		return exec.Go(t.ctx, func(ctx context.Context) { wait(ctx, job) })
	}, func() error {
		err := exec.Quiesce(t.ctx)
		for patience := time.Now().Add(30 * time.Second); exec.Stats().Spares > 0 && time.Now().Before(patience); {
			pause(t.ctx, time.Millisecond)
		}
		return err
	})
}

func idleThreadsBefore(t *trial) (values, error) {
	var r idleThreadsResult
	err := askElsewhere(t, "idle-threads before", &r)
	return values{
		count(idleThreadsPeak, r.Peak), count(idleThreadsGoroutines, r.Goroutines), count(idleThreadsThreads, r.Threads),
		count(idleThreadsOwn, r.Threads),
	}, err
}

func idleThreadsAfter(t *trial) (values, error) {
	var r, own idleThreadsResult
	if err := askElsewhere(t.aside(), "idle-threads on thread", &own); err != nil {
		return nil, err
	}
	err := askElsewhere(t, "idle-threads after", &r)
	return values{
		count(idleThreadsPeak, r.Peak), count(idleThreadsGoroutines, r.Goroutines), count(idleThreadsThreads, r.Threads),
		count(idleThreadsOwn, own.Threads),
	}, err
}
