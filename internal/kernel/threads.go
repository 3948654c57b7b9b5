// Package kernel asks the system about the process: how many of its threads run, or would if a processor were free,
// and which processors it may use. Go's own counts do not say whether a thread that is in C computes or waits.
package kernel

import "time"

// Counter counts threads in the kernel's state R, all but the caller's. One look may take several calls. Its methods
// must not be called at the same time.
type Counter struct {
	tids    []int // all threads, as listed when the look began; those that ran last time first
	at      int   // how many of them have been read
	running []int // those that were in state R
	last    int   // the thread that was read last: the next look goes on behind it
	buf     []byte
}

// Count is the result of a look.
type Count struct {
	Running int  // threads in state R; if it reached enough, the others were not read
	Known   bool // false where the system does not tell, and while a look is not over
	Partial bool // the look is not over: it goes on with the next call
}

// Look reads the states of threads until it knows how many are in state R, or that enough are, for at most the given
// time; then it goes on with the next call. A thread that is seen in state R is read once more at the end: one of Go's
// idle threads looks around for some 50 µs before it sleeps. Reading one takes 8 µs.
func (c *Counter) Look(enough int, most time.Duration) Count { return c.look(enough, most) }

// Restart makes the next call of Look begin a new look.
func (c *Counter) Restart() { c.at = len(c.tids) }

// Allowed returns how many processors the process may use (its affinity), or 0 where the system does not tell.
func Allowed() int { return allowed() }
