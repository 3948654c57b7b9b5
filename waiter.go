package executor

// waiter is a submitter that waits for room, in the executor's queue or in a group, in arrival order. Each waits on a
// channel of its own: thousands of goroutines queueing on one mutex cost the garbage collector dearly (golang/go#81957).
type waiter struct {
	caller     *runner // whose task waits, of whatever executor, or nil
	en         entry
	ready      chan struct{} // closed when the waiter is granted or refused
	err        error         // why it was refused; read after ready
	own        bool          // a task of this executor waits: a drain does not refuse it
	inTask     bool          // some task waits: it must not wait for a queue that stands still
	listed     bool
	of         any // at another bound than the queue's: a *groupTask, or an *orderWait of a Serial or Keyed
	prev, next *waiter
}

// waiterList is a first-in first-out list of waiters.
type waiterList struct {
	first, last *waiter
	len, inTask int
}

func (l *waiterList) push(w *waiter) {
	w.listed, w.prev, w.next = true, l.last, nil
	if l.last != nil {
		l.last.next = w
	} else {
		l.first = w
	}
	l.last = w
	l.len++
	if w.inTask {
		l.inTask++
	}
}

func (l *waiterList) remove(w *waiter) {
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		l.first = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	} else {
		l.last = w.prev
	}
	w.listed, w.prev, w.next = false, nil, nil
	l.len--
	if w.inTask {
		l.inTask--
	}
}

// wakeAll wakes waiters that were granted or refused.
func wakeAll(w *waiter) {
	for w != nil {
		next := w.next
		w.next = nil
		close(w.ready)
		w = next
	}
}
