package executor

import (
	"context"
	"errors"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/seed-97bda89a/executor/internal/testkit"
)

// The tasks of a tree: how they are started, joined and checked.

type treeKey struct{}

// treeLanes are the lanes of programs that have some.
var treeLanes = []Lane{{Name: "max", Max: 1}, {Name: "reserved", Reserved: 1}, {Name: "fair", Fair: true}}

// vary is the context that a call is given, which need not be the task's own.
func (x *tree) vary(ctx context.Context, how int) context.Context {
	switch how >> 4 & 3 {
	case 0:
		if lane := how & 3; x.conf.lanes && lane < len(treeLanes) {
			return WithTenant(WithLane(ctx, treeLanes[lane].Name), strconv.Itoa(how>>2&3))
		}
	case 1:
		return context.WithValue(ctx, treeKey{}, how)
	case 2:
		return context.Background()
	case 3:
		return Detached(ctx)
	}
	return ctx
}

func (x *tree) accepted(f *fate, err error) {
	f.accepted.Store(err == nil)
	known := err == nil || errors.Is(err, ErrClosed) || errors.Is(err, ErrQueueFull) || errors.Is(err, context.Canceled) || errors.Is(err, ErrSelfWait)
	x.check(known, "a task is refused with %v", err)
	x.check(err == nil || f.started.Load() == 0, "a refused task was started")
}

// submit starts a future. Some wait for it, with a context that may be done; some are canceled.
func (x *tree) submit(ctx context.Context, w, child where, s command) {
	f := x.task("future", w)
	if f == nil {
		return
	}
	parent := x.vary(ctx, s.arg)
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
		done, cancel := context.WithTimeout(x.vary(ctx, s.arg), 20*time.Microsecond)
		_, _ = fut.Wait(done)
		cancel()
	case s.kind == stepSubmitWait:
		v, err := fut.Wait(x.vary(ctx, s.arg>>1))
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
	ctx = x.vary(ctx, s.arg)
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

// inOrder runs a task of the Serial, or of a key. A task that is above one of those does not wait for another.
func (x *tree) inOrder(ctx context.Context, w, child where, s command) {
	kind := "bare"
	if s.arg&1 != 0 {
		kind = "future"
	}
	f := x.task(kind, w)
	if f == nil {
		return
	}
	child.ordered = true
	key, on := s.arg>>2&3, x.vary(ctx, s.arg)
	bare := func(ctx context.Context) { _ = x.start(ctx, f, child, s) }
	patient := w.patient && !w.ordered
	if kind == "bare" {
		switch {
		case s.kind == stepSerial && patient:
			x.accepted(f, x.serial.Go(on, bare))
		case s.kind == stepSerial:
			x.accepted(f, x.serial.TryGo(on, bare))
		case patient:
			x.accepted(f, x.keyed.Go(on, key, bare))
		default:
			x.accepted(f, x.keyed.TryGo(on, key, bare))
		}
		return
	}
	if !patient {
		f.accepted.Store(false)
		return
	}
	body := func(ctx context.Context) (int, error) {
		err := x.start(ctx, f, child, s)
		return f.id, err
	}
	var err error
	if s.kind == stepSerial {
		f.future, err = SubmitOn(on, x.serial, body)
	} else {
		f.future, err = SubmitKey(on, x.keyed, key, body)
	}
	x.accepted(f, err)
	if err == nil && s.arg&2 != 0 {
		_, _ = f.future.Wait(x.vary(ctx, s.arg>>1))
	}
}

// timer starts a task a moment later. It is not left alone before it has fired, or never will.
func (x *tree) timer(child where, s command) {
	f := x.task("timer", outsider)
	if f == nil {
		return
	}
	f.accepted.Store(true)
	d := time.Duration(1+s.arg>>1&3) * 20 * time.Microsecond
	set, start := make(chan *Timer, 1), x.e.After
	if s.arg&1 != 0 {
		start = x.e.Every
	}
	child.doomed = false
	t, err := start(context.Background(), d, func(ctx context.Context) {
		if s.arg&1 != 0 {
			(<-set).Stop()
		}
		_ = x.start(ctx, f, child, s)
	})
	if err != nil {
		x.accepted(f, err)
		return
	}
	set <- t
	x.outside.Go(func() {
		time.Sleep(2 * d)
		if t.Stop() && f.started.Load() == 0 {
			return
		}
		for f.started.Load() == 0 && x.e.word.Load()&draining == 0 {
			runtime.Gosched()
		}
	})
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
