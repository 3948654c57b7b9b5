package executor

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"go.opentelemetry.io/otel/metric"
	"golang.org/x/sync/semaphore"

	"github.com/seed-97bda89a/executor/internal/goid"
)

// Bulkhead bounds how many calls of one kind are in progress at once, over all executors and goroutines
// of the process: cgo calls into one library, connections to one backend. Its methods may be called
// from any goroutine.
type Bulkhead struct {
	name    string
	limit   int
	calls   *semaphore.Weighted
	inside  atomic.Int64
	waiting callers
	holders holders
	border  goid.Border // between bubbles of testing/synctest

	adaptive *adaptive // moves the limit, or nil
}

// callers are those who wait, by when they came, since epoch.
type callers struct {
	mu    sync.Mutex
	since map[*time.Duration]struct{}
}

// BulkheadStats says how much of a Bulkhead is in use.
type BulkheadStats struct {
	Name        string        `json:"name"`
	Limit       int           `json:"limit"`       // calls at once
	Inside      int           `json:"inside"`      // calls in progress
	Waiting     int           `json:"waiting"`     // calls that wait for one to end
	LongestWait time.Duration `json:"longestWait"` // of those that wait now, in ns
}

// Bulkheads returns the figures of all bulkheads of the process, in the order in which they were made. A Bulkhead that
// nobody refers to any more is left out sooner or later.
func Bulkheads() []BulkheadStats {
	var all []BulkheadStats
	bulkheadList.mu.Lock()
	defer bulkheadList.mu.Unlock()
	bulkheadList.all = slices.DeleteFunc(bulkheadList.all, func(w weak.Pointer[Bulkhead]) bool {
		b := w.Value()
		if b != nil {
			all = append(all, b.Stats())
		}
		return b == nil
	})
	return all
}

// bulkheads tells an observer about them, once there is one: programs without do not contain it.
var bulkheads atomic.Pointer[func(*instruments, metric.Observer)]

var bulkheadList struct {
	mu  sync.Mutex
	all []weak.Pointer[Bulkhead]
}

// register makes b known to Bulkheads.
func (b *Bulkhead) register() *Bulkhead {
	bulkheadList.mu.Lock()
	defer bulkheadList.mu.Unlock()
	bulkheadList.all = append(bulkheadList.all, weak.Make(b))
	observe := (*instruments).observeBulkheads
	bulkheads.CompareAndSwap(nil, &observe)
	return b
}

// Stats returns the figures of b. They are read one after the other.
func (b *Bulkhead) Stats() BulkheadStats {
	if b == nil {
		return BulkheadStats{}
	}
	s := BulkheadStats{Name: b.name, Limit: b.Limit(), Inside: int(b.inside.Load())}
	now := time.Since(epoch)
	b.waiting.mu.Lock()
	defer b.waiting.mu.Unlock()
	s.Waiting = len(b.waiting.since)
	for since := range b.waiting.since {
		s.LongestWait = max(s.LongestWait, now-*since)
	}
	return s
}

// enter waits for a place. It reports false if ctx is done first. A wait that somebody would have to end across the border
// of a bubble is a panic in the caller: the channel on which the semaphore tells it would end the process.
func (b *Bulkhead) enter(ctx context.Context, bubble uint64) bool {
	if !b.calls.TryAcquire(1) {
		if !b.border.Wait(bubble) {
			panic(errBulkheadBorder(b))
		}
		defer b.border.Waited(bubble)
		now := time.Since(epoch)
		b.waiting.set(func(since map[*time.Duration]struct{}) { since[&now] = struct{}{} })
		err := b.calls.Acquire(sound(ctx), 1)
		b.waiting.set(func(since map[*time.Duration]struct{}) { delete(since, &now) })
		if err != nil {
			return false
		}
	}
	b.inside.Add(1)
	return true
}

// leave ends a call that took so long; an adaptive Bulkhead wants to know.
func (b *Bulkhead) leave(took time.Duration) {
	b.inside.Add(-1)
	give := 1
	if b.adaptive != nil {
		give = b.adaptive.end(took)
	}
	b.calls.Release(int64(give))
}

func (c *callers) set(change func(map[*time.Duration]struct{})) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.since == nil {
		c.since = make(map[*time.Duration]struct{})
	}
	change(c.since)
}

