package executor

import (
	"context"
	"runtime"
	"strings"
	"time"

	"github.com/seed-97bda89a/executor/internal/goid"
)

// Do runs a function on the goroutine that calls it, which is a runner for that time: a guest (H1 to H5 in
// ARCHITECTURE, "Guests").

// Do runs fn on the calling goroutine while that holds one of e's slots, and returns fn's error. There is no
// hand-over to another goroutine, so it is the cheapest way to have a function run under e's limits, and to wait for it. While fn
// runs, its context and its goroutine are a task's in every respect: children, waits, Blocking and Checkpoint work.
//
// A slot that is free is taken at once if nothing from outside waits. Otherwise Do waits for its turn with all that came
// from outside, first come, first served, in one place of the queue's bound; at a full queue it waits for room like Go. Until
// fn has begun, the end of ctx ends Do with ctx's error, and a closed executor with ErrClosed: then fn has not run and
// will not. fn may return such an error itself; who has to know whether it ran sets a variable in it.
//
// Inside a task of e, fn runs at once, on the slot that the task has, and is part of it. In a task of another executor
// that one's slot is lent for the whole call, as in Blocking. A panic or Goexit in fn passes through Do with its own
// stack; it counts as panicked, and no handler is called. Do sets no profiler labels and undoes no LockOSThread. Nothing
// of fn or ctx is kept afterwards. Cost: no allocation with context.Background(), one with another context.
func (e *Executor) Do(ctx context.Context, fn func(context.Context) error) error {
	return e.do(ctx, fn, true)
}

// TryDo is Do without waiting: it returns ErrQueueFull unless a slot is free now and nothing waits for one.
func (e *Executor) TryDo(ctx context.Context, fn func(context.Context) error) error {
	return e.do(ctx, fn, false)
}

func (e *Executor) do(ctx context.Context, fn func(context.Context) error, wait bool) error {
	if err := e.valid(ctx, fn == nil); err != nil {
		return err
	}
	top := currentRunner(ctx)
	if r := top.of(e); r != nil {
		return r.doInside(top, ctx, fn)
	}
	if over(ctx) {
		return e.rejected(errorOf(ctx))
	}
	if top == nil {
		return e.doAsGuest(ctx, nil, fn, wait)
	}
	var err error
	top.lendAbroad(func() { err = e.doAsGuest(ctx, top, fn, wait) })
	return err
}

// doInside is Do in a task of r's executor. top is the runner that the goroutine is: r, or a guest of another
// executor further up.
func (r *runner) doInside(top *runner, ctx context.Context, fn func(context.Context) error) (err error) {
	switch {
	case over(ctx):
		return errorOf(ctx)
	case r.e.word.Load()&stopping != 0:
		return ErrClosed
	}
	run := func() {
		r.inPlace(func() { err = fn(r.contextWithin(ctx)) })
	}
	if r == top {
		run()
	} else {
		r.comeBack(top, run)
	}
	return err
}

// asTask calls fn as part of the task of e that the goroutine runs further down, below top, a guest of another
// executor. It reports false, and does nothing, if there is no such task. Everything that may wait for e asks it
// first: the caller would wait for a slot that it has itself (H5).
func (e *Executor) asTask(top *runner, fn func()) bool {
	if !top.onTop() || top.e == e {
		return false
	}
	r := top.of(e)
	if r != nil {
		r.comeBack(top, fn)
	}
	return r != nil
}

// of returns the innermost runner of e that the goroutine of r is, or nil: r itself, or one below it.
func (r *runner) of(e *Executor) *runner {
	for r != nil && r.e != e {
		r = r.below
	}
	return r
}

// onTop reports whether r is a guest on the goroutine of another executor's task.
func (r *runner) onTop() bool { return r != nil && r.below != nil }

// comeBack calls fn on r, which is below top, with the slot of top lent.
func (r *runner) comeBack(top *runner, fn func()) {
	top.lendAbroad(func() {
		r.goesOn()
		defer r.waitsForTasks()
		r.rise(top, fn)
	})
}

