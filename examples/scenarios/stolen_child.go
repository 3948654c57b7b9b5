package main

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/petermattis/goid"

	"github.com/seed-97bda89a/executor"
)

// Each task reads something and leaves the rest to a child, which needs what was read: it is in the cache of the
// processor that the parent ran on, and gone from there when the child's turn comes after everybody else's.
var stolenChild = scenario{
	name: "stolen-child",
	explain: "In one queue for all, a child stands behind everything else and then runs on any core, with a cold cache; " +
		"the owner of a deque takes its newest task first, the one whose data it has just touched.",
	before: stolenChildBefore, beforeWith: "workers on one channel",
	after: stolenChildAfter, afterWith: "a child goes to the deque of its parent's slot",
}

const (
	stolenChildHome = "children run where made"
	stolenChildTail = "child done after, 99th perc."
	stolenChildTime = "time for all"
)

const (
	stolenChildParents = 2000
	stolenChildData    = 32 << 10 // numbers: 256 KiB, which fit into a cache of the second level
)

// stolenChildLoad is the work of both sides.
type stolenChildLoad struct {
	t     *trial
	home  atomic.Int64
	waits waits
	sums  atomic.Int64
}

// parent makes the data, and returns the child's work.
func (l *stolenChildLoad) parent() (child func()) {
	data := make([]int64, stolenChildData)
	l.t.run("parents", func() {
		for i := range data {
			data[i] = int64(i)
		}
	})
	maker, made := goid.Get(), time.Now()
	return func() {
		if goid.Get() == maker {
			l.home.Add(1)
		}
		l.t.run("children", func() {
			var sum int64
			for range 4 {
				for _, x := range data {
					sum += x
				}
			}
			l.sums.Add(sum)
		})
		l.waits.see(time.Since(made))
	}
}

func (l *stolenChildLoad) values(children int, took time.Duration) values {
	return values{
		share(stolenChildHome, float64(l.home.Load())/float64(children)),
		duration(stolenChildTail, l.waits.percentile(99)),
		duration(stolenChildTime, took),
	}
}

func stolenChildBefore(t *trial) (values, error) {
	n := t.times(stolenChildParents)
	tasks := make(chan func(), 2*n) // or workers that start children might all wait for room
	var workers, all sync.WaitGroup
	for range cores() {
		workers.Go(func() {
			t.worker(func() {
				for task := range tasks {
					task()
				}
			})
		})
	}
	load := stolenChildLoad{t: t}
	start := time.Now()
	all.Add(2 * n)
	for range n {
		tasks <- func() {
			defer all.Done()
			child := load.parent()
			tasks <- func() {
				defer all.Done()
				child()
			}
		}
	}
	all.Wait()
	took := time.Since(start)
	close(tasks)
	workers.Wait()
	return load.values(n, took), nil
}

func stolenChildAfter(t *trial) (values, error) {
	n := t.times(stolenChildParents)
	exec, err := executor.New(executor.WithName("stolen-child"), executor.WithSlots(cores()), executor.WithQueueLimit(2*n))
	if err != nil {
		return nil, err
	}
	defer exec.Close()
	load := stolenChildLoad{t: t}
	var refused firstError
	start := time.Now()
	for range n {
		refused.see(exec.Go(t.ctx, func(ctx context.Context) {
			child := load.parent()
			refused.see(exec.Go(ctx, func(context.Context) { child() }))
		}))
	}
	refused.see(exec.Quiesce(t.ctx))
	return load.values(n, time.Since(start)), refused.get()
}