// NewBulkhead returns a Bulkhead for at most limit calls at once. The name is for people, in metrics for instance.
func NewBulkhead(name string, limit int) (*Bulkhead, error) {
	if name == "" {
		return nil, fmt.Errorf("executor: NewBulkhead(%q, %d): name must not be empty", name, limit)
	}
	if limit < 1 {
		return nil, fmt.Errorf("executor: NewBulkhead(%q, %d): limit must be at least 1", name, limit)
	}
	b := &Bulkhead{name: name, limit: limit, calls: semaphore.NewWeighted(int64(limit))}
	return b.register(), nil
}

// Blocking runs fn as the function Blocking does, when less than limit calls are in progress. Otherwise it
// waits, first come first served and with the task's slot lent; if ctx is done first it returns ctx's
// error and does not run fn. In bubbles of testing/synctest it panics where calls of one would have to wait for calls outside of
// it. A nil result means that fn ran. A call inside another one of the same Bulkhead, on the same
// goroutine or in OnThread, just runs fn: it is part of the call that has begun. So does a task that runs in place there.
func (b *Bulkhead) Blocking(ctx context.Context, fn func()) error {
	switch {
	case b == nil:
		return errNilBulkhead
	case b.calls == nil:
		return errZeroBulkhead
	case ctx == nil:
		return errNilContext
	case fn == nil:
		return errNilFunc
	case over(ctx):
		return errorOf(ctx)
	}
	r := currentRunner(ctx)
	if b.holders.have(r, b) {
		Blocking(ctx, fn)
		return nil
	}
	bubble := r.bubble()
	if !b.border.Enter(bubble) {
		panic(errBulkheadBorder(b))
	}
	defer b.border.Leave(bubble)
	var err error
	Blocking(ctx, func() {
		if !b.enter(ctx, bubble) {
			err = errorOf(ctx)
			return
		}
		if b.adaptive != nil {
			b.adaptive.begin()
		}
		var took time.Duration // 0: fn has not returned
		defer func() { b.leave(took) }()
		defer b.holders.note(r, b)()
		if b.adaptive != nil {
			start := time.Since(epoch)
			fn()
			took = max(1, time.Since(epoch)-start)
			return
		}
		fn()
	})
	return err
}

// holders are the goroutines that are in a call of a Bulkhead and are no runners. Runners know it themselves.
type holders struct {
	mu  sync.Mutex
	ids map[int64]struct{}
	n   atomic.Int32 // how many
}

// have reports whether the calling goroutine, whose runner is r or nil, is in a call of b already.
func (h *holders) have(r *runner, b *Bulkhead) bool {
	if r.orBelow(func(r *runner) bool { return slices.Contains(r.stack.within, any(b)) }) {
		return true
	}
	if h.n.Load() == 0 {
		return false
	}
	caller := threads.caller()
	h.mu.Lock()
	defer h.mu.Unlock()
	_, have := h.ids[goid.ID()]
	for c := caller; c != nil && !have; c = c.outer {
		_, have = h.ids[c.id]
	}
	return have
}

// note notes that it is, until forget is called.
func (h *holders) note(r *runner, b *Bulkhead) (forget func()) {
	if r != nil {
		n := len(r.stack.within)
		r.stack.within = append(r.stack.within, b)
		return func() {
			r.stack.within[n] = nil
			r.stack.within = r.stack.within[:n]
		}
	}
	id := goid.ID()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ids == nil {
		h.ids = make(map[int64]struct{})
	}
	h.ids[id] = struct{}{}
	h.n.Store(int32(len(h.ids)))
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.ids, id)
		h.n.Store(int32(len(h.ids)))
	}
}

// String returns the name.
func (b *Bulkhead) String() string { return b.name }

// NewAdaptiveBulkhead returns a Bulkhead whose limit follows what the other side can do, between min and max: it grows
// while calls are as fast as when few of them are in progress, and shrinks when they become slower, which means that they
// queue up over there. The latency of the calls is measured, so each call should be of about the same kind. A call
// that panics does not count. It is for what is downstream; how many tasks compute is the executor's business.
func NewAdaptiveBulkhead(name string, min, max int) (*Bulkhead, error) {
	switch {
	case name == "":
		return nil, fmt.Errorf("executor: NewAdaptiveBulkhead(%q, %d, %d): name must not be empty", name, min, max)
	case min < 1:
		return nil, fmt.Errorf("executor: NewAdaptiveBulkhead(%q, %d, %d): min must be at least 1", name, min, max)
	case max < min:
		return nil, fmt.Errorf("executor: NewAdaptiveBulkhead(%q, %d, %d): max must be at least min", name, min, max)
	}
	b, err := NewBulkhead(name, max)
	if err != nil {
		return nil, err
	}
	a := &adaptive{max: max, rule: newGradient(min, max)}
	a.withheld = max - a.rule.now()
	b.calls.TryAcquire(int64(a.withheld))
	b.adaptive = a
	return b, nil
}

