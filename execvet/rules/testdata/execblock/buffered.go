package execblock

import (
	"context"

	"github.com/seed-97bda89a/executor"
)

type job struct {
	answer chan error    // made with room for one
	places chan struct{} // a semaphore
	rows   chan string   // made without room
	mixed  chan string   // sometimes with, sometimes without
}

func newJob() *job {
	j := &job{answer: make(chan error, 1), places: make(chan struct{}, 4), rows: make(chan string), mixed: make(chan string, 1)}
	j.mixed = make(chan string)
	return j
}

func start(ctx context.Context, e *executor.Executor, j *job) error {
	return e.Go(ctx, func(context.Context) {
		defer func() { <-j.places }()
		j.answer <- nil
		j.rows <- "a"  // want `a send to a channel`
		j.mixed <- "a" // want `a send to a channel`
		<-j.answer     // want `a receive from a channel`
	})
}
