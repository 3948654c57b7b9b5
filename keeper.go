package executor

import (
	"context"
	"runtime/metrics"
	"runtime/pprof"
	"time"
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
	if e.word.Or(watched)&(watched|ended) == 0 {
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
		case <-quota:
			k.quotaTick()
		case <-thin:
			k.thinning = nil
			e.thin()
		case <-alarm:
			k.tick()
			if k.timer != nil {
				k.timer.Reset(e.cfg.tick())
			}
		}
		word := e.word.Load() // first: what was asked for before the end is started, and ends
		k.startRunners()
		e.debug.launch()
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
			k.calm, k.still, k.stalls = 0, 0, stallState{}
			e.inject.mu.Lock()
			e.inject.markAge(time.Since(epoch), true)
			e.inject.mu.Unlock()
			k.timer = time.NewTimer(e.cfg.tick())
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
		if k.calm++; k.calm < linger {
			return
		}
		k.e.word.And(^uint64(watched)) // then look: pairs with watch
		if !k.needed() {
			k.timer = nil
			clear(k.stuck[:cap(k.stuck)])
			clear(k.denied[:cap(k.denied)])
			k.e.inject.trim()
			return
		}
		k.e.word.Or(watched)
	}
	k.calm = 0
	k.e.rescue()
	k.watchStalls(time.Now())
	k.unstick()
	if o := k.e.orders(); o != nil {
		o.tick()
	}
}

// needed reports whether tasks wait that no free slot will take.
func (k *keeper) needed() bool {
	e := k.e
	if e.word.Load()&freeMask == 0 && e.hasWork() {
		return true
	}
	if o := e.orders(); o != nil && o.waiting() > 0 {
		return true
	}
	e.inject.mu.Lock()
	defer e.inject.mu.Unlock()
	return e.inject.waiters.inTask > 0
}

// unstick accepts the children of waiting tasks over the limit when the injector stands still: the
// tasks that could make room may be waiting themselves (I2).
func (k *keeper) unstick() {
	q := &k.e.inject
	q.mu.Lock()
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
		case q.acceptOver(w.en, w.held):
			return true, nil
		}
		return true, ErrQueueFull
	})
	q.unlock()
	wakeAll(ready)
	k.e.notify()
}
