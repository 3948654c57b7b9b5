package executor

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A tree is a program for an executor, made from bytes: tasks that start tasks, wait, block, fail and so on. It
// knows how each task may end, and checks that each did, once. FuzzTree makes programs from what the fuzzer
// finds, TestSoak from random numbers.
type tree struct {
	e       *Executor
	data    []byte
	program []command
	conf    treeConfig
	shared  bool // others use the executor too
	steps   atomic.Int64

	outside crowd // goroutines of the tree that are not runners

	serial *Serial
	keyed  *Keyed[int]
	other  func() *Executor         // another executor, made when it is used
	pool   atomic.Pointer[Executor] // that, or nil

	mu      sync.Mutex
	fates   []*fate
	handled atomic.Int64 // panics that the handler saw
	wrong   []string
}

// treeConfig is the executor that a program gets, and how it ends.
type treeConfig struct {
	slots, spares, limit int
	stalls               bool
	overflow             bool // counters start near their overflow
	lanes                bool // tasks from outside are in treeLanes
	keepAlive            time.Duration
	drivers              int // goroutines that run the program at once
	end                  int
}

// options are those that the other executor has too.
func (c treeConfig) options() []Option {
	o := []Option{WithKeepAlive(c.keepAlive)}
	if c.lanes {
		o = append(o, WithLanes(treeLanes...))
	}
	return o
}

// The ways to end.
const (
	endAtRest = iota
	endShutdown
	endClose
	endExpired // Shutdown with a context that is done soon
	ends
)

// command is one instruction of a program.
type command struct {
	kind stepKind
	arg  int
	body []command
}

type stepKind int

const (
	stepReturn stepKind = iota // ends a body
	stepGo
	stepTryGo
	stepSubmit
	stepSubmitWait
	stepFork
	stepForkJoin
	stepForkLeave // never joined
	stepForkPass  // joined by another goroutine
	stepGroup
	stepGroupGo // one more task for the innermost group
	stepForEach
	stepFor
	stepBlocking
	stepOnThread
	stepBulkhead
	stepYield
	stepCheckpoint
	stepPause
	stepPanic
	stepGoexit
	stepCancel
	stepResize
	stepLeak // the context goes to a goroutine, which uses it
	stepMisuse
	stepStats
	stepDo
	stepSerial
	stepKeyed
	stepTimer
	stepOther // a Do of another executor
	steps
)

var leaves = []stepKind{stepBulkhead, stepYield, stepCheckpoint, stepPause, stepPanic, stepGoexit, stepResize, stepMisuse, stepStats}

// How much a program may do. More would make the fuzzer slow, not thorough.
const (
	maxDepth = 5
	maxFates = 64
	maxSteps = 2000 // loops in loops would run for minutes
)

func newTree(data []byte) *tree {
	x := &tree{data: data}
	x.conf, x.program = parseTree(data)
	x.outside.empty.L = &x.outside.mu
	return x
}

// on sets the executor.
func (x *tree) on(e *Executor) {
	x.e, x.serial, x.keyed = e, NewSerial(e), NewKeyed[int](e)
	x.other = sync.OnceValue(func() *Executor {
		other, err := New(append(x.conf.options(), WithName("other"), WithSlots(1+x.conf.slots%2))...)
		if err != nil {
			panic(err)
		}
		x.pool.Store(other)
		return other
	})
}

// parseTree makes a configuration and a program from bytes. Any bytes will do.
func parseTree(data []byte) (treeConfig, []command) {
	at := 0
	next := func() int {
		if at == len(data) {
			return 0
		}
		at++
		return int(data[at-1])
	}
	flags := 0
	c := treeConfig{slots: 1 + next()%3, spares: next() % 4, limit: 1 + next()%8}
	flags = next()
	c.stalls, c.overflow, c.lanes = flags&1 != 0, flags&2 != 0, flags&128 != 0
	c.drivers, c.end = 1+flags>>2&1, flags>>3%ends
	c.keepAlive = []time.Duration{10 * time.Second, 0, time.Millisecond, 100 * time.Microsecond}[flags>>5%4]
	var body func(depth int) []command
	body = func(depth int) (list []command) {
		for at < len(data) {
			s := command{kind: stepKind(next()) % steps}
			if s.kind == stepReturn {
				break
			}
			s.arg = next()
			if depth < maxDepth && !slices.Contains(leaves, s.kind) {
				s.body = body(depth + 1)
			}
			list = append(list, s)
		}
		return list
	}
	return c, body(0)
}

