package executor

import (
	"context"
	"runtime/metrics"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-97bda89a/executor/internal/chaos"
	"github.com/seed-97bda89a/executor/internal/kernel"
)

// keeper is the one goroutine that an executor has besides its runners. New starts it, and it is parked
// while the executor is idle. It starts runners on behalf of submitters, so that no runner inherits
// labels, a trace span or a synctest bubble from one. While tasks wait and no slot is free it
// watches: it spends budgets, and looks after what the event-driven paths may leave lying. And while a
// slot is in use, it looks at the CPU quota once a second.
type keeper struct {
	e     *Executor
	wake  chan struct{} // one place
	timer *time.Timer   // non-nil while watching
	pause time.Duration // until the next tick
	slow  atomic.Bool   // pause is longer than a tick
	vain  int           // ticks in a row in which nothing moved and no tick could change that
	calm  int           // ticks in a row in which nothing needed watching
	still int           // ticks in a row in which the injector stood still
	moved uint64

	samples  []metrics.Sample
	stalls   stallState
	stuck    []*runner     // runners with a slot whose task has not moved since the last tick
	denied   []*runner     // runners that block and would lend their slots, but there was no spare
	total    uint64        // of everything that moves
	used     time.Duration // processor time of the process at the last tick
	usedAt   time.Time
	reported time.Time // when the stall handler was last called

	threads   kernel.Counter
	census    kernel.Counter // all of them, for confirm
	looking   bool           // threads is in the middle of a look
	allowed   float64        // processors that the process may use; 0: all
	allowedAt time.Time      // when that was asked

	closing bool // a goroutine waits for the end, for nobody else may

	quota    *time.Timer // non-nil while it looks at the CPU quota, see sizing.go
	thinning *time.Timer // non-nil until runners are ended that a resize made superfluous
}

// sighting is how far a runner was when the keeper saw it first. Only the keeper touches it.
type sighting struct {
	progress   uint64
	epoch      uint64 // of the Blocking word
	since      time.Time
	budgetFrom time.Time // since, or when the flag was last set
	overdue    bool      // the flag was set before, and no Checkpoint has taken it
	denied     time.Time // since when it has blocked without a spare; zero if it does not
}

const (
	// linger is how many calm ticks the keeper watches on, so that short pauses do not make it
	// start and stop.
	linger = 5

	// mostTicks is how long the pause gets while nothing moves, in ticks, and mostInBubble in a bubble, where fake
	// time costs nothing, but each tick does.
	mostTicks    = 8
	mostInBubble = time.Second

	// vainTicks is how many ticks in vain go by before the keeper slows down, or stops in a bubble: more than
	// stillTicks. With a handler of WithOnStall it goes on for reportTicks there: that is about as many reports.
	vainTicks   = stillTicks + 3
	reportTicks = 64

	// stillTicks is how many ticks the injector may stand still before children are accepted over
	// the limit. Fewer would let long tasks pass for a deadlock.
	stillTicks = 5
)

// poke wakes the keeper.
func (k *keeper) poke() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// watch starts the monitor, if it does not run.
func (e *Executor) watch() {
	if !e.cfg.tickless {
		e.attend()
	}
}

// attend is watch for those who can not go on without a tick, if nobody else does anything: with the ticks off too.
func (e *Executor) attend() {
	if e.word.Or(watched)&(watched|ended) == 0 {
		e.keeper.poke()
	}
}

// hurry is watch where the next tick must not be far away.
func (e *Executor) hurry() {
	e.watch()
	if e.keeper.slow.Load() {
		e.keeper.poke()
	}
}