// Limit returns how many calls may be in progress at once: at the moment, if the Bulkhead is adaptive.
func (b *Bulkhead) Limit() int {
	switch {
	case b == nil:
		return 0
	case b.adaptive == nil:
		return b.limit
	}
	a := b.adaptive
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.rule.now()
}

// adaptive moves the limit of a Bulkhead by keeping some of its permits.
type adaptive struct {
	mu       sync.Mutex
	rule     gradient
	max      int
	inUse    int
	withheld int // permits that nobody has: max - limit, or on the way there
}

// begin notes that a call has a permit.
func (a *adaptive) begin() {
	a.mu.Lock()
	a.inUse++
	a.mu.Unlock()
}

// end takes the permit of a call that took so long, 0 if it did not return, and returns how many permits to give back: none
// if the limit is lower now, and more than one if it is higher.
func (a *adaptive) end(took time.Duration) (give int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if took > 0 {
		a.rule.sample(took, a.inUse)
	}
	a.inUse--
	have, keep := a.withheld+1, a.max-a.rule.now()
	give = max(0, have-keep)
	a.withheld = have - give
	return give
}

// gradient is the rule by which a limit follows latency, after Netflix's Gradient2: compare the latency now with the
// latency of calls that do not queue, and multiply the limit by the ratio. Gradient2 takes a long average for the
// latter, which creeps up with the queue that it is to prevent. So here it is measured: after every probeAfter
// windows, or when the limit only falls, one goes by with half the limit.
type gradient struct {
	limit    float64
	min, max float64
	base     float64 // the latency of calls that do not queue, ns; 0: not known yet
	windows  int     // since base was measured
	falls    int     // in a row, as steep as they can be: perhaps calls take longer as such
	probing  bool    // the next window, or this one, is at half the limit
	settling bool    // calls that began before that are still on their way

	sum  float64 // of the window: latency, samples, and the most calls in progress at once
	n    int
	used int
}

const (
	gradientTolerance = 1.25 // latency that is longer by less than a quarter is no queue
	gradientSmoothing = 0.5
	gradientStart     = 8
	gradientWindow    = 16 // samples, at least; else as many as the limit
	probeAfter        = 50
	fallsAtMost       = 6
)

func newGradient(low, high int) gradient {
	return gradient{limit: float64(min(max(low, gradientStart), high)), min: float64(low), max: float64(high)}
}

// now returns the limit.
func (g *gradient) now() int {
	if g.probing {
		return int(max(g.min, g.limit/2))
	}
	return int(g.limit)
}

// sample takes the latency of a call, and how many were in progress when it began, itself included.
func (g *gradient) sample(latency time.Duration, inUse int) {
	g.sum += float64(max(latency, 1))
	g.n++
	g.used = max(g.used, inUse)
	if g.n < max(gradientWindow, int(g.limit)) {
		return
	}
	short, used := g.sum/float64(g.n), g.used
	g.sum, g.n, g.used = 0, 0, 0
	switch {
	case g.settling:
		g.settling = false
		return
	case g.probing:
		g.base, g.probing, g.windows = short, false, 0
		return
	case g.base == 0 || short < g.base:
		g.base = short
	}
	slope := max(0.5, min(1, gradientTolerance*g.base/short))
	if g.falls++; slope > 0.5 {
		g.falls = 0
	}
	if g.windows++; g.windows >= probeAfter || g.falls >= fallsAtMost {
		g.probing, g.settling, g.falls = true, true, 0
	}
	if float64(used) < g.limit/2 { // nobody needs more
		return
	}
	next := g.limit*slope + max(2, math.Sqrt(g.limit)/2)
	g.limit = max(g.min, min(g.max, g.limit+(next-g.limit)*gradientSmoothing))
}
