package door

import (
	"context"

	"github.com/seed-97bda89a/executor"
)

// Wait runs fn, which waits, and lends the slot meanwhile if a task calls it. A door's calls have no
// context, and need none: a task is recognised by its goroutine.
func Wait(fn func()) { executor.Blocking(context.Background(), fn) }

// Send sends v on ch, as Wait does where that has to wait.
func Send[T any](ch chan<- T, v T) {
	select {
	case ch <- v:
	default:
		Wait(func() { ch <- v })
	}
}

// Receive receives from ch, as Wait does where that has to wait.
func Receive[T any](ch <-chan T) (v T, ok bool) {
	select {
	case v, ok = <-ch:
	default:
		Wait(func() { v, ok = <-ch })
	}
	return v, ok
}
