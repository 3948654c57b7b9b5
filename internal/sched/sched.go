// Package sched is the seam between the executor and executortest.Explore: how an executor that is made in a bubble of
// testing/synctest tells an explorer what its tasks do, and how that makes them wait for their turns.
package sched

import (
	"context"
	"sync"
	"sync/atomic"
)

// Point is a place where a task, or another goroutine that uses an executor, may have to wait for its turn.
type Point uint8

const (
	Start      Point = iota // a task is about to run
	Submit                  // a task is about to be queued
	Forked                  // a child has been queued
	Wait                    // its goroutine is about to wait for a task, a group, a channel, a lock
	Back                    // a wait is over
	Block                   // Blocking begins
	Unblock                 // Blocking has ended
	Checkpoint              // a Checkpoint
	Yield                   // a Yield
	End                     // a task's function has ended, and nobody knows yet
	Locked                  // a lock is somebody else's: to be tried again once somebody else has gone on
)

var points = [...]string{"start", "submit", "forked", "wait", "back", "blocking", "unblocked", "checkpoint", "yield", "end", "locked"}

func (p Point) String() string { return points[p] }

// Explorer decides who goes on in one bubble.
type Explorer interface {
	// Open is told of an executor that is made in the bubble: how many slots it is to have, 0 if that was not said, and
	// how to change how many it has. It returns how many it has first: there have to be as many as there are tasks.
	Open(slots int, resize func(n int) error) (pool Pool, first int)

	// Adopt makes a task of the calling goroutine, which is none of an executor and was not known (see Know).
	Adopt() Task
}

// Pool is what an explorer knows of an executor.
type Pool interface {
	// Submit is called by who submits a task, before that is queued.
	Submit(by Task, name string) Task
}

// Task is what an explorer knows of a task. Its methods are called on the goroutine that runs it.
type Task interface {
	// At waits for the task's turn.
	At(p Point)

	// Lend says whether the task's slot is lent.
	Lend(on bool)

	// Does is called by who submits the task, and says what it is for those that wait for it: a future, a group.
	Does(what any)

	// For says what the task is about to wait for: what another one Does, or a lock. It holds until the wait is over.
	For(what any)

	// Locks says that the task has taken a lock. That it unlocks it is not told.
	Locks(l any)

	// Start waits for the turn of a task that is about to begin. The task below it on the same stack, if there is one,
	// goes on after its end.
	Start(below Task)

	// End is told that the task's function has ended: whether it returned, and what it panicked with. It waits for the
	// task's turn to let others know.
	End(returned bool, panicked any, below Task)

	// Drop is told that the task ends without having begun.
	Drop()
}

var explorers struct {
	live atomic.Int32
	of   sync.Map // by the number of the bubble

	// Goroutines that are no runners, and what they are. To ask for their bubble takes a microsecond.
	known sync.Map

	taskOf atomic.Pointer[func(context.Context) Task]
}

// On reports whether there is an explorer anywhere in the process.
func On() bool { return explorers.live.Load() != 0 }

// Of returns the explorer of a bubble, or nil.
func Of(bubble uint64) Explorer {
	if x, ok := explorers.of.Load(bubble); ok {
		return x.(Explorer)
	}
	return nil
}

// Install makes x the explorer of a bubble, until remove is called.
func Install(bubble uint64, x Explorer) (remove func()) {
	explorers.of.Store(bubble, x)
	explorers.live.Add(1)
	return func() {
		explorers.of.Delete(bubble)
		explorers.live.Add(-1)
	}
}

// Know says what a goroutine is that is no runner: t, or if t is nil one that is never to wait for its turn.
func Know(goroutine int64, t Task) { explorers.known.Store(goroutine, known{t}) }

// Forget is the opposite.
func Forget(goroutine int64) { explorers.known.Delete(goroutine) }

// Known returns what Know said.
func Known(goroutine int64) (t Task, ok bool) {
	k, ok := explorers.known.Load(goroutine)
	if !ok {
		return nil, false
	}
	return k.(known).t, true
}

type known struct{ t Task }

// TaskOf returns the task that the calling goroutine runs, or nil.
func TaskOf(ctx context.Context) Task {
	if of := explorers.taskOf.Load(); of != nil && On() {
		return (*of)(ctx)
	}
	return nil
}

// SetTaskOf says how to find that out.
func SetTaskOf(of func(context.Context) Task) { explorers.taskOf.Store(&of) }
