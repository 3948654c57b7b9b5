package main

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"github.com/seed-97bda89a/executor"
)

// The program runs in a container that may use 1.2 CPUs, on a machine that has more of them. It is busy.
var containerQuota = scenario{
	name: "container-quota",
	explain: "A pool as large as the machine has used its container's quota up long before the end of each period, and the kernel " +
		"stops all of it for the rest; the executor has as many slots as fit into the quota, and is not stopped.",
	before: containerQuotaBefore, beforeWith: "as many workers as the machine has CPUs",
	after: containerQuotaAfter, afterWith: "slots that follow the quota",
	unavailable: containerQuotaMissing,
}

const (
	containerQuotaSize      = "workers or slots"
	containerQuotaThrottled = "periods of 100 ms with a stop"
	containerQuotaTail      = "99 % of the requests took"
	containerQuotaRate      = "requests"
)

const (
	containerQuotaCPUs    = 1.2 // one for the tasks, and something for the collector and whoever submits
	containerQuotaTime    = 1500 * time.Millisecond
	containerQuotaRequest = 4 * time.Millisecond
)

func containerQuotaMissing() string {
	if runtime.NumCPU() < 2 {
		return "needs two CPUs"
	}
	return cgroupsMissing(containerQuotaCPUs)
}

// containerQuotaResult is what is measured, by a process in the group.
type containerQuotaResult struct {
	Size       int
	Why        string
	Tail, Took time.Duration
	Requests   int
}

func containerQuotaBefore(t *trial) (values, error) {
	return containerQuotaAsk(t, "container-quota before")
}

func containerQuotaAfter(t *trial) (values, error) {
	return containerQuotaAsk(t, "container-quota after")
}

// containerQuotaAsk makes a group with a quota and has the measurement done in there.
func containerQuotaAsk(t *trial, name string) (values, error) {
	group, err := newCgroup(containerQuotaCPUs)
	if err != nil {
		return nil, err
	}
	var r containerQuotaResult
	err = askElsewhere(t, name, &r, group.inside()...)
	throttled, err2 := group.throttled()
	if err := errors.Join(err, err2, group.remove()); err != nil {
		return nil, err
	}
	if r.Why != "" {
		t.remark("with the executor: %s", r.Why)
	}
	return values{
		count(containerQuotaSize, r.Size), count(containerQuotaThrottled, throttled),
		duration(containerQuotaTail, r.Tail), rate(containerQuotaRate, r.Requests, r.Took),
	}, nil
}

// containerRequests serves requests until the time is over.
type containerRequests struct {
	t    *trial
	took waits
}

func (c *containerRequests) serve() {
	start := time.Now()
	c.t.run("requests", func() { spin(containerQuotaRequest) })
	c.took.see(time.Since(start))
}

func (c *containerRequests) result(size int, took time.Duration) containerQuotaResult {
	return containerQuotaResult{Size: size, Tail: c.took.percentile(99), Took: took, Requests: len(c.took.all)}
}

func containerQuotaMachine(t *trial) (any, error) {
	c := containerRequests{t: t}
	n := runtime.NumCPU()
	requests := make(chan struct{}, 100)
	var workers sync.WaitGroup
	for range n {
		workers.Go(func() {
			for range requests {
				c.serve()
			}
		})
	}
	perNanosecond()
	t.begin()
	start := time.Now()
	for time.Since(start) < t.lasting(containerQuotaTime) {
		requests <- struct{}{}
	}
	close(requests)
	workers.Wait()
	return c.result(n, time.Since(start)), nil
}

func containerQuotaSlots(t *trial) (any, error) {
	c := containerRequests{t: t}
	exec, err := executor.New(executor.WithName("container-quota"), executor.WithQueueLimit(100))
	if err != nil {
		return nil, err
	}
	defer exec.Close()
	perNanosecond()
	t.begin()
	start := time.Now()
	for time.Since(start) < t.lasting(containerQuotaTime) {
		if err := exec.Go(t.ctx, func(context.Context) { c.serve() }); err != nil {
			return nil, err
		}
	}
	err = exec.Quiesce(t.ctx)
	r := c.result(exec.Stats().Slots, time.Since(start))
	r.Why = exec.Sizing().String()
	return r, err
}
