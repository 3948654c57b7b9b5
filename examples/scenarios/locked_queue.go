package main

import "sync"

// lockedQueue is the queue that most pools begin with: one for all, first in first out, with a mutex around it. It has
// no bound, so that tasks may add to it. The timeline shows who waits for the lock.
type lockedQueue struct {
	t      *trial
	mu     sync.Mutex
	some   sync.Cond
	tasks  []func()
	first  int // of tasks; those before are gone
	closed bool
}

func newLockedQueue(t *trial) *lockedQueue {
	q := &lockedQueue{t: t}
	q.some.L = &q.mu
	return q
}

// lock is q.mu.Lock(), seen.
func (q *lockedQueue) lock() {
	if !q.mu.TryLock() {
		q.t.block(q.mu.Lock)
	}
}

func (q *lockedQueue) put(task func()) {
	q.lock()
	q.tasks = append(q.tasks, task)
	q.mu.Unlock()
	q.some.Signal()
}

// take waits for a task. It reports false when the queue is closed and empty.
func (q *lockedQueue) take() (func(), bool) {
	q.lock()
	defer q.mu.Unlock()
	for q.first == len(q.tasks) && !q.closed {
		q.t.rest(q.some.Wait)
	}
	if q.first == len(q.tasks) {
		return nil, false
	}
	task := q.tasks[q.first]
	q.tasks[q.first] = nil
	if q.first++; q.first == len(q.tasks) {
		q.tasks, q.first = q.tasks[:0], 0
	}
	return task, true
}

func (q *lockedQueue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.some.Broadcast()
}

// work starts that many workers. The function that it returns closes the queue and waits for them.
func (q *lockedQueue) work(workers int) (stop func()) {
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			q.t.run("tasks", func() {
				for task, ok := q.take(); ok; task, ok = q.take() {
					task()
				}
			})
		})
	}
	return func() {
		q.close()
		all.Wait()
	}
}