// lendAbroad calls fn, in which the goroutine is the runner of another executor, with r's slot lent.
func (r *runner) lendAbroad(fn func()) {
	lent := func() {
		r.waitsForTasks()
		defer r.goesOn()
		fn()
	}
	if r.block.nested > 0 {
		lent()
	} else {
		r.blockFor(lent)
	}
}

// rise runs fn while r is the runner that the goroutine is, instead of top. Guests in between stay below.
func (r *runner) rise(top *runner, fn func()) {
	above := top // whose below is r
	for above.below != r {
		above = above.below
	}
	below, cover := r.below, r.cover
	above.below, r.below, r.cover, top.cover = below, top, nil, r
	id := r.goid.Load()
	before, direct := guests.set(id, r)
	defer func() {
		guests.reset(id, before, direct)
		above.below, r.below, r.cover, top.cover = r, below, cover, nil
	}()
	fn()
}

// doAsGuest is Do outside of tasks of e. top is the runner of another executor that the goroutine is, or nil.
func (e *Executor) doAsGuest(ctx context.Context, top *runner, fn func(context.Context) error, wait bool) error {
	parent := e.parentOf(ctx)
	id := goid.ID()
	r := e.guests.take()
	if r == nil || r.last != id { // else this goroutine was asked when it was a guest before
		if e.stranger(top) {
			if r != nil {
				e.guests.put(r)
			}
			panic(errBubble(e, "Do"))
		}
		if r == nil {
			r = e.guests.add(e)
		}
		r.last = id
	}
	since, err := e.slotFor(ctx, r, top, parent, wait)
	if err != nil {
		e.guests.put(r)
		return err
	}
	if p := e.probeFor(ctx, parent, nil, e.traced(ctx, parent), false); p != nil {
		if since != 0 {
			p.submitted = since
		}
		fn = p.guest(fn)
	}
	return r.host(id, top, parent, fn)
}

// slotFor gets a slot for a guest. If it had to wait for one, it returns since when.
func (e *Executor) slotFor(ctx context.Context, r, top *runner, parent context.Context, wait bool) (since time.Duration, err error) {
	var got bool
	if anyRule.Load() {
		got, err = e.freeSlotByRule(r, parent)
	} else {
		got, err = e.freeSlotFor(r)
	}
	switch {
	case got:
		return 0, nil
	case err != nil:
		return 0, e.rejected(err)
	case !wait:
		return 0, e.rejected(ErrQueueFull)
	}
	since = time.Since(epoch)
	w := &seat{r: r}
	w.parent, w.job, w.lone = parent, w, true
	if top != nil { // whose slot is lent
		e.visitors.enter(e)
		defer e.visitors.leave()
	}
	if err = e.submit(nil, ctx, entry{of: &w.origin}, true); err != nil {
		return 0, e.rejected(err)
	}
	return since, w.wait()
}

// freeSlotFor gives a guest a free slot if there is one and nobody waits (H2).
func (e *Executor) freeSlotFor(r *runner) (got bool, err error) {
	q := &e.inject
	q.mu.Lock()
	err = q.refusal(false)
	if err == nil && q.waiters.len == 0 && q.nobodyWaits() && e.word.Load()&freeMask != 0 {
		e.idle.mu.Lock()
		if len(e.idle.free) > 0 {
			s := e.popFree()
			e.idle.mu.Unlock()
			q.note()
			q.unlock()
			r.adopt(s)
			return true, nil
		}
		e.idle.mu.Unlock()
	}
	q.unlock()
	return false, err
}

// freeSlotByRule is freeSlotFor where lanes may have a say.
func (e *Executor) freeSlotByRule(r *runner, parent context.Context) (got bool, err error) {
	if e.inject.lanes != nil {
		return e.inject.lanes.guest(r, parent)
	}
	if err := e.checkLane(parent); err != nil {
		return false, err
	}
	free := e.freeShare(e.word.Load())
	if got, err = e.freeSlotFor(r); got && e.inject.delay != nil {
		e.inject.delay.idled(free)
	}
	return got, err
}

