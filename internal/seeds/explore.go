// Package seeds is the explorer behind executortest.Explore: it runs a test again and again, and decides each time who of its
// tasks goes on when. How the executor tells it what they do is in package sched.
package seeds

import (
	"testing"
	"testing/synctest"

	"github.com/seed-97bda89a/executor"
)

// Func is a test.
type Func = func(t *testing.T, e *executor.Executor)

// Config says what is tried.
type Config struct {
	First, Last uint64 // seeds
	Options     []executor.Option
	Slots       int  // 0: as many as there are tasks
	PCT         int  // the depth; 0: the seeds choose each with the same probability
	Exhaustive  int  // at most how many schedules, each once, instead of seeds; 0: seeds
	Plain       bool // the first schedule that fails is not made simpler
	Ordered     bool // the race detector sees that all takes turns, and so finds no race in the test
}

// Verdict is what came out.
type Verdict struct {
	Kind     Kind
	Skipped  bool
	Seed     uint64   // the first that failed
	Schedule Schedule // the simplest that fails
	Text     string   // how
	Runs     int      // how many were made
	All      bool     // there are no others (Exhaustive)

	x *explorer
}

type explorer struct {
	Config
	fn     Func
	hidden *testing.T
	runs   int
	length int // steps of the first run
}

// Explore tries the seeds until one fails. The failures and messages of fn are not seen, unless package testing is not
// what it was: then they are t's.
func Explore(t *testing.T, c Config, fn Func) *Verdict {
	x := &explorer{Config: c, fn: fn}
	v := x.explore(t)
	v.x, v.Runs = x, x.runs
	return v
}

func (x *explorer) explore(t *testing.T) *Verdict {
	if x.Exhaustive > 0 {
		s := &every{}
		for range x.Exhaustive {
			if v := x.twice(t, 0, func() strategy { return s.again() }); v != nil {
				return v
			}
			if !s.next() {
				return &Verdict{All: true}
			}
		}
		return &Verdict{}
	}
	if x.First > 0 && x.PCT > 0 { // it depends on how long the first run is
		x.hidden = hidden(t)
		x.length = len(x.try(0, newReplay(nil)).steps)
	}
	for seed := x.First; seed <= x.Last; seed++ {
		if v := x.twice(t, seed, func() strategy { return x.strategyOf(seed) }); v != nil {
			return v
		}
	}
	return &Verdict{}
}

// twice makes the same run twice, and returns what is wrong with it, or nil.
func (x *explorer) twice(t *testing.T, seed uint64, with func() strategy) *Verdict {
	x.hidden = hidden(t)
	a := x.try(seed, with())
	if x.length == 0 {
		x.length = len(a.steps)
	}
	if a.skipped.Load() {
		return &Verdict{Skipped: true}
	}
	if f := a.failure.Load(); f != nil && f.kind == Locked { // it takes long to find that out
		return a.verdict()
	}
	b := x.try(seed, with())
	if a.hash != b.hash {
		v := a.verdict()
		v.Kind, v.Text = Undetermined, diverged(a, b)
		return v
	}
	switch {
	case a.failure.Load() == nil && b.failure.Load() == nil:
		return nil
	case a.failure.Load() == nil:
		a = b
	}
	if x.Plain {
		return a.verdict()
	}
	return x.shrink(a).verdict()
}

func (r *run) verdict() *Verdict {
	v := &Verdict{Seed: r.seed, Schedule: Schedule{r.seed, r.turns}}
	if f := r.failure.Load(); f != nil {
		v.Kind, v.Text = f.kind, f.String()
	}
	return v
}

// Again repeats the failing schedule unseen, and returns how it ends.
func (v *Verdict) Again(t *testing.T) Kind {
	v.x.hidden = hidden(t)
	if f := v.x.try(v.Seed, newReplay(v.Schedule.Turns)).failure.Load(); f != nil {
		return f.kind
	}
	return Passed
}

// Show repeats the failing schedule, so that its messages are t's, and returns the steps.
func (v *Verdict) Show(t *testing.T) (steps string) {
	return v.x.run(t, &run{seed: v.Seed, strategy: newReplay(v.Schedule.Turns), traced: true, slots: v.x.Slots, options: v.x.Options, ordered: v.x.Ordered}).lines()
}

// Play runs one schedule, whose messages are t's. It returns the steps, and as Schedule what of it the program could follow.
func Play(t *testing.T, c Config, fn Func, s Schedule) (v *Verdict, steps string) {
	x := &explorer{Config: c, fn: fn}
	r := x.run(t, &run{seed: s.Seed, strategy: newReplay(s.Turns), traced: true, slots: c.Slots, options: c.Options, ordered: c.Ordered})
	v = r.verdict()
	v.x, v.Runs = x, 1
	return v, r.lines()
}

func (x *explorer) strategyOf(seed uint64) strategy {
	if seed == 0 {
		return newReplay(nil)
	}
	if x.PCT > 0 {
		return newPCT(seed, x.PCT, x.length)
	}
	return newRandom(seed)
}

// try makes one run, of which nothing is seen.
func (x *explorer) try(seed uint64, s strategy) *run {
	return x.run(x.hidden, &run{seed: seed, strategy: s, slots: x.Slots, options: x.Options, ordered: x.Ordered})
}

// run makes one run, in a bubble that belongs to t.
func (x *explorer) run(t *testing.T, r *run) *run {
	x.runs++
	done := make(chan struct{})
	go func() {
		defer close(done) // also if the test calls FailNow
		defer func() {
			if value := recover(); value != nil {
				r.fail(r.left(value))
			}
		}()
		synctest.Test(t, func(t *testing.T) { r.root(t, x.fn) })
	}()
	r.guard(done)
	return r
}