func (k *keeper) main() {
	e := k.e
	defer e.group.Done()
	pprof.SetGoroutineLabels(e.labels)
	for {
		var alarm, quota, thin <-chan time.Time
		if k.timer != nil {
			alarm = k.timer.C
		}
		if k.quota != nil {
			quota = k.quota.C
		}
		if k.thinning != nil {
			thin = k.thinning.C
		}
		select {
		case <-k.wake:
			if k.slow.Load() { // something has happened
				k.vain = 0
				k.setPause(e.cfg.tick())
				k.timer.Reset(k.pause)
			}
		case <-quota:
			k.quotaTick()
		case <-thin:
			k.thinning = nil
			e.thin()
		case <-alarm:
			k.tick()
			if k.timer != nil {
				k.timer.Reset(k.pause)
			}
		}
		word := e.word.Load() // first: what was asked for before the end is started, and ends
		k.startRunners()
		if e.life.abandoned.Load() && !k.closing {
			k.closing = true
			go func() { _ = e.end(context.Background(), nil) }()
		}
		if word&ended != 0 {
			if k.timer != nil {
				k.timer.Stop()
			}
			if k.quota != nil {
				k.quota.Stop()
			}
			if k.thinning != nil {
				k.thinning.Stop()
			}
			return
		}
		k.follow(word)
		if word&watched != 0 && k.timer == nil {
			k.calm, k.still, k.vain, k.stalls = 0, 0, 0, stallState{}
			k.setPause(e.cfg.tick())
			e.inject.mu.Lock()
			e.inject.markAge(time.Since(epoch), true)
			e.inject.mu.Unlock()
			k.timer = time.NewTimer(k.pause)
		}
	}
}

// startRunners starts the runners that others asked for, and the time after which a resize ends some.
func (k *keeper) startRunners() {
	e := k.e
	e.idle.mu.Lock()
	unborn := e.idle.unborn
	e.idle.unborn = nil
	if e.idle.extra {
		e.idle.extra = false
		k.thinning = time.NewTimer(e.cfg.keepAlive)
	}
	e.idle.mu.Unlock()
	for _, s := range unborn {
		go newRunner(e).main(s)
	}
}

// tick is one look at a busy executor.
func (k *keeper) tick() {
	if !k.needed() {
		k.setPause(k.e.cfg.tick())
		if k.calm++; k.calm >= linger && k.stop(k.clears(), k.needed) {
			k.e.inject.trim()
		}
		return
	}
	k.calm = 0
	k.unstick()
	if o := k.e.orders(); o != nil {
		o.tick()
	}
	if k.e.cfg.tickless {
		return
	}
	handed := k.e.rescue()
	moved := k.watchStalls(time.Now()) || handed
	k.slowDown(moved)
}

// clears returns the bits that are cleared when nothing waits. With the ticks off nobody knows.
func (k *keeper) clears() uint64 {
	if k.e.cfg.tickless {
		return watched
	}
	return watched | pending
}

// stop ends the watching, unless there is reason to go on by then: so it pairs with watch and summon. Who has blocked
// meanwhile is found by the next tick.
func (k *keeper) stop(bits uint64, reason func() bool) bool {
	chaos.At(chaos.P1Calm)
	k.e.word.And(^bits) // then look
	if reason() {
		k.e.word.Or(bits)
		return false
	}
	k.timer = nil
	k.slow.Store(false)
	clear(k.stuck[:cap(k.stuck)])
	clear(k.denied[:cap(k.denied)])
	return true
}

// needed reports whether tasks wait that no free slot will take.
func (k *keeper) needed() bool {
	e := k.e
	if !e.cfg.tickless && e.word.Load()&freeMask == 0 && e.hasWork() {
		return true
	}
	if o := e.orders(); o != nil && o.waiting() > 0 {
		return true
	}
	return k.tasksWaitForRoom()
}

func (k *keeper) tasksWaitForRoom() bool {
	q := &k.e.inject
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.waiters.inTask > 0 || q.lanes != nil && q.lanes.sum().inTask > 0
}

