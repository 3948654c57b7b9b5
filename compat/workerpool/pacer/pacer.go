// Package pacer has the API of github.com/gammazero/workerpool/pacer, name for name: it makes functions start at a
// steady pace. A task that waits for its turn lends its slot.
package pacer

import (
	"time"

	"github.com/seed-97bda89a/executor/internal/door"
)

// Pacer lets callers of Next go on one after the other, each not sooner than its delay after the one before.
type Pacer struct {
	delay  time.Duration
	gate   chan struct{}
	token  chan struct{} // held by who waits at the gate, or by Pause
	paused chan struct{} // full while paused
	turn   chan struct{} // held by the one caller that wants the token, so that Pause gets it next
}

// NewPacer returns a Pacer with that delay. It has a goroutine, which Stop ends.
func NewPacer(delay time.Duration) *Pacer {
	p := &Pacer{
		delay:  delay,
		gate:   make(chan struct{}),
		token:  make(chan struct{}, 1),
		paused: make(chan struct{}, 1),
		turn:   make(chan struct{}, 1),
	}
	go func() {
		for range p.gate {
			time.Sleep(p.delay)
		}
	}()
	return p
}

// Pace returns a function that waits for its turn and then calls task.
func (p *Pacer) Pace(task func()) func() {
	return func() {
		p.Next()
		task()
	}
}

// Next returns when it is the caller's turn.
func (p *Pacer) Next() {
	door.Wait(func() {
		p.turn <- struct{}{}
		p.token <- struct{}{}
		p.gate <- struct{}{}
		<-p.token
		<-p.turn
	})
}

// Stop ends the Pacer. Callers that still wait would panic.
func (p *Pacer) Stop() { close(p.gate) }

// IsPaused reports whether the Pacer is paused.
func (p *Pacer) IsPaused() bool { return len(p.paused) > 0 }

// Pause lets nobody go on until Resume. If the Pacer is paused, it waits until that is over.
func (p *Pacer) Pause() {
	door.Send(p.token, struct{}{})
	door.Send(p.paused, struct{}{})
}

// Resume ends a pause. It does nothing if there is none.
func (p *Pacer) Resume() {
	select {
	case <-p.paused:
		<-p.token
	default:
	}
}
