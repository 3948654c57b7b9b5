package executor

import (
	"context"
	"errors"
)

// groupBooks says where each task of a group is. Its methods are the transitions: they change the books and say
// what is to be done, and do nothing else. Group does it (group.go). Caller holds Group.mu.
//
//	G1 A task is held back, or its caller waits at the bound, only while every permit is taken. So whoever ends with
//	   a permit passes it on, and nothing is held for ever.
//	G2 There are never more permits than the limit, nor more held tasks than the backlog. Callers wait only
//	   while the backlog is full.
//	G3 active counts the tasks that were accepted and have not ended: queued, running, or held.
//	G4 Held tasks, and then those whose callers wait, start first in, first out.
type groupBooks struct {
	limit   int // of permits; negative: there are none, and nothing is held
	backlog int // of held tasks
	active  int
	permits int // taken ones

	held    taskList   // accepted, and without a permit
	waiting waiterList // callers at the bound: their tasks are not accepted yet
	queued  taskList   // queued in the executor, and not claimed as far as known; the newest is last
}

// placement is what becomes of a new task.
type placement int

const (
	placeStart   placement = iota // it has a permit, or needs none: to be queued
	placeHeld                     // it is held back until it gets a permit
	placeInPlace                  // the backlog is full: its caller, a task of the group, runs it under its own permit
	placeWait                     // the backlog is full: its caller waits
	placeRefused                  // the group is at its limit, and its caller does not wait
)

// place says what becomes of a new task. member says that its caller is a task of the group, wait that it may be held
// back at all.
func (b *groupBooks) place(member, wait bool) placement {
	switch {
	case b.limit < 0 || b.permits < b.limit: // nobody is before it (G1)
		return placeStart
	case !wait:
		return placeRefused
	case b.held.len < b.backlog:
		return placeHeld
	case member:
		return placeInPlace
	}
	return placeWait
}

// enter takes a new task on the books, as place has said. One whose caller waits is not on them yet: its waiter is.
func (b *groupBooks) enter(t *groupTask, place placement) {
	switch place {
	case placeHeld:
		b.held.push(t)
	case placeStart:
		if t.permit = b.limit > 0; t.permit {
			b.permits++
		}
	}
	b.active++
}

// end takes a task off the books that has ended, or was refused after all. It returns the task that its permit goes
// to, if any, and the callers that need not wait any more. accept is asked for each of these whether its task is
// accepted, and says in the waiter why not.
func (b *groupBooks) end(t *groupTask, accept func(*waiter) bool) (next *groupTask, served *waiter) {
	b.active--
	b.queued.remove(t)
	if !t.permit {
		return nil, nil
	}
	t.permit = false
	next = b.held.pop()
	for w := b.waiting.first; w != nil && (next == nil || b.held.len < b.backlog); w = b.waiting.first {
		b.waiting.remove(w)
		w.next, served = served, w
		switch {
		case !accept(w):
			continue
		case next == nil: // nothing is held: the backlog is 0
			next = w.task()
		default:
			b.held.push(w.task())
		}
		b.active++
	}
	if next != nil {
		next.permit = true // the one that ended had
	} else {
		b.permits--
	}
	return next, served
}

// unhold takes what is held back off the list, if it is of this round, and returns it in order, linked by next. It is
// still active. The tasks of a group are all of one round: the next one begins when none is active.
func (b *groupBooks) unhold(rd *round) *groupTask {
	first := b.held.first
	if first == nil || first.round != rd {
		return nil
	}
	for t := first; t != nil; t = t.next {
		t.listed = false
	}
	b.held = taskList{}
	return first
}

// announce makes a task known to those who wait for the group, unless it has been claimed.
func (b *groupBooks) announce(t *groupTask) {
	if !t.dead() {
		b.queued.push(t)
	}
}

// newest returns the newest queued task of a round that looks unclaimed, or nil. It forgets claimed ones that are newer.
func (b *groupBooks) newest(rd *round) *groupTask {
	for t := b.queued.last; t != nil && t.round == rd; t = b.queued.last {
		if !t.dead() {
			return t
		}
		b.queued.remove(t)
	}
	return nil
}

// round is one use of a Group, from the first Go or Context to the end of Wait.
type round struct {
	g      *Group
	ctx    context.Context
	cancel context.CancelCauseFunc

	// Under Group.mu.
	errs    []error // the first; with KeepGoing all, in order
	ended   bool    // one of errs is the end of ctx or of the executor: with KeepGoing that counts once
	started bool    // by a task: KeepGoing comes too late
	used    bool    // Context was called, a task accepted, or there is an error: only Wait may end it
}

// record keeps an error of the round and reports whether it is to cancel the others. Caller holds g.mu.
func (rd *round) record(err error) (cancel bool) {
	if err == nil {
		return false
	}
	rd.used = true
	if !rd.g.keepGoing {
		if len(rd.errs) > 0 {
			return false
		}
		rd.errs = append(rd.errs, err)
		return true
	}
	if rd.isEnd(err) {
		if rd.ended {
			return false
		}
		rd.ended = true
	}
	rd.errs = append(rd.errs, err)
	return false
}

// isEnd reports whether err says no more than that the round or the executor has ended.
func (rd *round) isEnd(err error) bool {
	if sameError(err, ErrClosed) {
		return true
	}
	said := rd.ctx.Err()
	if said == nil {
		return false
	}
	cause := context.Cause(rd.ctx)
	if both, ok := err.(*contextError); ok {
		return sameError(both.err, said) && sameError(both.cause, cause)
	}
	return sameError(err, said) || sameError(err, cause)
}

// result returns what Wait says. Caller holds g.mu.
func (rd *round) result() error {
	if len(rd.errs) == 1 {
		return rd.errs[0]
	}
	return errors.Join(rd.errs...)
}

// taskList is a list of group tasks. A task is in one at most.
type taskList struct {
	first, last *groupTask
	len         int
}

func (l *taskList) push(t *groupTask) {
	t.listed, t.prev, t.next = true, l.last, nil
	if l.last != nil {
		l.last.next = t
	} else {
		l.first = t
	}
	l.last = t
	l.len++
}

// pop removes the oldest task, or returns nil.
func (l *taskList) pop() *groupTask {
	t := l.first
	if t != nil {
		l.remove(t)
	}
	return t
}

// remove takes t off the list, if it is on one: then it is on this one.
func (l *taskList) remove(t *groupTask) {
	if !t.listed {
		return
	}
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		l.first = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	} else {
		l.last = t.prev
	}
	t.listed, t.prev, t.next = false, nil, nil
	l.len--
}

// task returns the task of a submitter that waits at the bound of its group.
func (w *waiter) task() *groupTask { return w.of.(*groupTask) }
