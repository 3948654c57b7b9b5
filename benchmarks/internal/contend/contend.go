// Package contend puts every way of running tasks behind one small interface,
// so that one benchmark measures all of them with the same code. The libraries
// are used as their documentation says, with their defaults, through their
// cheapest call for a task without a result.
package contend

import (
	"context"
	"fmt"
)

// A Task is one function in the forms in which the contenders take it. Each of
// them uses its own form, so that nobody pays for an adapting closure.
type Task struct {
	Plain func()
	Err   func() error
	Ctx   func(context.Context)
}

// A Form names the field of Task that a contender uses.
type Form int

// The forms of a task.
const (
	Plain Form = iota
	WithError
	WithContext
)

// Empty does nothing.
var Empty = Task{
	Plain: func() {},
	Err:   func() error { return nil },
	Ctx:   func(context.Context) {},
}

// TaskOf makes a task that can be submitted to anybody, any number of times.
// The context is the task's own where the contender has such a thing.
func TaskOf(f func(context.Context)) Task {
	return Task{
		Plain: func() { f(context.Background()) },
		Err:   func() error { f(context.Background()); return nil },
		Ctx:   f,
	}
}

// A Pool is one contender at work.
type Pool interface {
	// Submit hands over a task, and waits where the contender makes its
	// callers wait. Inside a task, ctx is the task's.
	Submit(ctx context.Context, t Task) error
	// Wait returns when every task has ended. It is called once, from
	// outside, after the last Submit.
	Wait() error
	// Close frees what Wait has left. It is called once, after Wait.
	Close()
}

// A Trier is a pool that can refuse a task instead of making the caller wait.
type Trier interface {
	TrySubmit(ctx context.Context, t Task) bool
}

// A Counter is a pool that knows why it is as fast as it is.
type Counter interface {
	// Counts returns how many tasks were stolen, and how often a runner went
	// to sleep, since the pool was opened.
	Counts() (stolen, parks uint64)
}

// A Config is what a pool is opened with.
type Config struct {
	Slots int
	Queue int  // tasks that may wait; 0 = 1024 a slot. Ignored where there is no queue, or no bound
	Try   bool // TrySubmit will be called, never Submit
}

func (c Config) queue() int {
	if c.Queue > 0 {
		return c.Queue
	}
	return 1024 * c.Slots
}

// A Contender is one way of running tasks.
type Contender struct {
	Name   string
	About  string // one sentence for the legend
	Module string // whose version is printed; empty for the standard library
	Form   Form
	// Nests says that any number of tasks may submit to their own pool
	// without waiting for each other for ever.
	Nests bool
	// Tries says that the pools are Triers.
	Tries bool
	Open  func(Config) (Pool, error)
}

// Executor is the name of the contender that all others are compared with.
const Executor = "executor"

// All returns the contenders, in the order in which tables list them.
func All() []Contender {
	return []Contender{
		executorContender(), channel(), ants(), pond(), conc(), workerPool(), goPool(),
		errGroup(), semaphoreAndGo(), plainGo(),
	}
}

// Named returns the contenders with these names, in this order.
func Named(names ...string) []Contender {
	var out []Contender
	for _, name := range names {
		found := false
		for _, c := range All() {
			if c.Name == name {
				out, found = append(out, c), true
			}
		}
		if !found {
			panic(fmt.Sprintf("contend: nobody is called %q", name))
		}
	}
	return out
}

// Each submits work(ctx, 0) to work(ctx, n-1) from outside: one closure a task,
// in the form that the contender takes.
func (c Contender) Each(p Pool, n int, work func(ctx context.Context, i int)) error {
	bg := context.Background()
	for i := range n {
		var t Task
		switch c.Form {
		case Plain:
			t.Plain = func() { work(bg, i) }
		case WithError:
			t.Err = func() error { work(bg, i); return nil }
		case WithContext:
			t.Ctx = func(ctx context.Context) { work(ctx, i) }
		}
		if err := p.Submit(bg, t); err != nil {
			return err
		}
	}
	return nil
}
