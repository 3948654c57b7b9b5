package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"sync"
	"time"

	"github.com/seed-97bda89a/executor"
)

// A producer works and then sends three values, for three receivers that wait for one and then work a little. There are
// as many workers as processors, but with less than four a pool without a hand-off would stand still for ever: three
// receivers and no producer. So this scenario runs with a GOMAXPROCS of four at least, whatever the machine has.
var putTake = scenario{
	name: "put-take",
	explain: "Three of four workers hold a receiver that waits, so one works; the executor gives the slots of the waiting to the " +
		"producers, in time whether the wait is marked with Blocking or not, and says when no spare is left to do it.",
	before: putTakeBefore, beforeWith: "as many workers as processors",
	after: putTakeAfter, afterWith: "as many slots as processors, the waiting not marked",
}

const (
	putTakeBusy    = "processors busy"
	putTakeMarked  = "the same, marked Blocking"
	putTakeTime    = "time"
	putTakeWaiting = "receivers that waited at once"
	putTakeBound   = "at most: slots and spares"
	putTakeBeyond  = "beyond that the report says"
)

const (
	putTakeGroups  = 32 // of a producer and three receivers
	putTakeProduce = 40 * time.Millisecond
	putTakeReceive = 500 * time.Microsecond

	putTakeSpares = 256 // the default: enough for all tasks to wait at once
)

// putTakeLoad is the load, and what it counts.
type putTakeLoad struct {
	t       *trial
	values  chan int
	waiting gauge // receivers
}

// produce and receive are the two kinds of task. wait runs what may block.
func (l *putTakeLoad) produce(wait func(func())) {
	l.t.run("producers", func() { spin(putTakeProduce) })
	for i := range 3 {
		wait(func() { l.t.block(func() { l.values <- i }) })
	}
}

func (l *putTakeLoad) receive(wait func(func())) {
	wait(func() {
		l.t.block(func() {
			defer l.waiting.enter()()
			<-l.values
		})
	})
	l.t.run("receivers", func() { spin(putTakeReceive) })
}

func newPutTakeLoad(t *trial) *putTakeLoad { return &putTakeLoad{t: t, values: make(chan int)} }

// each submits all tasks, the receivers of a group first: they have been waiting for the producer since yesterday.
func (l *putTakeLoad) each(submit func(task func(wait func(func())))) {
	for range l.t.times(putTakeGroups) {
		for range 3 {
			submit(l.receive)
		}
		submit(l.produce)
	}
}

// putTakeProcs raises GOMAXPROCS to four if it is below, and returns it and how to undo that.
func putTakeProcs() (procs int, undo func()) {
	before := runtime.GOMAXPROCS(0)
	procs = max(4, before)
	if procs == before {
		return procs, func() {}
	}
	runtime.GOMAXPROCS(procs)
	return procs, func() { runtime.GOMAXPROCS(before) }
}

// putTakeWays are the ways to wait in a task.
var putTakeWays = []struct {
	name string
	wait func(ctx context.Context, blocks func())
}{
	{"marked", executor.Blocking},
	{"unmarked", func(_ context.Context, blocks func()) { blocks() }},
}

func putTakeBefore(t *trial) (values, error) {
	procs, undo := putTakeProcs()
	defer undo()
	tasks := make(chan func(func(func())))
	var workers sync.WaitGroup
	for range procs {
		workers.Go(func() {
			for task := range tasks {
				task(func(blocks func()) { blocks() })
			}
		})
	}
	l, start := newPutTakeLoad(t), time.Now()
	l.each(func(task func(func(func()))) { tasks <- task })
	close(tasks)
	workers.Wait()
	took := time.Since(start)
	busy := t.end().busy(procs)
	return values{
		share(putTakeBusy, busy), share(putTakeMarked, busy), duration(putTakeTime, took),
		count(putTakeWaiting, l.waiting.most()),
	}, nil
}

func putTakeAfter(t *trial) (values, error) {
	procs, undo := putTakeProcs()
	defer undo()
	var report putTakeReport
	for _, way := range putTakeWays {
		var err error
		if report, err = putTakeBeyondSpares(t.ctx, procs, way.wait); err != nil {
			return nil, err
		}
		t.remark("the report when %d receivers wait for %d slots and %d spares, %s: %s",
			report.waiting, procs, report.spares, way.name, report)
	}
	marked, err := putTakeWith(t.aside(), procs, putTakeWays[0].wait)
	if err != nil {
		return nil, err
	}
	unmarked, err := putTakeWith(t, procs, putTakeWays[1].wait)
	return values{
		share(putTakeBusy, unmarked.busy), share(putTakeMarked, marked.busy), duration(putTakeTime, unmarked.took),
		count(putTakeWaiting, max(marked.most, unmarked.most)), count(putTakeBound, procs+putTakeSpares),
		note(putTakeBeyond, report.Reason),
	}, err
}

type putTakeResult struct {
	busy float64
	took time.Duration
	most int64
}

// putTakeWith runs the load with the executor.
func putTakeWith(t *trial, procs int, wait func(context.Context, func())) (putTakeResult, error) {
	exec, err := executor.New(executor.WithName("put-take"), executor.WithSlots(procs))
	if err != nil {
		return putTakeResult{}, err
	}
	defer exec.Close()
	t.begin()
	l, start := newPutTakeLoad(t), time.Now()
	group := exec.NewGroup(t.ctx)
	l.each(func(task func(func(func()))) {
		group.Go(func(ctx context.Context) error {
			task(func(blocks func()) { wait(ctx, blocks) })
			return nil
		})
	})
	err = group.Wait()
	return putTakeResult{t.end().busy(procs), time.Since(start), l.waiting.most()}, err
}

// putTakeReport is a stall report, and what it is about.
type putTakeReport struct {
	executor.StallInfo
	waiting, spares int
}

var putTakeLine = regexp.MustCompile(`put_take\.go:\d+`)

func (r putTakeReport) String() string {
	return fmt.Sprintf("reason %q, nothing has moved for %v, queued %d, standing still %d, the oldest in %s",
		r.Reason, r.QueueAge.Round(time.Millisecond), r.Queued, len(r.Ages), putTakeLine.FindString(r.Stack))
}

// putTakeBeyondSpares submits more receivers than there are slots and spares, and no producer, until that is reported.
func putTakeBeyondSpares(ctx context.Context, procs int, wait func(context.Context, func())) (putTakeReport, error) {
	const spares, more = 4, 8
	reports := make(chan executor.StallInfo, 1)
	exec, err := executor.New(executor.WithName("put-take"), executor.WithSlots(procs), executor.WithMaxSpares(spares),
		executor.WithOnStall(func(s executor.StallInfo) {
			if s.Reason == executor.StallSpares {
				select {
				case reports <- s:
				default: // one is enough
				}
			}
		}))
	if err != nil {
		return putTakeReport{}, err
	}
	defer exec.Close()
	sent := make(chan int)
	defer close(sent) // the receivers can go home
	n := procs + spares + more
	for range n {
		if err := exec.Go(ctx, func(ctx context.Context) { wait(ctx, func() { <-sent }) }); err != nil {
			return putTakeReport{}, err
		}
	}
	select {
	case s := <-reports:
		return putTakeReport{s, n, spares}, nil
	case <-time.After(30 * time.Second):
		return putTakeReport{}, errors.New("nothing was reported")
	case <-ctx.Done():
		return putTakeReport{}, ctx.Err()
	}
}
