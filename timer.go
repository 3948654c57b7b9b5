package executor

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"time"
)

// Timer is one call of After or Every. Its method may be called from any goroutine.
type Timer struct {
	clock   *clock
	ctx     context.Context // the parent of its tasks; nil when it has ended
	fn      func(context.Context)
	when    time.Duration // since epoch: when it fires next, or fired last
	period  time.Duration // 0: once
	lane    waitedFor     // in which its tasks wait, where there are lanes
	unwatch func() bool   // forgets ctx, or nil
	at      int32         // its index in the heap, or one of these:
	order   uint32        // of timers for the same time, the one that was set first fires first
}

const (
	timerFired = -1 // its task is due, queued or runs
	timerOver  = -2 // it will not fire any more
)

// After starts fn as a task after d: see Executor.Go. Until then it is no task, and Quiesce does not wait for it. If ctx is
// done before, or Shutdown or Close begins, it never fires, and nothing of fn and ctx is kept. A full queue
// delays the task and never drops it. Errors: ctx's, ErrClosed. Cost: about 80 bytes, and no goroutine.
func (e *Executor) After(ctx context.Context, d time.Duration, fn func(context.Context)) (*Timer, error) {
	if err := e.valid(ctx, fn == nil); err != nil {
		return nil, err
	}
	if d < 0 {
		return nil, fmt.Errorf("executor: After(%v): must be at least 0", d)
	}
	return e.addTimer(ctx, d, 0, fn)
}

// Every starts fn as a task again and again: first after d, then every d after that, without drift. There are never two
// at once: ticks that come while its task is queued or runs become one, which follows at once, and the others
// are counted in Stats.TicksMissed. It ends with Timer.Stop, with ctx, and when Shutdown or Close begins. For
// everything else see After.
func (e *Executor) Every(ctx context.Context, d time.Duration, fn func(context.Context)) (*Timer, error) {
	if err := e.valid(ctx, fn == nil); err != nil {
		return nil, err
	}
	if d <= 0 {
		return nil, fmt.Errorf("executor: Every(%v): must be above 0", d)
	}
	return e.addTimer(ctx, d, d, fn)
}

// Stop keeps the timer from firing, and reports whether it did so: false means that it has fired for the last time, or
// was stopped before. A task that runs already goes on, and so does one of After that is queued; one of Every that is queued
// will do nothing. Inside a task of Every, Stop prevents the next.
func (t *Timer) Stop() bool {
	if t == nil || t.clock == nil {
		return false
	}
	return t.clock.end(t)
}

// ticking is what the core knows of timers; a program without them does not link what is behind it.
type ticking interface {
	stop() // the executor is closed: no timer fires any more
	wait() // for the goroutine that fires, which is about to end
	counts() (timers int, missed uint64)
}

// timers returns what the core knows of the executor's timers, or nil.
func (e *Executor) timers() ticking {
	if c := e.clock.Load(); c != nil {
		return *c
	}
	return nil
}

// clock has the timers of an executor: a heap by time, and one timer of package time that is armed for the first.
//
//	T1 While a timer is in the heap, either the time is armed for the first one's time or earlier, or fire runs, which looks at the
//	   heap again before it ends. Both change under the lock only.
//	T2 A firing waits for room behind those of its own lane only.
type clock struct {
	e      *Executor
	missed atomic.Uint64
	firing sync.WaitGroup

	mu      sync.Mutex
	heap    timerHeap
	next    *time.Timer
	set     uint32        // how many were ever set
	armed   bool          // next is set
	alarm   time.Duration // for when
	running bool          // fire
	closed  bool
	away    map[*Timer]struct{}    // those that have fired and are not over
	due     map[waitedFor][]*Timer // of lanes: what a goroutine for each of them submits
}

func (e *Executor) clockOf() *clock {
	if e.clock.Load() == nil {
		var c ticking = &clock{e: e, away: make(map[*Timer]struct{}), due: make(map[waitedFor][]*Timer)}
		e.clock.CompareAndSwap(nil, &c)
	}
	return e.timers().(*clock)
}

