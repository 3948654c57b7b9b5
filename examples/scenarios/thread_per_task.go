package main

import (
	"context"
	"runtime"
	"sync"
	"time"

	"github.com/seed-97bda89a/executor"
)

// The tasks change their thread, or so somebody thought: each one gets a thread that nobody has used before, and that
// nobody uses afterwards.
var threadPerTask = scenario{
	name: "thread-per-task",
	explain: "A goroutine that is locked to its thread and ends takes the thread with it, so every short task pays for a new one; " +
		"runners are reused, and the few tasks that need a thread of their own say OnThread.",
	before: threadPerTaskBefore, beforeWith: "a new locked goroutine for each task",
	after: threadPerTaskAfter, afterWith: "slots, whose runners are reused",
	unavailable: threadsMissing,
}

const (
	threadPerTaskTime    = "time for 1,000 tasks"
	threadPerTaskThreads = "threads used"
	threadPerTaskSome    = "with 1 of 100 on a thread"
)

const (
	threadPerTaskTasks = 1000
	threadPerTaskWork  = 20 * time.Microsecond
	threadPerTaskBound = 100 // every 100th task does need a thread of its own
)

// threadSet is the threads that tasks were seen on.
type threadSet struct{ seen sync.Map }

func (s *threadSet) see() { s.seen.Store(threadID(), nil) }
func (s *threadSet) len() (n int) {
	s.seen.Range(func(_, _ any) bool { n++; return true })
	return n
}

func threadPerTaskBefore(t *trial) (values, error) {
	var used threadSet
	var all sync.WaitGroup
	t.begin()
	start := time.Now()
	for range threadPerTaskTasks {
		all.Go(func() {
			runtime.LockOSThread() // and never unlocked: the thread is spoilt, and ends with the goroutine
			used.see()
			t.run("tasks", func() { spin(threadPerTaskWork) })
		})
	}
	all.Wait()
	took := time.Since(start)
	return values{duration(threadPerTaskTime, took), count(threadPerTaskThreads, used.len()), duration(threadPerTaskSome, took)}, nil
}

func threadPerTaskAfter(t *trial) (values, error) {
	var own threadSet
	some, err := threadPerTaskWith(t.aside(), func(ctx context.Context, i int, task func()) {
		if i%threadPerTaskBound == 0 {
			executor.OnThread(ctx, task)
		} else {
			task()
		}
	}, &own)
	if err != nil {
		return nil, err
	}
	var used threadSet
	none, err := threadPerTaskWith(t, func(_ context.Context, _ int, task func()) { task() }, &used)
	return values{duration(threadPerTaskTime, none), count(threadPerTaskThreads, used.len()), duration(threadPerTaskSome, some)}, err
}

func threadPerTaskWith(t *trial, do func(context.Context, int, func()), used *threadSet) (time.Duration, error) {
	exec, err := executor.New(executor.WithName("thread-per-task"), executor.WithSlots(cores()))
	if err != nil {
		return 0, err
	}
	defer exec.Close()
	t.begin()
	start := time.Now()
	group := exec.NewGroup(t.ctx)
	for i := range threadPerTaskTasks {
		group.Go(func(ctx context.Context) error {
			do(ctx, i, func() {
				used.see()
				t.run("tasks", func() { spin(threadPerTaskWork) })
			})
			return nil
		})
	}
	err = group.Wait()
	return time.Since(start), err
}
