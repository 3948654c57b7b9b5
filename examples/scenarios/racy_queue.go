package main

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-97bda89a/executor"
)

// A queue of a worker's own from which others steal, with a head and a tail that everybody reads and writes as they
// come. Each access is atomic, and the race detector finds nothing; what is missing is that two of them belong together.
var racyQueue = scenario{
	name: "racy-queue",
	explain: "A ring with a head and a tail that are read, then written, gives one task to two workers and overwrites others; " +
		"the executor's queues claim tasks by compare-and-swap.",
	before: racyQueueBefore, beforeWith: "one owner and two thieves on a ring of 256",
	after: racyQueueAfter, afterWith: "a task starts as many children, and idle slots steal",
	unavailable: func() string {
		if runtime.GOMAXPROCS(0) < 2 {
			return "it takes two processors for a race"
		}
		return ""
	},
}

const (
	racyQueueTasks = "tasks"
	racyQueueLost  = "tasks lost"
	racyQueueTwice = "tasks run more than once"
)

const (
	racyQueueCount   = 8_000_000
	racyQueueEach    = 20 * time.Nanosecond
	racyQueueRounds  = 5
	racyQueueThieves = 2
	racyQueueOwn     = 16 // after so many pushes the owner takes until nothing is left
)

// ring is a queue of 256 tasks, which are numbers here. Its owner adds and takes at the tail, thieves take half of it
// at the head.
type ring struct {
	head, tail atomic.Uint64
	cells      [256]atomic.Int64
}

func (q *ring) push(task int64) bool {
	tail := q.tail.Load()
	if int64(tail-q.head.Load()) >= int64(len(q.cells)) {
		return false
	}
	q.cells[tail%uint64(len(q.cells))].Store(task)
	q.tail.Store(tail + 1)
	return true
}

func (q *ring) pop() (int64, bool) {
	head, tail := q.head.Load(), q.tail.Load()
	if int64(tail-head) <= 0 {
		return 0, false
	}
	q.tail.Store(tail - 1)
	return q.cells[(tail-1)%uint64(len(q.cells))].Load(), true
}

func (q *ring) stealHalf(stolen []int64) []int64 {
	head, tail := q.head.Load(), q.tail.Load()
	size := int64(tail - head)
	if size <= 0 {
		return stolen
	}
	half := uint64(size+1) / 2
	for i := range half {
		stolen = append(stolen, q.cells[(head+i)%uint64(len(q.cells))].Load())
	}
	q.head.Store(head + half)
	return stolen
}

// racyQueueBefore goes on until something has gone wrong: on a machine with other work the workers may not meet at once.
func racyQueueBefore(t *trial) (values, error) {
	var r racyQueueResult
	for round := 0; round < racyQueueRounds && r.lost+r.twice == 0; round++ {
		r.add(racyQueueRound(t))
	}
	return r.values(), nil
}

func racyQueueRound(t *trial) (ran []atomic.Int32) {
	n := t.times(racyQueueCount)
	ran = make([]atomic.Int32, n)
	work := func(task int64) {
		ran[task].Add(1)
		spin(racyQueueEach)
	}
	var q ring
	var over atomic.Bool
	var all sync.WaitGroup
	for range racyQueueThieves {
		all.Go(func() {
			t.worker(func() {
				stolen := make([]int64, 0, len(q.cells))
				for !over.Load() {
					stolen = q.stealHalf(stolen[:0])
					if len(stolen) == 0 {
						runtime.Gosched()
						continue
					}
					t.run("stolen tasks", func() {
						for _, task := range stolen {
							work(task)
						}
					})
				}
			})
		})
	}
	own := func() (ok bool) {
		task, ok := q.pop()
		if ok {
			work(task)
		}
		return ok
	}
	t.run("the owner's tasks", func() {
		for task := range int64(n) {
			for !q.push(task) { // full
				own()
			}
			if task%racyQueueOwn == 0 {
				for own() {
				}
			}
		}
		for own() {
		}
	})
	over.Store(true)
	all.Wait()
	return ran
}

func racyQueueAfter(t *trial) (values, error) {
	n := t.times(racyQueueCount)
	ran := make([]atomic.Int32, n)
	work := func(task int64) {
		ran[task].Add(1)
		spin(racyQueueEach)
	}
	exec, err := executor.New(executor.WithName("racy-queue"), executor.WithSlots(1+racyQueueThieves))
	if err != nil {
		return nil, err
	}
	defer exec.Close()
	future, err := executor.Submit(t.ctx, exec, func(ctx context.Context) (struct{}, error) {
		var err error
		t.run("the task that starts all", func() {
			for task := range n {
				child := func(context.Context) { work(int64(task)) }
				if task%200 == 0 { // so few are drawn
					child = func(context.Context) { t.run("children", func() { work(int64(task)) }) }
				}
				if err = exec.Go(ctx, child); err != nil {
					return
				}
			}
		})
		return struct{}{}, err
	})
	if err != nil {
		return nil, err
	}
	if _, err := future.Wait(t.ctx); err != nil {
		return nil, err
	}
	err = exec.Shutdown(t.ctx) // runs everything
	var r racyQueueResult
	r.add(ran)
	return r.values(), err
}

type racyQueueResult struct{ tasks, lost, twice int }

func (r *racyQueueResult) add(ran []atomic.Int32) {
	r.tasks += len(ran)
	for i := range ran {
		switch n := ran[i].Load(); {
		case n == 0:
			r.lost++
		case n > 1:
			r.twice++
		}
	}
}

func (r *racyQueueResult) values() values {
	return values{count(racyQueueTasks, r.tasks), count(racyQueueLost, r.lost), count(racyQueueTwice, r.twice)}
}
