package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"time"
)

// scenarios are all there are, in the order of the table. Each is in the file of its name.
var scenarios = []scenario{
	pinnedWorkers,
	singleProc,
	tightLoop,
	hotProducer,
	racyQueue,
	stolenChild,
	spinningFinder,
	spinningSelect,
	cgoFlood,
	containerQuota,
	threadPerTask,
	globalQueue,
	unevenLoad,
	putTake,
	slowSyscalls,
	foreverTasks,
	oneByOne,
	idleThreads,
}

// scenario is one failure, and what becomes of it with the executor.
type scenario struct {
	name    string
	explain string // in one sentence: what went wrong, and why it does not any more

	// What is timed: each side runs the same load. The values that both report under one name make a row of the table;
	// the order is that of the side that reports more.
	before, after         func(*trial) (values, error)
	beforeWith, afterWith string // what does the work, in a few words, for the captions of the timelines

	// unavailable says why it can not run on this machine; nil if it can everywhere.
	unavailable func() string
}

// trial is what one side of a scenario gets: its context, the size of its load, and the timeline that it fills.
type trial struct {
	*timeline
	ctx     context.Context
	scale   float64
	remarks []string
}

// remark adds a line about something that does not fit into a column.
func (t *trial) remark(format string, args ...any) {
	t.remarks = append(t.remarks, fmt.Sprintf(format, args...))
}

// aside is the same with a timeline of its own, for a part that is not to be in the picture.
func (t *trial) aside() *trial { return &trial{timeline: newTimeline(), ctx: t.ctx, scale: t.scale} }

// times is a number of tasks, rounds or events: n in the program, fewer in the tests, at least 1.
func (t *trial) times(n int) int { return max(1, int(float64(n)*t.scale)) }

// lasting is how long something goes on: d in the program, shorter in the tests.
func (t *trial) lasting(d time.Duration) time.Duration { return time.Duration(float64(d) * t.scale) }

// cores is how many workers or slots the scenarios use that need more than one: one for each processor that Go may
// use, but at least two, because a failure among workers needs a second one.
func cores() int { return max(2, runtime.GOMAXPROCS(0)) }

// outcome is what a scenario came to.
type outcome struct {
	scenario      scenario
	skipped       string // why it did not run; empty if it did
	err           error
	before, after side
}

// side is one of the two.
type side struct {
	values   values
	timeline picture
	remarks  []string
}

// remarks are those of both sides.
func (o outcome) remarks() []string { return slices.Concat(o.before.remarks, o.after.remarks) }

// perform runs both sides of a scenario, one after the other.
func perform(ctx context.Context, s scenario, scale float64, bar *bar) outcome {
	o := outcome{scenario: s}
	if s.unavailable != nil {
		if o.skipped = s.unavailable(); o.skipped != "" {
			bar.step(s.name)
			bar.step(s.name)
			return o
		}
	}
	bar.say(s.name + ", before")
	if o.before, o.err = perform1(ctx, s.before, scale); o.err != nil {
		o.err = fmt.Errorf("before: %w", o.err)
		return o
	}
	bar.step(s.name + ", with the executor")
	if o.after, o.err = perform1(ctx, s.after, scale); o.err != nil {
		o.err = fmt.Errorf("with the executor: %w", o.err)
	}
	bar.step(s.name)
	return o
}

func perform1(ctx context.Context, do func(*trial) (values, error), scale float64) (side, error) {
	if err := ctx.Err(); err != nil {
		return side{}, err
	}
	debug.FreeOSMemory() // what others left behind; the runtime would give it back during the trial, which takes time
	t := &trial{timeline: newTimeline(), ctx: ctx, scale: scale}
	v, err := do(t)
	return side{v, t.end(), t.remarks}, err
}
