package pond

import "context"

// BasePool is what all pools have.
type BasePool interface {
	RunningWorkers() int64    // workers, which run a task each
	SubmittedTasks() uint64   // tasks that came, the refused ones included
	WaitingTasks() uint64     // tasks in the queue
	FailedTasks() uint64      // tasks that ended with an error, panics included
	SuccessfulTasks() uint64  // tasks that ended without
	CompletedTasks() uint64   // both
	DroppedTasks() uint64     // tasks that were refused
	CanceledTasks() uint64    // tasks that did not start because a context was done
	MaxConcurrency() int      // how many tasks may run at once
	QueueSize() int           // bound of the queue
	NonBlocking() bool        // submissions do not wait for room
	Context() context.Context // done when the pool has stopped
	Stop() Task               // takes no more tasks; the Task is done when all have ended
	StopAndWait()             // Stop, and wait
	Stopped() bool            // no more tasks are taken
	Resize(maxConcurrency int)
}

// Pool runs tasks, at most as many at once as MaxConcurrency says.
type Pool interface {
	BasePool

	// Go runs task, without a way to wait for it.
	Go(task func()) error

	// Submit runs task. If the pool refuses it, that is the Task's error.
	Submit(task func()) Task

	// SubmitErr is Submit for tasks that can fail.
	SubmitErr(task func() error) Task

	// TrySubmit is Submit without waiting for room. It reports whether the pool took the task.
	TrySubmit(task func()) (Task, bool)

	// TrySubmitErr is TrySubmit for tasks that can fail.
	TrySubmitErr(task func() error) (Task, bool)

	// NewSubpool returns a pool that shares this one's workers. It panics if it would be larger.
	NewSubpool(maxConcurrency int, options ...Option) Pool

	// NewGroup returns a group of tasks under the pool's context.
	NewGroup() TaskGroup

	// NewGroupContext returns a group of tasks under ctx.
	NewGroupContext(ctx context.Context) TaskGroup
}

// ResultPool is a Pool whose tasks return a value.
type ResultPool[R any] interface {
	BasePool

	Submit(task func() R) ResultTask[R]
	SubmitErr(task func() (R, error)) ResultTask[R]
	TrySubmit(task func() R) (ResultTask[R], bool)
	TrySubmitErr(task func() (R, error)) (ResultTask[R], bool)
	NewSubpool(maxConcurrency int, options ...Option) ResultPool[R]
	NewGroup() ResultTaskGroup[R]
	NewGroupContext(ctx context.Context) ResultTaskGroup[R]
}

// Task is a task that one can wait for.
type Task interface {
	// Done is closed when the task has ended, was refused, or the pool's context is done.
	Done() <-chan struct{}

	// Wait waits for that and returns the error. A task that waits lends its slot.
	Wait() error
}

// ResultTask is a task that returns a value.
type ResultTask[R any] interface {
	Done() <-chan struct{}
	Wait() (R, error)
}

// Result is a ResultTask.
//
// Deprecated: Use ResultTask.
type Result[R any] interface {
	Done() <-chan struct{}
	Wait() (R, error)
}

// TaskGroup is a set of tasks with one error: the first. It keeps those from starting that have not.
type TaskGroup interface {
	// Submit runs tasks, and returns the group.
	Submit(tasks ...func()) TaskGroup

	// SubmitErr is Submit for tasks that can fail.
	SubmitErr(tasks ...func() error) TaskGroup

	// Wait waits until all tasks that came before have ended, or one has failed and the running ones have ended. It
	// returns the first error, the cause of the context's end, or ErrGroupStopped.
	Wait() error

	// Done is closed when Wait would not wait for results any more.
	Done() <-chan struct{}

	// Stop keeps tasks from starting.
	Stop()

	// Context is done after the first error or Stop, or with the context that the group was made under.
	Context() context.Context
}

// ResultTaskGroup is a TaskGroup whose tasks return a value. Wait returns the values in order of submission.
type ResultTaskGroup[O any] interface {
	Submit(tasks ...func() O) ResultTaskGroup[O]
	SubmitErr(tasks ...func() (O, error)) ResultTaskGroup[O]
	Wait() ([]O, error)
	Done() <-chan struct{}
	Stop()
}
