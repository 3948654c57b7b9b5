package main

import "time"

// What the scenarios about shared queues measure.
const (
	queueWaits = "waiting for locks"
	queueRate  = "tasks per second"
	queueUsed  = "processor time per task"
)

// perCore is how many workers a pool has for each processor where somebody has thought of tasks that block now and
// then.
const perCore = 4

// queueDrawn is of how many tasks of the executor one is drawn. The spaces between are too short to see, so a slot that
// runs tasks all the time looks like that. Before, all of a worker's life is drawn, and what interrupts its work.
const queueDrawn = 16

// queueCost is what the program had used when the tasks began.
type queueCost struct {
	start             time.Time
	processor, waited time.Duration
}

func newQueueCost() queueCost { return queueCost{time.Now(), processorTime(), lockWaits()} }

// values are about the time since then, and so many tasks that have run.
func (c queueCost) values(tasks int64) values {
	took, used, waited := time.Since(c.start), processorTime()-c.processor, lockWaits()-c.waited
	v := values{duration(queueWaits, waited), rate(queueRate, tasks, took)}
	if noProcessorTime() == "" {
		v = append(v, duration(queueUsed, used/time.Duration(max(1, tasks))))
	}
	return v
}