// slowDown says when the next tick is due. In a bubble the pause doubles while nothing moves, and when no tick can
// change anything any more there is none, until watch is called: so that synctest sees a deadlock, and an hour costs
// nothing. Elsewhere the processors' load may change at any time, so there the pause grows a little, if no slot could
// be lent anyhow.
func (k *keeper) slowDown(moved bool) {
	tick, inBubble := k.e.cfg.tick(), k.e.bubble != 0
	deciding := k.stalls.idle > 0 && k.stalls.idle <= unsureTicks // a few ticks decide whether to lend
	if moved || k.mayLend() && (deciding || !inBubble) || k.tasksWaitForRoom() {
		k.vain = 0
	} else {
		k.vain++
	}
	patience := vainTicks
	if inBubble && (k.e.cfg.onStall != nil || k.e.viewers.Load() > 0) {
		patience = reportTicks
	}
	switch {
	case moved || deciding || !inBubble && k.vain < vainTicks:
		k.setPause(tick)
	case !inBubble:
		k.setPause(min(2*k.pause, mostTicks*tick))
	case k.vain < patience || !k.stop(watched, func() bool { return k.mayLend() || k.tasksWaitForRoom() }):
		k.setPause(min(2*k.pause, mostInBubble))
	}
}

func (k *keeper) setPause(d time.Duration) {
	k.pause = d
	k.slow.Store(d > k.e.cfg.tick())
}

// mayLend reports whether a tick may lend a slot, now or later, although nothing moves: a task stands still, and
// there is a spare. If there is none, whoever returns one will see to the rest.
func (k *keeper) mayLend() bool {
	if !k.e.cfg.detect || len(k.stuck) == 0 || !k.e.tryCredit() {
		return false
	}
	k.e.returnCredit()
	return true
}

// unstick accepts the children of waiting tasks over the limit when the injector stands still: the
// tasks that could make room may be waiting themselves (I2).
func (k *keeper) unstick() {
	q := &k.e.inject
	q.mu.Lock()
	if q.lanes != nil {
		if served := q.lanes.unstick(); served != nil {
			q.unlock()
			wakeAll(served)
			k.e.notify()
			q.mu.Lock()
		}
	}
	if q.waiters.inTask == 0 || q.moved != k.moved {
		k.moved, k.still = q.moved, 0
		q.mu.Unlock()
		return
	}
	if k.still++; k.still < stillTicks {
		q.mu.Unlock()
		return
	}
	q.stood = q.moved + 1
	ready := q.dismiss(func(w *waiter) (bool, error) {
		switch {
		case !w.inTask:
			return false, nil
		case q.acceptOver(w.en):
			return true, nil
		}
		return true, ErrQueueFull
	})
	q.unlock()
	wakeAll(ready)
	k.e.notify()
}

// errands are calls of somebody else's code that the executor makes on its own account: of a logger, of WithQuotaRounding's
// function, of a span's. They run one after another, on a goroutine that exists only while there is one, and that Close
// does not wait for: such code may take as long as it likes, and may call Shutdown or Close.
type errands struct {
	mu      sync.Mutex
	waiting []func()
	running bool
}

// maxErrands is how many may wait, behind one that takes its time. More are lost.
const maxErrands = 64

// errand has fn called. The caller is a goroutine of the executor, or one that uses it and may start goroutines.
func (e *Executor) errand(fn func()) {
	q := &e.errands
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == maxErrands {
		return
	}
	q.waiting = append(q.waiting, fn)
	if !q.running {
		q.running = true
		go e.runErrands()
	}
}

func (e *Executor) runErrands() {
	pprof.SetGoroutineLabels(e.labels)
	q := &e.errands
	for {
		q.mu.Lock()
		if len(q.waiting) == 0 {
			q.waiting, q.running = nil, false
			q.mu.Unlock()
			return
		}
		fn := q.waiting[0]
		q.waiting[0] = nil
		q.waiting = q.waiting[1:]
		q.mu.Unlock()
		fn()
	}
}
