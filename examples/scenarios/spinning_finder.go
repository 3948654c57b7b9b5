package main

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-97bda89a/executor"
)

// A worker that has nothing to do looks for something, at once and again and again.
var spinningFinder = scenario{
	name: "spinning-finder",
	explain: "Workers that pop, else steal, else try again keep every processor busy doing nothing, and whoever wants to stop " +
		"them has to wait for one; an idle executor is parked goroutines.",
	before: spinningFinderBefore, beforeWith: "a worker for each processor: pop, else steal, else loop",
	after: spinningFinderAfter, afterWith: "slots without work, whose runners sleep",
	unavailable: noProcessorTime,
}

const (
	spinningFinderBurnt = "processor time while idle"
	spinningFinderStop  = "longest time to stop"
)

// Five pools have nothing to do for 200 ms after a few tasks.
const (
	spinningFinderPools  = 5
	spinningFinderTasks  = 20
	spinningFinderSettle = 20 * time.Millisecond // until the last task's goroutines are done
	spinningFinderIdle   = 200 * time.Millisecond
)

// lockedDeque is a worker's own queue.
type lockedDeque struct {
	mu    sync.Mutex
	tasks []func()
}

func (q *lockedDeque) push(task func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.tasks = append(q.tasks, task)
}

// pop takes the newest, steal the oldest.
func (q *lockedDeque) pop() (task func(), ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if n := len(q.tasks); n > 0 {
		task, q.tasks = q.tasks[n-1], q.tasks[:n-1]
	}
	return task, task != nil
}

func (q *lockedDeque) steal() (task func(), ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.tasks) > 0 {
		task, q.tasks = q.tasks[0], q.tasks[1:]
	}
	return task, task != nil
}

// spinningPool is a small work-stealing pool without anything to sleep on.
type spinningPool struct {
	queues  []lockedDeque
	stopped atomic.Bool
	workers sync.WaitGroup
}

func newSpinningPool(t *trial, n int) *spinningPool {
	p := &spinningPool{queues: make([]lockedDeque, n)}
	for i := range n {
		p.workers.Go(func() { t.run("looking for work", func() { p.work(t, i) }) })
	}
	return p
}

func (p *spinningPool) work(t *trial, self int) {
	for !p.stopped.Load() {
		task, ok := p.queues[self].pop()
		for i := 1; !ok && i < len(p.queues); i++ {
			task, ok = p.queues[(self+i)%len(p.queues)].steal()
		}
		if ok {
			t.run("tasks", task)
		}
	}
}

func spinningFinderBefore(t *trial) (values, error) {
	var burnt time.Duration
	var stops longest
	for range t.times(spinningFinderPools) {
		p := newSpinningPool(t, cores())
		var tasks sync.WaitGroup
		tasks.Add(spinningFinderTasks)
		for i := range spinningFinderTasks {
			p.queues[i%len(p.queues)].push(func() {
				defer tasks.Done()
				spin(time.Millisecond)
			})
		}
		tasks.Wait()
		time.Sleep(spinningFinderSettle)
		used, until := processorTime(), time.Now().Add(spinningFinderIdle)
		time.Sleep(spinningFinderIdle)
		burnt += processorTime() - used
		p.stopped.Store(true)
		p.workers.Wait()
		stops.see(time.Since(until))
	}
	return values{duration(spinningFinderBurnt, burnt), duration(spinningFinderStop, stops.get())}, nil
}

func spinningFinderAfter(t *trial) (values, error) {
	var burnt time.Duration
	var stops longest
	for range t.times(spinningFinderPools) {
		exec, err := executor.New(executor.WithName("spinning-finder"), executor.WithSlots(cores()))
		if err != nil {
			return nil, err
		}
		group := exec.NewGroup(t.ctx)
		for range spinningFinderTasks {
			group.Go(func(context.Context) error {
				t.run("tasks", func() { spin(time.Millisecond) })
				return nil
			})
		}
		failed := group.Wait()
		time.Sleep(spinningFinderSettle)
		used, until := processorTime(), time.Now().Add(spinningFinderIdle)
		time.Sleep(spinningFinderIdle)
		burnt += processorTime() - used
		if err := exec.Close(); err != nil || failed != nil {
			return nil, errors.Join(failed, err)
		}
		stops.see(time.Since(until))
	}
	return values{duration(spinningFinderBurnt, burnt), duration(spinningFinderStop, stops.get())}, nil
}