var errTimerRange = errors.New("executor: After, Every: the time is too far away")

func (e *Executor) addTimer(ctx context.Context, d, period time.Duration, fn func(context.Context)) (*Timer, error) {
	e.meet(currentRunner(ctx), "After or Every")
	if over(ctx) {
		return nil, errorOf(ctx)
	}
	now := time.Since(epoch)
	if now+d < now {
		return nil, errTimerRange
	}
	c := e.clockOf()
	t := &Timer{clock: c, ctx: e.parentOf(ctx), fn: fn, when: now + d, period: period}
	parent := t.ctx
	at, err := e.spotOf(parent)
	if err != nil {
		return nil, err
	}
	t.lane = at.in()
	c.mu.Lock()
	if c.closed || e.word.Load()&draining != 0 {
		c.mu.Unlock()
		return nil, ErrClosed
	}
	c.push(t)
	c.arm()
	c.mu.Unlock()
	if parent.Done() == nil {
		return t, nil
	}
	unwatch := context.AfterFunc(sound(parent), func() { c.end(t) })
	c.mu.Lock()
	live := t.at != timerOver
	if live {
		t.unwatch = unwatch
	}
	c.mu.Unlock()
	if !live {
		unwatch()
	}
	return t, nil
}

// arm sets the time for the first timer. Caller holds mu (T1).
func (c *clock) arm() {
	if c.running || len(c.heap) == 0 {
		return
	}
	when := c.heap[0].when
	if c.armed && c.alarm <= when {
		return
	}
	c.armed, c.alarm = true, when
	d := max(0, when-time.Since(epoch))
	if c.next == nil {
		c.next = time.AfterFunc(d, c.fire)
	} else {
		c.next.Reset(d)
	}
}

// fire submits what is due. It runs on a goroutine of the runtime's, for as long as something is due.
func (c *clock) fire() {
	pprof.SetGoroutineLabels(c.e.labels) // it may have foreign ones
	c.mu.Lock()
	c.armed = false
	if c.running || c.closed {
		c.mu.Unlock()
		return
	}
	c.running = true
	c.firing.Add(1)
	defer c.firing.Done()
	for !c.closed && len(c.heap) > 0 && c.heap[0].when <= time.Since(epoch) {
		t := c.heap[0]
		c.remove(t)
		if t.lane != nil {
			c.queue(t)
			continue
		}
		submit := c.begin(t)
		c.mu.Unlock()
		submit()
		c.mu.Lock()
	}
	c.running = false
	c.arm()
	c.mu.Unlock()
}

// begin takes a timer that is due for the one that fires, and returns what submits its task: without mu, for that waits for room.
// Of After nothing is kept any more but by that. Caller holds mu.
func (c *clock) begin(t *Timer) (submit func()) {
	ctx, fn, unwatch := t.ctx, t.fn, func() bool { return true }
	if t.period == 0 {
		unwatch = c.forget(t)
	} else {
		c.leave(t)
		fn = t.tick
	}
	return func() {
		unwatch()
		if c.e.startFiring(ctx, fn) != nil { // ctx may be one that nobody watches
			c.end(t)
		}
	}
}

// leave notes that a timer is no longer in the heap, and not over. Caller holds mu.
func (c *clock) leave(t *Timer) {
	t.at = timerFired
	c.away[t] = struct{}{}
}

// queue has a timer that is due fire after the others of its lane. Each lane has a goroutine for as long as it has something due: one
// that is full delays no other (T2). Until its turn the timer may be stopped, and its ctx may end. Caller holds mu.
func (c *clock) queue(t *Timer) {
	c.leave(t)
	list, going := c.due[t.lane]
	c.due[t.lane] = append(list, t)
	if !going {
		c.firing.Go(func() { c.submitDue(t.lane) })
	}
}

