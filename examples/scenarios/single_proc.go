package main

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-97bda89a/executor"
)

// The process starts with a GOMAXPROCS of 1, as in a container that gets its processors later. The pool is as large as
// that says, and then GOMAXPROCS is raised.
var singleProc = scenario{
	name: "single-proc",
	explain: "A pool that was sized once, while GOMAXPROCS was 1, keeps its one worker when the limit is raised; the executor " +
		"looks at the limit once a second while it works, follows it, and says why it has the size it has.",
	before: singleProcBefore, beforeWith: "as many workers as GOMAXPROCS said at the start",
	after: singleProcAfter, afterWith: "slots that follow GOMAXPROCS",
	unavailable: func() string {
		exec, err := executor.New()
		if err != nil {
			return err.Error()
		}
		defer exec.Close()
		if s := exec.Sizing(); s.Quota > 0 && s.Quota < 2 {
			return fmt.Sprintf("a CPU quota of %g lets the size not go beyond one", s.Quota)
		}
		return ""
	},
}

const (
	singleProcBusy = "processors busy after the rise"
	singleProcSize = "workers or slots by then"
)

const (
	singleProcTask  = 2 * time.Millisecond
	singleProcStage = 500 * time.Millisecond // with one processor, and measured after the rise
)

func singleProcBefore(t *trial) (values, error) {
	procs := cores()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	n := runtime.GOMAXPROCS(0) // here the pool is made, at the start of the program
	tasks := make(chan func(), 100)
	var workers sync.WaitGroup
	for range n {
		workers.Go(func() {
			for task := range tasks {
				task()
			}
		})
	}
	busy, err := singleProcLoad(t, procs, func(task func()) error { tasks <- task; return nil }, func() bool { return true })
	close(tasks)
	workers.Wait()
	return values{share(singleProcBusy, busy), count(singleProcSize, n)}, err
}

func singleProcAfter(t *trial) (values, error) {
	procs := cores()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	exec, err := executor.New(executor.WithName("single-proc"), executor.WithQueueLimit(100))
	if err != nil {
		return nil, err
	}
	defer exec.Close()
	first := exec.Sizing()
	busy, err := singleProcLoad(t, procs, func(task func()) error {
		return exec.Go(t.ctx, func(context.Context) { task() })
	}, func() bool { return exec.Sizing().Slots > first.Slots })
	last := exec.Sizing()
	t.remark("at the start %v", first)
	t.remark("in the end %v", last)
	return values{share(singleProcBusy, busy), count(singleProcSize, last.Slots)}, err
}

// singleProcLoad keeps the queue full, raises GOMAXPROCS to procs, gives the pool the time that it wants to follow, and
// returns which part of the processors' time it uses from then on.
func singleProcLoad(t *trial, procs int, submit func(func()) error, followed func() bool) (float64, error) {
	var stop atomic.Bool
	feeding := make(chan error, 1)
	t.begin()
	begun := time.Now()
	go func() {
		var err error
		for err == nil && !stop.Load() {
			err = submit(func() { t.run("tasks", func() { spin(singleProcTask) }) })
		}
		feeding <- err
	}()
	pause(t.ctx, t.lasting(singleProcStage))
	runtime.GOMAXPROCS(procs)
	for patience := time.Now().Add(30 * time.Second); !followed() && time.Now().Before(patience); {
		pause(t.ctx, time.Millisecond)
	}
	raised := time.Since(begun)
	pause(t.ctx, t.lasting(singleProcStage))
	busy := t.end().after(raised).busy(procs)
	stop.Store(true)
	return busy, <-feeding
}
