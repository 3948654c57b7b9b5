package executor

import (
	"fmt"
	"iter"
	"math"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/seed-97bda89a/executor/internal/cgroup"
)

// Sizing says how many slots an executor has, and why.
type Sizing struct {
	Slots      int     `json:"slots"`
	Fixed      bool    `json:"fixed"`      // by WithSlots or Resize; otherwise the slots follow the CPU quota
	Quota      float64 `json:"quota"`      // in CPUs; 0 if there is none, or if nobody looked because Fixed
	Group      string  `json:"group"`      // the cgroup that sets the quota, e.g. /kubepods/x; "" if that is not known
	GOMAXPROCS int     `json:"gomaxprocs"` // at the time of the decision
	Reason     string  `json:"reason"`     // what String says after the number
}

// String is one line for a log: slots=1: floor(quota 1.5) of cgroup /kubepods/x, GOMAXPROCS=2.
func (s Sizing) String() string { return fmt.Sprintf("slots=%d: %s", s.Slots, s.Reason) }

// Sizing tells what the number of slots is and where it comes from. It is the last decision: while no
// slot is in use, changes of the quota and of GOMAXPROCS go unnoticed, until the first task. It costs
// one load.
func (e *Executor) Sizing() Sizing {
	if e.missing() != nil {
		return Sizing{}
	}
	return e.sizer.now.Load().Sizing
}

// slotsFor turns a quota into a number of slots. It rounds down unless round
// says otherwise: slots above the quota do not add work done, they only spend
// the quota early in each period and stall every goroutine until the next one.
// The fraction that is left over serves the garbage collector and I/O.
func slotsFor(quota cgroup.Quota, gomaxprocs int, round func(float64) int) int {
	n := gomaxprocs
	if quota.CPUs > 0 {
		if round != nil {
			n = round(quota.CPUs)
		} else if floor := math.Floor(quota.CPUs); floor < float64(gomaxprocs) {
			n = int(floor) // compared as floats first: the quota need not fit an int
		}
	}
	return max(1, min(n, gomaxprocs))
}

// sizer decides how many slots there are.
//
// While the size follows the quota and a slot is in use, the keeper looks once a second. When all slots
// are free it stops, and marks the size as stale in the state word; whoever takes the first free slot
// clears the mark and wakes the keeper. See "The size of an idle executor" in docs/PARKING.md.
type sizer struct {
	reader    *cgroup.Reader // opens nothing before it is needed
	bootstrap func() (cpus float64, ok bool)

	// blind is set if automaxprocs sees a tighter quota than the reader does, so both have to be asked.
	blind atomic.Bool

	// now is the last decision, never nil once New has returned. It is written under life.resizing, and
	// never changed in place: the pointer tells one decision from the next.
	now atomic.Pointer[sized]
}

// sized is one decision.
type sized struct {
	Sizing
	at time.Time // when it was made
}

// quotaInterval is how often the quota is read, at most. Shorter would not help: the kernel enforces it
// in periods of 100 ms, and the runtime follows it as slowly.
const quotaInterval = time.Second

// decide makes the size from the quota. Of automaxprocs and the reader the tighter one counts; they
// differ only where the reader fails to find the files, so automaxprocs, which takes as long as a
// hundred reads, is asked again only then. No lock is held, for round is the user's.
func (z *sizer) decide(round func(float64) int, first bool) Sizing {
	quota := z.reader.Read()
	if first || z.blind.Load() {
		cpus, ok := z.bootstrap()
		tighter := ok && cpus > 0 && (quota.CPUs == 0 || cpus < quota.CPUs)
		z.blind.Store(tighter)
		if tighter {
			quota = cgroup.Quota{CPUs: cpus}
		}
	}
	return sizeFor(quota, runtime.GOMAXPROCS(0), round)
}

