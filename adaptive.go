package executor

import (
	"fmt"
	"math"
	"sync"
	"time"
)

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
