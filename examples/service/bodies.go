package main

import (
	"net/http"
	"slices"
	"sync"
	"time"
)

// bodies bounds how many requests are still sending their body. They are not work: a client that sends a byte a second
// holds no slot, only a spare. But some hundred of them would have all the spares, and then each holds a slot. So one more
// takes the place of the one that has been at it for longest.
type bodies struct {
	most int

	mu      sync.Mutex
	reading []*http.ResponseController // oldest first
}

// enter is called before a body is read, and what it returns after it.
func (b *bodies) enter(c *http.ResponseController) (leave func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.reading) >= b.most {
		_ = b.reading[0].SetReadDeadline(time.Now()) // its handler reads an error; not every connection has deadlines
		b.reading = slices.Delete(b.reading, 0, 1)
	}
	b.reading = append(b.reading, c)
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.reading = slices.DeleteFunc(b.reading, func(o *http.ResponseController) bool { return o == c })
	}
}