// sizeFor is slotsFor with the bound on slots, and the reason in words.
func sizeFor(quota cgroup.Quota, gomaxprocs int, round func(float64) int) Sizing {
	name, wanted := "floor", math.Floor(quota.CPUs)
	if round != nil {
		name = "WithQuotaRounding"
		user := round
		round = func(cpus float64) int {
			n := user(cpus)
			wanted = float64(n)
			return n
		}
	}
	n := min(maxSlots, slotsFor(quota, gomaxprocs, round))
	s := Sizing{Slots: n, Quota: quota.CPUs, Group: quota.Group, GOMAXPROCS: gomaxprocs}
	if quota.CPUs == 0 {
		s.Reason = "GOMAXPROCS, no CPU quota"
		if n < gomaxprocs {
			s.Reason = fmt.Sprintf("the most there can be, no CPU quota, GOMAXPROCS=%d", gomaxprocs)
		}
		return s
	}
	s.Reason = name + "(quota " + strconv.FormatFloat(quota.CPUs, 'g', 6, 64) + ")"
	if quota.Group != "" {
		s.Reason += " of cgroup " + quota.Group
	}
	switch {
	case wanted < 1:
		s.Reason += ", at least 1,"
	case wanted > maxSlots && n == maxSlots:
		s.Reason += ", the most there can be,"
	case wanted > float64(gomaxprocs):
		s.Reason += ", at most"
	default:
		s.Reason += ","
	}
	s.Reason += " GOMAXPROCS=" + strconv.Itoa(gomaxprocs)
	return s
}

// setSize fixes the number of slots, or lets it follow the quota if n is 0. It reports false after the
// end.
func (e *Executor) setSize(n int, by string) bool {
	if n > 0 {
		return e.apply(Sizing{Slots: n, Fixed: true, GOMAXPROCS: runtime.GOMAXPROCS(0), Reason: by}, nil)
	}
	if !e.apply(e.sizer.decide(e.cfg.round, true), nil) {
		return false
	}
	if !e.rest() {
		e.keeper.poke()
	}
	return true
}

// apply carries out a decision; if instead is given, only in place of that one, for Resize may have
// been called since. It reports false after the end.
func (e *Executor) apply(s Sizing, instead *sized) bool {
	e.life.resizing.Lock()
	before := e.sizer.now.Load()
	if instead != nil && before != instead {
		e.life.resizing.Unlock()
		return true
	}
	ok := e.resize(s.Slots)
	if ok {
		e.sizer.now.Store(&sized{s, time.Now()})
	}
	e.life.resizing.Unlock()
	if ok && (before == nil || before.Sizing != s) {
		tell := func() { e.cfg.log.Info("executor: sized", "executor", e.name, "slots", s.Slots, "reason", s.Reason) }
		if instead == nil {
			tell() // on the goroutine that called New or Resize
		} else {
			e.errand(tell)
		}
	}
	return ok
}

// follow starts to look at the quota, if the size follows it and is no longer marked as stale. What
// changed while all slots were free is seen at once.
func (k *keeper) follow(word uint64) {
	if k.quota != nil || word&stale != 0 {
		return
	}
	if k.e.bubble != 0 && k.e.sizer.reader.IsShared() { // the process's quota is not of a bubble's time; a test's own is
		return
	}
	now := k.e.sizer.now.Load()
	if now.Fixed {
		return
	}
	age := time.Since(now.at)
	if age >= quotaInterval {
		k.e.sizeAgain(now)
		age = 0
	}
	k.quota = time.NewTimer(quotaInterval - age)
}

// quotaTick is one look at the quota, the last one if nobody uses a slot.
func (k *keeper) quotaTick() {
	now := k.e.sizer.now.Load()
	if now.Fixed || k.e.rest() {
		k.quota = nil
		return
	}
	k.e.sizeAgain(now)
	k.quota.Reset(quotaInterval)
}

// sizeAgain decides anew, instead of before.
func (e *Executor) sizeAgain(before *sized) {
	decide := func() { e.apply(e.sizer.decide(e.cfg.round, false), before) }
	if e.cfg.round == nil {
		decide()
	} else {
		e.errand(decide)
	}
}

// Resize fixes the number of slots from now on, 1 to 4096; 0 follows the CPU quota again. More slots
// serve waiting tasks at once. Fewer take effect as the tasks on them end; what is queued there moves
// to the injector. It returns ErrClosed after the end.
func (e *Executor) Resize(slots int) error {
	if err := e.missing(); err != nil {
		return err
	}
	if slots < 0 {
		return fmt.Errorf("executor: Resize(%d): must be at least 0, which follows the CPU quota", slots)
	}
	if slots > 0 {
		if err := checkSlots("Resize", slots); err != nil {
			return err
		}
	}
	e.meetInside(nil, "Resize")
	if !e.setSize(slots, "Resize") {
		return fmt.Errorf("%w: Resize(%d)", ErrClosed, slots)
	}
	return nil
}

