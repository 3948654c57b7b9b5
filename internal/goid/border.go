package goid

import (
	"sync"
	"sync/atomic"
)

// Border keeps calls of one thing, a Bulkhead, apart that are on different sides of the border of a bubble of
// testing/synctest, where they would have to wake each other. A goroutine outside may not close or use a channel of a bubble; so a
// call in a bubble may wait only while every other call is in the same one. Calls that do not wait may come from anywhere.
//
// Outside of bubbles it costs two additions a call.
type Border struct {
	outside atomic.Int64  // calls from outside of bubbles
	sealed  atomic.Uint64 // a bubble of which calls wait: nobody else may come

	mu      sync.Mutex
	of      map[uint64]int // calls in progress, by bubble
	waiting int            // of those of the bubble that has sealed it
}

// Enter begins a call in the bubble, 0 for none. It reports false if that may not be, and then it has not begun.
func (b *Border) Enter(bubble uint64) bool {
	if bubble == 0 {
		b.outside.Add(1) // then look: Wait seals, then looks at this
		if b.sealed.Load() == 0 {
			return true
		}
		b.mu.Lock() // the seal may be that of a Wait that is about to be refused
		defer b.mu.Unlock()
		if b.sealed.Load() != 0 {
			b.outside.Add(-1)
			return false
		}
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.sealed.Load(); s != 0 && s != bubble {
		return false
	}
	if b.of == nil {
		b.of = make(map[uint64]int)
	}
	b.of[bubble]++
	return true
}

// Leave ends a call.
func (b *Border) Leave(bubble uint64) {
	if bubble == 0 {
		b.outside.Add(-1)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.of[bubble]--; b.of[bubble] == 0 {
		delete(b.of, bubble)
	}
}

// Wait is called before a call waits for another one to end, until Waited. It reports false if it may not.
func (b *Border) Wait(bubble uint64) bool {
	if bubble == 0 {
		return true // whoever wakes it may be anywhere
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waiting > 0 { // in this bubble: nobody else has come since, and who is outside now is about to be refused
		b.waiting++
		return true
	}
	b.sealed.Store(bubble)
	if b.outside.Load() == 0 && len(b.of) == 1 {
		b.waiting++
		return true
	}
	b.sealed.Store(0)
	return false
}

// Waited ends the wait.
func (b *Border) Waited(bubble uint64) {
	if bubble == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waiting--; b.waiting == 0 {
		b.sealed.Store(0)
	}
}