// submitDue submits what is due in a lane, until there is nothing left.
func (c *clock) submitDue(lane waitedFor) {
	c.mu.Lock()
	for !c.closed && len(c.due[lane]) > 0 {
		list := c.due[lane]
		t := list[0]
		list[0] = nil
		c.due[lane] = list[1:]
		if t.at != timerFired { // stopped, or its ctx is done
			continue
		}
		submit := c.begin(t)
		c.mu.Unlock()
		submit()
		c.mu.Lock()
	}
	delete(c.due, lane)
	c.mu.Unlock()
}

// startFiring submits a task of a timer, whose parent is given. If it is refused, then because that is done, or the executor
// closed, and the timer is over.
func (e *Executor) startFiring(parent context.Context, fn func(context.Context)) error {
	o := &origin{parent: parent, firing: true, traced: sampledSpan(parent)}
	fn = e.probeFor(parent, parent, nil, o.traced, true).bare(fn)
	return e.rejected(e.submit(nil, parent, entry{fn: fn, of: o}, true))
}

// tick is the task of a timer that fires again and again.
func (t *Timer) tick(ctx context.Context) {
	c := t.clock
	c.mu.Lock()
	fn := t.fn
	c.mu.Unlock()
	if fn == nil { // stopped while it was queued
		return
	}
	defer c.again(t)
	fn(ctx)
}

// again makes a timer wait for its next tick, after its task has ended in whatever way.
func (c *clock) again(t *Timer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.at != timerFired {
		return
	}
	delete(c.away, t)
	if due := (time.Since(epoch) - t.when) / t.period; due > 0 {
		c.missed.Add(uint64(due - 1))
		t.when += due * t.period
	} else {
		t.when += t.period
	}
	c.push(t)
	c.arm()
}

// end stops a timer, and reports whether it would have fired again.
func (c *clock) end(t *Timer) bool {
	c.mu.Lock()
	live := t.at != timerOver
	if t.at >= 0 {
		c.remove(t)
	}
	unwatch := c.forget(t)
	c.mu.Unlock()
	unwatch()
	return live
}

// forget lets go of what a timer holds, when it is over. What it returns is to be called without mu. Caller holds mu.
func (c *clock) forget(t *Timer) (unwatch func() bool) {
	unwatch = t.unwatch
	delete(c.away, t)
	t.at, t.ctx, t.fn, t.unwatch = timerOver, nil, nil, nil
	if unwatch == nil {
		return func() bool { return true }
	}
	return unwatch
}

func (c *clock) stop() {
	c.mu.Lock()
	c.closed = true
	all := c.heap
	for t := range c.away { // also what is dropped now, and would not come back here
		all = append(all, t)
	}
	c.heap = nil
	if c.next != nil {
		c.next.Stop()
	}
	unwatch := make([]func() bool, 0, len(all))
	for _, t := range all {
		if t.unwatch != nil {
			unwatch = append(unwatch, t.unwatch)
		}
		c.forget(t)
	}
	c.mu.Unlock()
	for _, forget := range unwatch {
		forget()
	}
}

func (c *clock) wait() { c.firing.Wait() }

func (c *clock) counts() (timers int, missed uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.heap), c.missed.Load()
}

func (c *clock) push(t *Timer) {
	c.set++
	t.order = c.set
	heap.Push(&c.heap, t)
}

func (c *clock) remove(t *Timer) { heap.Remove(&c.heap, int(t.at)) }

// timerHeap orders timers by time, and by when they were set. Each knows its index.
type timerHeap []*Timer

func (h timerHeap) Len() int { return len(h) }

func (h timerHeap) Less(i, j int) bool {
	return h[i].when < h[j].when || h[i].when == h[j].when && int32(h[i].order-h[j].order) < 0
}

func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = int32(i), int32(j)
}

func (h *timerHeap) Push(t any) {
	t.(*Timer).at = int32(len(*h))
	*h = append(*h, t.(*Timer))
}

// Pop lets go of memory that a quarter of the timers need.
func (h *timerHeap) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	if cap(*h) > 1024 && last < cap(*h)/4 {
		*h = append(make([]*Timer, 0, 2*last), *h...)
	}
	return t
}