// resize makes n the number of slots that are not to be retired. It reports false after the end. Caller
// holds life.resizing.
func (e *Executor) resize(n int) bool {
	e.idle.mu.Lock()
	if e.word.Load()&ended != 0 {
		e.idle.mu.Unlock()
		return false
	}
	before := e.slotCount()
	switch have := e.slotCount(); {
	case n > have:
		e.grow(n - have)
	case n < have:
		e.shrink(have - n)
	}
	e.size.Store(int32(n))
	if n < before && e.idle.live > n {
		e.idle.extra = true
		e.keeper.poke() // it has the timers: the caller may be in another bubble
	}
	e.idle.mu.Unlock()
	if l := e.inject.lanes; l != nil {
		e.inject.mu.Lock()
		l.resize(n)
		e.inject.mu.Unlock()
	}
	for ; n > before && e.hasWork(); n-- {
		e.notify()
	}
	return true
}

// thin ends runners beyond the slots that sleep without a timer, because there were more slots when they parked.
func (e *Executor) thin() {
	e.idle.mu.Lock()
	extra := e.unlist(e.idle.live - e.slotCount())
	e.idle.mu.Unlock()
	endRunners(extra)
}

// unlist takes up to n parked runners off the list: they count as living no more. Caller holds idle.mu, and calls
// endRunners after releasing it.
func (e *Executor) unlist(n int) (gone []*runner) {
	for ; n > 0 && e.idle.parked.top != nil; n-- {
		gone = append(gone, e.idle.parked.pop())
		e.idle.live--
	}
	return gone
}

func endRunners(unlisted []*runner) {
	for _, r := range unlisted {
		r.token <- nil
	}
}

// grow adds n slots, first those that were to be retired and are still held. Caller holds idle.mu.
func (e *Executor) grow(n int) {
	slots := e.slots.Load().list()
	for _, s := range slots {
		if n > 0 && s.loan == nil && s.retire.Load() {
			s.retire.Store(false)
			n--
		}
	}
	for range n {
		s := &slot{}
		slots = append(slots, s)
		e.pushFree(s)
	}
	e.setSlots(slots)
}

// shrink retires n slots: free ones at once, others at their holder's next boundary. Caller holds
// idle.mu.
func (e *Executor) shrink(n int) {
	gone := make(map[*slot]bool)
	for n > 0 && len(e.idle.free) > 0 {
		gone[e.popFree()] = true
		n--
	}
	var left []*slot
	for s := range e.slots.Load().all() {
		if !gone[s] {
			left = append(left, s)
		}
	}
	e.setSlots(left)
	for s := range e.slots.Load().all() {
		if n > 0 && s.loan == nil && !s.retire.Load() {
			s.retire.Store(true)
			n--
		}
	}
}

// dropSlot removes a slot that nobody holds and whose deque is empty. The holders of the others may all block by now, so
// somebody has to look at them (W1). Caller holds idle.mu, and calls notify afterwards if there is work.
func (e *Executor) dropSlot(s *slot) {
	e.slots.Store(e.slots.Load().without(s))
	e.word.Or(lent)
	if s.loan != nil {
		e.idle.lent--
	}
}

// slotList is all slots of an executor. Anybody reads it, without a lock. It is copied when slots come, and when they go
// one by one the last one takes the place of the one that goes. It stays where it was too, so whoever still reads the longer
// list misses no slot; one that has gone is empty, and nobody holds it.
type slotList []atomic.Pointer[slot]

func (e *Executor) setSlots(slots []*slot) {
	e.slots.Store(newSlotList(slots))
}

func newSlotList(slots []*slot) *slotList {
	l := make(slotList, len(slots))
	for i, s := range slots {
		s.index = i
		l[i].Store(s)
	}
	return &l
}

// without returns the list without s, at a cost that does not depend on its length, on the average: loans end by the
// thousand. Caller holds idle.mu.
func (l *slotList) without(s *slot) *slotList {
	last := len(*l) - 1
	moved := (*l)[last].Load()
	moved.index = s.index
	(*l)[s.index].Store(moved)
	shorter := (*l)[:last]
	if 2*last <= cap(*l) { // what is above keeps slots alive that have gone
		return newSlotList(shorter.list())
	}
	return &shorter
}

// list returns the slots as a list of the caller's own.
func (l slotList) list() []*slot {
	slots := make([]*slot, len(l))
	for i := range l {
		slots[i] = l[i].Load()
	}
	return slots
}

func (l slotList) all() iter.Seq[*slot] {
	return func(yield func(*slot) bool) {
		for i := range l {
			if !yield(l[i].Load()) {
				return
			}
		}
	}
}

// leaves reports whether the slot's holder has to give it up at this boundary.
func (s *slot) leaves() bool { return s.retire.Load() || s.loan != nil && s.loan.over() }
