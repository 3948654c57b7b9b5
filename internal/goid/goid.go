// Package goid tells which goroutine is calling, and in which testing/synctest bubble. Package
// github.com/petermattis/goid reads a goroutine's number in two nanoseconds, from memory of the runtime's own, so
// that is checked against a stack trace before it is trusted.
package goid

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/petermattis/goid"
)

var fast struct {
	once sync.Once
	ok   atomic.Bool // written once, by Learn; who asks may be earlier than that, or at the same time
}

// fastOn are the processors for which package goid has code that reads the number from memory. Elsewhere it reads
// a stack trace itself, which agrees with the one that Learn reads, and takes 3 µs each time.
var fastOn = []string{"386", "amd64", "arm", "arm64", "s390x"}

// Learn finds out, once, whether the fast number can be trusted: it compares it with the one in a stack trace,
// on two goroutines. Before the first call, where there is none, and where they disagree, Is is false and ID reads
// a stack trace.
func Learn() {
	fast.once.Do(func() {
		if runtime.Compiler != "gc" || !slices.Contains(fastOn, runtime.GOARCH) {
			return
		}
		agree := func() bool { return goid.Get() == slow() }
		other := make(chan bool)
		go func() { other <- agree() }()
		fast.ok.Store(<-other && agree())
	})
}

func slow() int64 {
	var buf [64]byte
	return goid.ExtractGID(buf[:runtime.Stack(buf[:], false)])
}

// ID returns the number of the calling goroutine. Numbers are never used again. It takes two nanoseconds, or
// some three microseconds where the fast number can not be trusted.
func ID() int64 {
	if fast.ok.Load() {
		return goid.Get()
	}
	return slow()
}

// Fast is ID where that takes two nanoseconds, else 0.
func Fast() int64 {
	if fast.ok.Load() {
		return goid.Get()
	}
	return 0
}

// Is reports whether the calling goroutine has this number. It is false for every goroutine where the fast number
// can not be trusted, so it never costs more than two nanoseconds.
func Is(id int64) bool { return fast.ok.Load() && id == goid.Get() }
