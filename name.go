package executor

import (
	"context"
	"runtime/pprof"
	"sync"
	"sync/atomic"
)

// WithTaskName returns a copy of ctx with which tasks get a name: those submitted with it, with a context
// made from it, and by such tasks. The name is that of their spans and runtime/trace tasks, and the
// profiler label "task" while they run. Use few different names, and no values: a name per kind of work,
// not per request. An empty name takes the name away. It panics if ctx is nil.
func WithTaskName(ctx context.Context, name string) context.Context {
	if ctx == nil {
		panic(errNilContext)
	}
	anyName.Store(true)
	n := &namedContext{Context: ctx, name: name}
	switch c := ctx.(type) {
	case *taskContext, *detachedContext:
		n.ours = true
	case *namedContext:
		n.ours = c.ours
	}
	return n
}

// anyName tells whether WithTaskName was ever called: without it nobody has to look for names.
var anyName atomic.Bool

// namedContext is a context with a task name.
type namedContext struct {
	context.Context
	name  string
	ours  bool                   // it is made from a task's context, or by Detached, and nothing else is between
	known atomic.Pointer[parent] // then: of the last task that was submitted with it
}

type taskNameKey struct{}

func (c *namedContext) Value(key any) any {
	if _, own := key.(taskNameKey); own {
		return c.name
	}
	return c.Context.Value(key)
}

// rename gives ctx another name. It leaves out a name that would be hidden, or tasks that name the next
// one would build an endless chain.
func rename(ctx context.Context, name string) *namedContext {
	for {
		hidden, ok := ctx.(*namedContext)
		if !ok {
			return &namedContext{Context: ctx, name: name}
		}
		ctx = hidden.Context
	}
}

// nameOf returns the name of tasks with this parent, or "".
func nameOf(parent context.Context) string {
	if !anyName.Load() {
		return ""
	}
	name, _ := parent.Value(taskNameKey{}).(string)
	return name
}

// taskName is the name of tasks, with the labels of a runner that runs one.
type taskName struct {
	name    string
	labels  context.Context
	figures *taskFigures
}

// maxTaskNames bounds how many names an executor remembers. More cost an allocation each time.
const maxTaskNames = 1000

// taskNames are the names that an executor has met.
type taskNames struct {
	known sync.Map // string to *taskName
	len   atomic.Int32
}

// taskNameOf returns the name of tasks with this parent, or nil.
func (e *Executor) taskNameOf(parent context.Context) *taskName {
	name := nameOf(parent)
	if name == "" {
		return nil
	}
	if n, ok := e.taskNames.known.Load(name); ok {
		return n.(*taskName)
	}
	n := &taskName{name, pprof.WithLabels(e.labels, pprof.Labels("task", name)), e.figures.of(name)}
	if e.taskNames.len.Load() >= maxTaskNames {
		return n
	}
	kept, known := e.taskNames.known.LoadOrStore(name, n)
	if !known {
		e.taskNames.len.Add(1)
	}
	return kept.(*taskName)
}

// rename makes n the name of what runs on r, and sets the profiler labels.
func (r *runner) rename(n *taskName) {
	r.name.Store(n)
	if r.guest {
		return // its labels are the caller's
	}
	labels := r.e.labels
	if n != nil {
		labels = n.labels
	}
	pprof.SetGoroutineLabels(labels)
}

// labelsOf returns the context that carries the profiler labels of an executor's runners.
func labelsOf(name string) context.Context {
	return pprof.WithLabels(context.Background(), pprof.Labels("executor", name))
}