// uses reports whether a program has a command of the kind.
func uses(program []command, kind stepKind) bool {
	return slices.ContainsFunc(program, func(s command) bool { return s.kind == kind || uses(s.body, kind) })
}

// fate is what becomes of one task.
type fate struct {
	id        int
	kind      string
	counted   bool // by the executor; a fork outside of a task is just a call
	accepted  atomic.Bool
	mayCancel atomic.Bool // its context is canceled
	err       error
	future    *Future[int]

	started, returned, panicked, goexited atomic.Int32
}

// mustRun reports whether the task runs for sure, once accepted, on an executor that is not closed. Tasks of groups
// are dropped at the first error, and timers do not fire once the end has begun.
func (f *fate) mustRun() bool {
	return f.kind == "fork" || f.kind != "group" && f.kind != "timer" && !f.mayCancel.Load()
}

// boom is what tasks panic with.
type boom struct{ id int }

var errTree = errors.New("the task failed")

// where is what a command has to know about the goroutine it runs on.
type where struct {
	inTask  bool   // a runner of the executor
	patient bool   // may wait for tasks and for room
	doomed  bool   // the context may be done
	ordered bool   // a task of a Serial or a key is above, which must not wait for another one: that might wait in a circle
	below   bool   // a task of the executor is below the Do of another one
	group   *Group // whose task this is
}

// outsider is a goroutine with nothing to it.
var outsider = where{patient: true}

// task makes a task of the program, or nil if there are enough.
func (x *tree) task(kind string, w where) *fate {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.fates) >= maxFates {
		return nil
	}
	f := &fate{id: len(x.fates), kind: kind, counted: true}
	f.mayCancel.Store(w.doomed)
	x.fates = append(x.fates, f)
	return f
}

// start is run as the task f: it notes how they end.
func (x *tree) start(ctx context.Context, f *fate, w where, s command) error {
	f.started.Add(1)
	returned := false
	defer func() {
		if returned {
			f.returned.Add(1)
			return
		}
		value := recover()
		if value == nil {
			f.goexited.Add(1)
			return
		}
		f.panicked.Add(1)
		panic(value)
	}()
	w.inTask = f.counted
	x.run(ctx, f, w, s.body)
	returned = true
	if s.arg&64 != 0 {
		f.err = errTree
	}
	return f.err
}

// run runs commands one after another. The last things it does are the joins that are due.
func (x *tree) run(ctx context.Context, f *fate, w where, list []command) {
	var open []func()
	for _, s := range list {
		if join := x.obey(ctx, f, w, s); join != nil {
			open = append(open, join)
		}
	}
	for i := len(open) - 1; i >= 0; i-- {
		open[i]()
	}
}