// host runs fn on the calling goroutine, which is the guest r from now until it returns.
func (r *runner) host(id int64, top *runner, parent context.Context, fn func(context.Context) error) (err error) {
	r.goid.Store(id)
	if r.below = top; top != nil {
		top.cover = r
	}
	before, direct := guests.set(id, r)
	refused, returned := false, false
	defer func() { // also when fn panics or calls Goexit, which pass through
		guests.reset(id, before, direct)
		if top != nil {
			top.cover = nil
		}
		r.depart(returned || refused, err)
		switch { // after it: nobody can run anything of the guest any more (H4)
		case refused:
			r.count.cancel(err)
		case returned:
			r.count.ended(err)
		default:
			r.count.panicked.inc()
		}
		e := r.e
		e.mayAllWait()
		e.checkQuiet()
		e.guests.put(r)
	}()
	if err = r.refuses(parent); err != nil { // its end came with the slot
		refused = true
		return err
	}
	err = fn(r.contextFor(parent))
	returned = true
	return err
}

// depart ends the time of a guest: it lets go of its children and of its slot, and of all that fn has left.
func (r *runner) depart(returned bool, err error) {
	if r.hold != nil {
		r.hold.end(r)
	}
	if r.hasChildren() {
		r.endChildren(0)
	}
	if r.slot == nil || r.e.word.Load()&debt != 0 {
		r.settle()
	}
	if r.slot != nil {
		r.vacate()
	} else {
		r.e.returnCredit() // (B5)
	}
	r.tasks++
	r.stack.frames = 0 // a lock that fn left on its thread stays
	r.stack.group, r.stack.span, r.below = nil, nil, nil
	if tc := r.stack.tc; tc != nil && (!sameContext(tc.parent, background) || tc.across.Load() != nil) {
		r.stack.tc = nil
	}
	if n := r.name.Load(); n != nil {
		switch {
		case returned && err != nil:
			r.failed(true, err, nil)
		case !returned && unwinding("runtime.gopanic"):
			r.failed(false, nil, "panic")
		case !returned:
			r.failed(false, nil, nil)
		}
		n.note(r)
		r.name.Store(nil)
	}
	r.goid.Store(0)
}

// vacate passes the slot of a guest on: straight to the next guest if that is who waits longest, to a runner if there is other
// work, and else it is free (H3).
func (r *runner) vacate() {
	e, s := r.e, r.release()
	if s.leaves() {
		e.inject.empty(&s.deque)
	} else {
		for s.len() == 0 && e.inject.filled.Load() {
			next, h := e.takeSeat()
			if next == nil {
				break
			}
			if next.claim(seatGranted) {
				if h != nil {
					h.start(next.r)
				}
				next.r.token <- s
				return
			}
			e.inject.dead.Add(-1)
			if h != nil {
				h.end(r)
			}
		}
		if s.len() > 0 || e.inject.filled.Load() {
			e.staff(s, false)
			return
		}
	}
	e.idle.mu.Lock()
	credit := e.giveBack(s)
	e.idle.mu.Unlock()
	if credit {
		e.returnCredit()
	}
	if e.hasWork() { // always look again (P2)
		e.notify()
	}
}

// unwinding reports whether the calling deferred function runs because of the runtime's function of that name.
func unwinding(name string) bool {
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs[:])])
	for {
		frame, more := frames.Next()
		if frame.Function == name {
			return true
		}
		if !more || strings.HasPrefix(frame.Function, "runtime.Goexit") {
			return false
		}
	}
}

// orBelow reports whether is holds for r, for a runner below it, whose task called Do, or for one whose task waits for the
// calling goroutine in OnThread. r is the calling goroutine's, or nil.
func (r *runner) orBelow(is func(*runner) bool) bool {
	for ; r != nil; r = r.below {
		if is(r) {
			return true
		}
	}
	for c := threads.caller(); c != nil; c = c.outer {
		for r := c.r; r != nil; r = r.below {
			if is(r) {
				return true
			}
		}
	}
	return false
}
