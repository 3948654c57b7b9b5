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

	"github.com/seed-97bda89a/executor/internal/testkit"
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

	mu      sync.Mutex
	fates   []*fate
	handled atomic.Int64 // panics that the handler saw
	wrong   []string
}

// crowd is a number of goroutines. Unlike with a sync.WaitGroup, new ones may come while somebody waits.
type crowd struct {
	mu    sync.Mutex
	n     int
	came  int
	empty sync.Cond
}

// Go starts a goroutine. A panic in it is not worth reporting: its joins panic.
func (c *crowd) Go(fn func()) {
	c.mu.Lock()
	c.n++
	c.came++
	c.mu.Unlock()
	go func() {
		defer func() {
			_ = recover()
			c.mu.Lock()
			c.n--
			c.empty.Broadcast()
			c.mu.Unlock()
		}()
		fn()
	}()
}

// wait waits until there is none, and returns how many there have been.
func (c *crowd) wait() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.n > 0 {
		c.empty.Wait()
	}
	return c.came
}

// treeConfig is the executor that a program gets, and how it ends.
type treeConfig struct {
	slots, spares, limit int
	stalls               bool
	overflow             bool // counters start near their overflow
	keepAlive            time.Duration
	drivers              int // goroutines that run the program at once
	end                  int
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
	c.stalls, c.overflow, c.drivers, c.end = flags&1 != 0, flags&2 != 0, 1+flags>>2&1, flags>>3%ends
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
// are dropped at the first error.
func (f *fate) mustRun() bool { return f.kind == "fork" || f.kind != "group" && !f.mayCancel.Load() }

// boom is what tasks panic with.
type boom struct{ id int }

var errTree = errors.New("the task failed")

// where is what a command has to know about the goroutine it runs on.
type where struct {
	inTask  bool   // a runner of the executor
	patient bool   // may wait for tasks and for room
	doomed  bool   // the context may be done
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

type treeKey struct{}

// vary is the context that a call is given, which need not be the task's own.
func vary(ctx context.Context, how int) context.Context {
	switch how >> 4 & 3 {
	case 1:
		return context.WithValue(ctx, treeKey{}, how)
	case 2:
		return context.Background()
	case 3:
		return Detached(ctx)
	}
	return ctx
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
			x.accepted(f, start(vary(ctx, s.arg), func(ctx context.Context) { _ = x.start(ctx, f, child, s) }))
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
		_ = For(vary(ctx, s.arg), e, s.arg%8, func(ctx context.Context, i int) error {
			in := child
			in.inTask = true
			x.run(ctx, self, in, s.body)
			if i == s.arg>>2 {
				return errTree
			}
			return nil
		})
	case stepBlocking:
		Blocking(vary(ctx, s.arg), func() {
			pause(s.arg)
			x.run(ctx, self, w, s.body)
		})
	case stepDo:
		if w.inTask { // part of the task
			_ = e.Do(vary(ctx, s.arg), func(ctx context.Context) error {
				x.run(ctx, self, w, s.body)
				return nil
			})
		}
	case stepOnThread:
		OnThread(vary(ctx, s.arg), func() { x.run(ctx, self, where{doomed: w.doomed}, calm(s.body)) })
	case stepBulkhead:
		_ = treeBulkhead.Blocking(vary(ctx, s.arg), func() { pause(s.arg) })
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
		_ = e.Resize(1 + s.arg%4)
	case stepLeak:
		x.outside.Go(func() {
			x.run(ctx, self, where{patient: true, doomed: w.doomed}, s.body)
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

// calm leaves out what could wait: inside OnThread calls come from outside, and a task with a full queue and no
// spare would wait for itself.
func calm(body []command) []command {
	return slices.DeleteFunc(slices.Clone(body), func(s command) bool {
		return !slices.Contains(leaves, s.kind) && s.kind != stepTryGo && s.kind != stepLeak
	})
}

var treeBulkhead, _ = NewBulkhead("tree", 2)

// pause stands for work, and for calls that block.
func pause(arg int) {
	switch arg % 4 {
	case 0:
		runtime.Gosched()
	case 1:
		testkit.Spin(20 * time.Microsecond)
	case 2:
		time.Sleep(50 * time.Microsecond)
	case 3:
		if arg > 250 {
			time.Sleep(5 * time.Millisecond)
		}
	}
}

func (x *tree) accepted(f *fate, err error) {
	f.accepted.Store(err == nil)
	known := err == nil || errors.Is(err, ErrClosed) || errors.Is(err, ErrQueueFull) || errors.Is(err, context.Canceled)
	x.check(known, "a task is refused with %v", err)
	x.check(err == nil || f.started.Load() == 0, "a refused task was started")
}

// submit starts a future. Some wait for it, with a context that may be done; some are canceled.
func (x *tree) submit(ctx context.Context, w, child where, s command) {
	f := x.task("future", w)
	if f == nil {
		return
	}
	parent := vary(ctx, s.arg)
	if s.kind == stepCancel {
		var cancel context.CancelFunc
		parent, cancel = context.WithCancel(parent)
		defer cancel()
		f.mayCancel.Store(true)
		child.doomed = true
		if s.arg&2 != 0 {
			cancel()
		}
	}
	submit := TrySubmit[int]
	if w.patient {
		submit = Submit[int]
	}
	fut, err := submit(parent, x.e, func(ctx context.Context) (int, error) {
		err := x.start(ctx, f, child, s)
		return f.id, err
	})
	x.accepted(f, err)
	if err != nil {
		return
	}
	f.future = fut
	if s.arg&4 != 0 {
		_ = fut.Done()
	}
	switch {
	case s.kind == stepSubmit || !w.patient:
	case s.arg&8 != 0:
		done, cancel := context.WithTimeout(vary(ctx, s.arg), 20*time.Microsecond)
		_, _ = fut.Wait(done)
		cancel()
	case s.kind == stepSubmitWait:
		v, err := fut.Wait(vary(ctx, s.arg>>1))
		if err == nil {
			x.check(v == f.id, "future %d is %d", f.id, v)
		}
	}
}

// fork starts a forked child, and joins it now, later, elsewhere or not.
func (x *tree) fork(ctx context.Context, w, child where, s command) (join func()) {
	f := x.task("fork", w)
	if f == nil {
		return nil
	}
	f.accepted.Store(true)
	f.counted = w.inTask
	if s.arg&16 != 0 {
		ctx = context.WithValue(ctx, treeKey{}, 0)
	}
	if !w.inTask {
		child = w
	}
	body := func(ctx context.Context) int {
		_ = x.start(ctx, f, child, s)
		return f.id
	}
	var handle Forked[int]
	if s.arg&32 != 0 {
		handle = ForkWith(ctx, func(ctx context.Context, body func(context.Context) int) int { return body(ctx) }, body)
	} else {
		handle = Fork(ctx, body)
	}
	join = func() {
		defer func() {
			value := recover()
			if value == nil {
				return
			}
			p, ok := value.(*PanicError)
			x.check(ok, "Join panics with %v", value)
			if ok {
				x.checkPanic(f, p)
			}
			if s.arg&128 != 0 {
				panic(value)
			}
		}()
		v := handle.Join(ctx)
		x.check(v == f.id, "child %d is %d", f.id, v)
		x.check(f.returned.Load() == 1, "child %d was joined before it returned", f.id)
		if s.arg&8 != 0 {
			x.checkTwice(ctx, handle)
		}
	}
	switch s.kind {
	case stepForkJoin:
		join()
		return nil
	case stepForkLeave:
		return nil
	case stepForkPass:
		x.outside.Go(join)
		return nil
	}
	return join
}

// checkTwice joins a child again, which must panic.
func (x *tree) checkTwice(ctx context.Context, handle Forked[int]) {
	defer func() { x.check(recover() == errJoinTwice, "a second Join does not panic") }()
	handle.Join(ctx)
}

func (x *tree) checkPanic(f *fate, p *PanicError) {
	_, nested := p.Value.(*PanicError)
	_, ours := p.Value.(boom)
	x.check(!nested, "a PanicError in a PanicError")
	x.check(ours && f.panicked.Load() == 1 || errors.Is(p, ErrGoexit) && f.panicked.Load()+f.goexited.Load() == 1,
		"task %d did not end so: %v", f.id, p.Value)
}

// group runs tasks as a group, or with ForEach.
func (x *tree) group(ctx context.Context, w, child where, s command) {
	if !w.patient {
		return
	}
	child.doomed = true // when one fails, and when Wait returns
	ctx = vary(ctx, s.arg)
	var mine []*fate
	body := func(ctx context.Context, f *fate, in where) error { return x.start(ctx, f, in, s) }
	var err error
	if s.kind == stepForEach {
		err = ForEach(ctx, x.e, func(yield func(*fate) bool) {
			for range 1 + s.arg&3 {
				f := x.task("group", w)
				if f == nil {
					return
				}
				f.accepted.Store(true)
				mine = append(mine, f)
				if !yield(f) {
					return
				}
			}
		}, func(ctx context.Context, f *fate) error { return body(ctx, f, child) })
	} else {
		g := x.e.NewGroup(ctx)
		if s.arg&4 != 0 {
			g.SetLimit(1 + s.arg&1)
		}
		if s.arg&128 != 0 {
			g.KeepGoing()
			g.SetBacklog(s.arg >> 3 & 1)
		}
		child.group = g
		for i := range 1 + s.arg&3 {
			f := x.task("group", w)
			if f == nil {
				break
			}
			fn := func(ctx context.Context) error { return body(ctx, f, child) }
			if s.arg&8 == 0 || i == 0 {
				f.accepted.Store(true)
				g.Go(fn)
				mine = append(mine, f)
			} else if g.TryGo(fn) {
				f.accepted.Store(true)
				mine = append(mine, f)
			}
		}
		err = g.Wait()
	}
	bad := 0
	for _, f := range mine {
		x.check(f.started.Load() == f.returned.Load()+f.panicked.Load()+f.goexited.Load(), "Wait left task %d running", f.id)
		if f.returned.Load() == 0 || f.err != nil {
			bad++
		}
	}
	x.check(bad == 0 || err != nil, "%d tasks of a group did not end well, and Wait says nothing", bad)
}

func (x *tree) check(ok bool, format string, args ...any) {
	if !ok {
		x.mu.Lock()
		x.wrong = append(x.wrong, fmt.Sprintf(format, args...))
		x.mu.Unlock()
	}
}