// obey runs one command. What is to be joined later, it returns.
func (x *tree) obey(ctx context.Context, self *fate, w where, s command) (join func()) {
	if x.steps.Add(1) > maxSteps {
		return nil
	}
	e := x.e
	child := w
	child.group, child.patient = nil, true
	switch s.kind {
	case stepGo, stepTryGo:
		if f := x.task("bare", w); f != nil {
			start := e.TryGo
			if s.kind == stepGo && w.patient {
				start = e.Go
			}
			x.accepted(f, start(x.vary(ctx, s.arg), func(ctx context.Context) { _ = x.start(ctx, f, child, s) }))
		}
	case stepSubmit, stepSubmitWait, stepCancel:
		x.submit(ctx, w, child, s)
	case stepFork, stepForkJoin, stepForkLeave, stepForkPass:
		return x.fork(ctx, w, child, s)
	case stepGroup, stepForEach:
		x.group(ctx, w, child, s)
	case stepGroupGo:
		if f := x.task("group", w); f != nil {
			if w.group != nil {
				f.accepted.Store(true)
				child.group = w.group
				w.group.Go(func(ctx context.Context) error { return x.start(ctx, f, child, s) })
			}
		}
	case stepFor:
		_ = For(x.vary(ctx, s.arg), e, s.arg%8, func(ctx context.Context, i int) error {
			in := child
			in.inTask = true
			x.run(ctx, self, in, s.body)
			if i == s.arg>>2 {
				return errTree
			}
			return nil
		})
	case stepBlocking:
		Blocking(x.vary(ctx, s.arg), func() {
			pause(s.arg)
			x.run(ctx, self, w, s.body)
		})
	case stepDo:
		if w.inTask || w.below { // part of the task
			in := w
			in.inTask, in.patient, in.below = true, true, false
			_ = e.Do(x.vary(ctx, s.arg), func(ctx context.Context) error {
				x.run(ctx, self, in, s.body)
				return nil
			})
		}
	case stepSerial, stepKeyed:
		x.inOrder(ctx, w, child, s)
	case stepTimer:
		x.timer(child, s)
	case stepOther:
		in := where{doomed: w.doomed, ordered: w.ordered, below: w.inTask || w.below}
		_ = x.other().Do(x.vary(ctx, s.arg), func(ctx context.Context) error {
			pause(s.arg)
			x.run(ctx, self, in, calm(s.body))
			return nil
		})
	case stepOnThread:
		OnThread(x.vary(ctx, s.arg), func() { x.run(ctx, self, where{doomed: w.doomed, ordered: w.ordered}, calm(s.body)) })
	case stepBulkhead:
		_ = treeBulkhead.Blocking(x.vary(ctx, s.arg), func() { pause(s.arg) })
	case stepYield:
		_ = Yield(ctx)
	case stepCheckpoint:
		for range s.arg {
			_ = Checkpoint(ctx)
		}
	case stepPause:
		pause(s.arg)
		if s.arg&128 != 0 {
			x.pipe(ctx, s.arg)
		}
	case stepPanic:
		panic(boom{s.arg})
	case stepGoexit:
		runtime.Goexit()
	case stepResize:
		if s.arg&64 != 0 {
			_ = x.other().Resize(1 + s.arg%4)
		} else {
			_ = e.Resize(1 + s.arg%4)
		}
	case stepLeak:
		x.outside.Go(func() {
			x.run(ctx, self, where{patient: true, doomed: w.doomed, ordered: w.ordered}, s.body)
		})
	case stepMisuse:
		if w.inTask {
			x.check(errors.Is(e.Shutdown(ctx), ErrInTask), "Shutdown from a task")
			x.check(errors.Is(e.Close(), ErrInTask), "Close from a task")
			x.check(errors.Is(e.Quiesce(ctx), ErrInTask), "Quiesce from a task")
		}
	case stepStats:
		st := e.Stats()
		x.check(st.Failed <= st.Completed && st.Queued >= 0 && st.Idle <= st.Slots, "Stats: %+v", st)
	}
	return nil
}

// calm leaves out what could wait: inside OnThread, and in a Do of another executor, calls come from outside, and a task with a
// full queue and no spare would wait for itself. A Do of the first executor is part of the task again.
func calm(body []command) []command {
	return slices.DeleteFunc(slices.Clone(body), func(s command) bool {
		return !slices.Contains(leaves, s.kind) && s.kind != stepTryGo && s.kind != stepLeak && s.kind != stepDo
	})
}

func (x *tree) check(ok bool, format string, args ...any) {
	if !ok {
		x.mu.Lock()
		x.wrong = append(x.wrong, fmt.Sprintf(format, args...))
		x.mu.Unlock()
	}
}
