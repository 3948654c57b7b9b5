package main

import (
	"context"
	"sync"
	"time"

	"github.com/seed-97bda89a/executor"
)

// Every task makes a system call that blocks its thread for 100 ms, a read of a pipe. Go's poller has no part in it.
var slowSyscalls = scenario{
	name: "slow-syscalls",
	explain: "As many workers as processors are all stuck in system calls while the processors have nothing to do; the executor " +
		"gives their slots to others, so that the calls take about as long as one batch within the spare limit.",
	before: slowSyscallsBefore, beforeWith: "as many workers as processors",
	after: slowSyscallsAfter, afterWith: "as many slots, the calls marked Blocking",
	unavailable: slowPipeMissing,
}

const (
	slowSyscallsTime     = "time for 1,000 calls"
	slowSyscallsUnmarked = "the same, unmarked"
	slowSyscallsAtOnce   = "calls at once"
)

const (
	slowSyscallsCalls  = 1000
	slowSyscallsLength = 100 * time.Millisecond
	slowSyscallsSpares = 1000

	// Before, all calls would take a minute. A sample of them tells as much, for no call makes another one slower.
	slowSyscallsSample = 30
)

// slowCalls are system calls that block, and how many did at once.
type slowCalls struct {
	t      *trial
	pipe   *slowPipe
	timers sync.WaitGroup
	now    gauge
}

func newSlowCalls(t *trial) (*slowCalls, error) {
	pipe, err := newSlowPipe()
	return &slowCalls{t: t, pipe: pipe}, err
}

// call is answered after 100 ms, as a request to a disk would be, however many there are.
func (c *slowCalls) call() (err error) {
	c.timers.Add(1)
	time.AfterFunc(slowSyscallsLength, func() {
		defer c.timers.Done()
		c.pipe.answer()
	})
	defer c.now.enter()()
	c.t.block(func() { err = c.pipe.wait() })
	return err
}

func (c *slowCalls) close() {
	c.timers.Wait()
	c.pipe.close()
}

func slowSyscallsBefore(t *trial) (values, error) {
	calls, err := newSlowCalls(t)
	if err != nil {
		return nil, err
	}
	defer calls.close()
	sample := slowSyscallsSample * cores() / 2
	tasks := make(chan func() error)
	failed := make(chan error, sample)
	var workers sync.WaitGroup
	start := time.Now()
	for range cores() {
		workers.Go(func() {
			for task := range tasks {
				failed <- task()
			}
		})
	}
	for range t.times(sample) {
		tasks <- calls.call
	}
	close(tasks)
	workers.Wait()
	took := time.Since(start) * slowSyscallsCalls / time.Duration(t.times(sample))
	close(failed)
	t.remark("before: measured with %d calls", t.times(sample))
	for err = range failed {
		if err != nil {
			return nil, err
		}
	}
	return values{
		duration(slowSyscallsTime, took), duration(slowSyscallsUnmarked, took), count(slowSyscallsAtOnce, calls.now.most()),
	}, nil
}

func slowSyscallsAfter(t *trial) (values, error) {
	unmarked, _, err := slowSyscallsWith(t.aside(), func(_ context.Context, blocks func()) { blocks() })
	if err != nil {
		return nil, err
	}
	marked, most, err := slowSyscallsWith(t, executor.Blocking)
	return values{
		duration(slowSyscallsTime, marked), duration(slowSyscallsUnmarked, unmarked), count(slowSyscallsAtOnce, most),
	}, err
}

// slowSyscallsWith makes all calls with the executor.
func slowSyscallsWith(t *trial, wait func(context.Context, func())) (took time.Duration, most int64, err error) {
	calls, err := newSlowCalls(t)
	if err != nil {
		return 0, 0, err
	}
	defer calls.close()
	exec, err := executor.New(executor.WithName("slow-syscalls"), executor.WithSlots(cores()),
		executor.WithMaxSpares(slowSyscallsSpares))
	if err != nil {
		return 0, 0, err
	}
	defer exec.Close()
	t.begin()
	start := time.Now()
	group := exec.NewGroup(t.ctx)
	for range slowSyscallsCalls {
		group.Go(func(ctx context.Context) (err error) {
			wait(ctx, func() { err = calls.call() })
			return err
		})
	}
	err = group.Wait()
	return time.Since(start), calls.now.most(), err
}
