package main

import (
	"context"
	"fmt"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-97bda89a/executor"
)

// One of the tasks loops for long, and there is one worker. Everybody else waits until the loop is over.
var tightLoop = scenario{
	name: "tight-loop",
	explain: "A task that loops on the only worker keeps all others waiting; with a Checkpoint in the loop they get their " +
		"turn after a time slice, and without it the stall report names the line that loops.",
	before: tightLoopBefore, beforeWith: "one worker, tasks from a channel",
	after: tightLoopAfter, afterWith: "one slot, Checkpoint in the loop",
}

const (
	tightLoopWait   = "longest wait of a short task"
	tightLoopDuring = "short tasks during the loop"
	tightLoopReport = "line that the report names"
)

// The loop takes 1.5 s. Meanwhile 5 short tasks come every 100 ms.
const (
	tightLoopTime  = 1500 * time.Millisecond
	tightLoopPause = 100 * time.Millisecond
	tightLoopComes = 5
)

func tightLoopBefore(t *trial) (values, error) {
	tasks := make(chan func(), 1000)
	var worker sync.WaitGroup
	worker.Go(func() {
		t.worker(func() {
			for task := range tasks {
				task()
			}
		})
	})
	var waits longest
	var during atomic.Int64
	var over atomic.Bool
	tasks <- func() {
		t.run("the loop", func() {
			for end := time.Now().Add(t.lasting(tightLoopTime)); time.Now().Before(end); {
				spin(100 * time.Microsecond)
			}
		})
		over.Store(true)
	}
	for end := time.Now().Add(t.lasting(tightLoopTime)); time.Now().Before(end); time.Sleep(tightLoopPause) {
		for range tightLoopComes {
			queued := time.Now()
			tasks <- func() {
				waits.see(time.Since(queued))
				if !over.Load() {
					during.Add(1)
				}
				t.run("short tasks", func() { spin(2 * time.Millisecond) })
			}
		}
	}
	close(tasks)
	worker.Wait()
	return values{duration(tightLoopWait, waits.get()), count(tightLoopDuring, during.Load())}, nil
}

func tightLoopAfter(t *trial) (values, error) {
	v, err := tightLoopWithCheckpoint(t)
	if err != nil {
		return nil, err
	}
	t.end()
	line, err := tightLoopReported(t.ctx)
	return append(v, note(tightLoopReport, line)), err
}

func tightLoopWithCheckpoint(t *trial) (values, error) {
	exec, err := executor.New(executor.WithName("tight-loop"), executor.WithSlots(1))
	if err != nil {
		return nil, err
	}
	defer exec.Close()
	var waits longest
	var during atomic.Int64
	var over atomic.Bool
	group := exec.NewGroup(t.ctx)
	group.Go(func(ctx context.Context) (err error) {
		t.run("the loop", func() {
			for end := time.Now().Add(t.lasting(tightLoopTime)); time.Now().Before(end) && err == nil; {
				spin(100 * time.Microsecond)
				t.rest(func() { err = executor.Checkpoint(ctx) })
			}
		})
		over.Store(true)
		return err
	})
	for end := time.Now().Add(t.lasting(tightLoopTime)); time.Now().Before(end); time.Sleep(tightLoopPause) {
		for range tightLoopComes {
			queued := time.Now()
			group.Go(func(context.Context) error {
				waits.see(time.Since(queued))
				if !over.Load() {
					during.Add(1)
				}
				t.run("short tasks", func() { spin(2 * time.Millisecond) })
				return nil
			})
		}
	}
	err = group.Wait()
	return values{duration(tightLoopWait, waits.get()), count(tightLoopDuring, during.Load())}, err
}

var loopLine = regexp.MustCompile(`tight_loop\.go:\d+`)

// tightLoopReported loops without a Checkpoint until the stall report says where.
func tightLoopReported(ctx context.Context) (string, error) {
	reports := make(chan executor.StallInfo, 1)
	exec, err := executor.New(executor.WithName("tight-loop-stall"), executor.WithSlots(1),
		executor.WithOnStall(func(s executor.StallInfo) {
			select {
			case reports <- s:
			default: // one is enough
			}
		}))
	if err != nil {
		return "", err
	}
	defer exec.Close()
	stop := make(chan struct{})
	defer close(stop)
	loops := func(context.Context) {
		for {
			select {
			case <-stop:
				return
			default:
				spin(100 * time.Microsecond)
			}
		}
	}
	if err := exec.Go(ctx, loops); err != nil {
		return "", err
	}
	if err := exec.Go(ctx, func(context.Context) {}); err != nil { // it has to wait for the loop
		return "", err
	}
	for {
		select {
		case s := <-reports:
			if line := loopLine.FindString(s.Stack); line != "" {
				return line, nil
			}
		case <-time.After(20 * time.Second):
			return "", fmt.Errorf("nothing was reported")
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}
