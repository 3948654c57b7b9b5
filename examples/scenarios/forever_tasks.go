package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-97bda89a/executor"
)

// The tasks poll, tail a log, recompute: they are not meant to end. There are four times as many as workers.
var foreverTasks = scenario{
	name: "forever-tasks",
	explain: "Tasks that never end keep the workers that they got, and the later ones never start; with a Checkpoint in the loop " +
		"they take turns, each with its share, up to as many as there are slots and spares.",
	before: foreverTasksBefore, beforeWith: "as many workers as processors",
	after: foreverTasksAfter, afterWith: "as many slots, Checkpoint in the loops",
}

const (
	foreverTasksRan   = "tasks that got to run"
	foreverTasksLast  = "share of the last one"
	foreverTasksLeast = "smallest share"
	foreverTasksMost  = "largest share"
)

const (
	foreverTasksTime = 1500 * time.Millisecond
	foreverTasksUnit = 100 * time.Microsecond
	foreverTasksEach = 4 // tasks for each worker
)

// foreverWork is what each of the tasks has done.
type foreverWork []atomic.Int64

// unit is one round of the loop of task i.
func (w foreverWork) unit(i int) {
	spin(foreverTasksUnit)
	w[i].Add(1)
}

// values are the shares of the work that was done.
func (w foreverWork) values(t *trial, side string) values {
	var sum, least, most, ran int64
	for i := range w {
		n := w[i].Load()
		sum += n
		most = max(most, n)
		if i == 0 || n < least {
			least = n
		}
		if n > 0 {
			ran++
		}
	}
	part := func(n int64) float64 { return float64(n) / float64(max(1, sum)) }
	var all []string
	for i := range w {
		all = append(all, fmt.Sprintf("%.1f %%", 100*part(w[i].Load())))
	}
	t.remark("shares %s: %s", side, strings.Join(all, ", "))
	return values{
		count(foreverTasksRan, ran), share(foreverTasksLast, part(w[len(w)-1].Load())),
		share(foreverTasksLeast, part(least)), share(foreverTasksMost, part(most)),
	}
}

func foreverTasksBefore(t *trial) (values, error) {
	work := make(foreverWork, foreverTasksEach*cores())
	ctx, cancel := context.WithTimeout(t.ctx, t.lasting(foreverTasksTime)) // the program is shut down then
	defer cancel()
	tasks := make(chan func(), len(work))
	for i := range work {
		tasks <- func() {
			t.run(fmt.Sprintf("task %d", i+1), func() {
				for ctx.Err() == nil {
					work.unit(i)
				}
			})
		}
	}
	close(tasks)
	var workers sync.WaitGroup
	for range cores() {
		workers.Go(func() {
			for task := range tasks {
				if ctx.Err() == nil {
					task()
				}
			}
		})
	}
	workers.Wait()
	return work.values(t, "before"), t.ctx.Err()
}

func foreverTasksAfter(t *trial) (values, error) {
	work := make(foreverWork, foreverTasksEach*cores())
	// So there are as many tasks as slots and spares, the most for which it works.
	exec, err := executor.New(executor.WithName("forever-tasks"), executor.WithSlots(cores()),
		executor.WithMaxSpares(len(work)-cores()))
	if err != nil {
		return nil, err
	}
	defer exec.Close()
	ctx, cancel := context.WithTimeout(t.ctx, t.lasting(foreverTasksTime))
	defer cancel()
	for i := range work {
		err := exec.Go(ctx, func(ctx context.Context) {
			t.run(fmt.Sprintf("task %d", i+1), func() {
				for {
					work.unit(i)
					var err error
					t.rest(func() { err = executor.Checkpoint(ctx) })
					if err != nil {
						return
					}
				}
			})
		})
		if err != nil {
			return nil, err
		}
	}
	<-ctx.Done()
	t.end()
	err = exec.Close()
	return work.values(t, "with the executor"), err
}
