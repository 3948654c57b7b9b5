// Package stream has the API of github.com/sourcegraph/conc/stream, name for name. Its tasks and callbacks run on the
// executor that conc.Use has bound, or on goroutines. What is next: [executor.Ordered], which takes a context, bounds
// what is in flight by itself, and is a loop that one can leave.
package stream

import (
	"sync"

	"github.com/seed-97bda89a/executor/compat/conc"
	"github.com/seed-97bda89a/executor/compat/conc/panics"
	"github.com/seed-97bda89a/executor/compat/conc/pool"
	"github.com/seed-97bda89a/executor/internal/door"
)

// Stream runs tasks at the same time, and their callbacks one after the other, in the order in which the tasks were
// submitted. A panic in a task or a callback keeps no other from running, and comes back in Wait.
type Stream struct {
	pool  pool.Pool
	back  conc.WaitGroup // runs the callbacks
	queue chan chan Callback
	once  sync.Once
}

// Task is what is submitted. It returns what is to be called in order.
type Task func() Callback

// Callback is what is called in order.
type Callback func()

// New returns an empty Stream.
func New() *Stream { return new(Stream) }

// WithMaxGoroutines bounds how many tasks run at once. It panics if n < 1, and after the first Go.
func (s *Stream) WithMaxGoroutines(n int) *Stream {
	s.pool.WithMaxGoroutines(n)
	return s
}

// Go submits f. It waits while as many tasks run as may, or while so many are ahead whose callbacks have not run.
func (s *Stream) Go(f Task) {
	s.init()
	result := make(chan Callback, 1)
	door.Send(s.queue, result)
	s.pool.Go(func() {
		returned := false
		defer func() {
			if !returned {
				result <- func() {} // a panic or a Goexit: those behind must not wait for it
			}
		}()
		callback := f()
		returned = true
		result <- callback
	})
}

// Wait returns when all tasks and callbacks have, and panics with the first panic, a *panics.Recovered.
func (s *Stream) Wait() {
	s.init()
	defer func() {
		close(s.queue)
		s.back.Wait()
	}()
	s.pool.Wait()
}

func (s *Stream) init() {
	s.once.Do(func() {
		s.queue = make(chan chan Callback, s.pool.MaxGoroutines()+1)
		s.back.Go(s.callBack)
	})
}

// callBack runs the callbacks in order.
func (s *Stream) callBack() {
	var catcher panics.Catcher
	defer catcher.Repanic()
	for {
		result, ok := door.Receive(s.queue)
		if !ok {
			return
		}
		callback, _ := door.Receive(result)
		catcher.Try(callback)
	}
}
