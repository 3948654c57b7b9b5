// Package seam has what tests of any room switch before they make an executor. Programs leave it alone.
package seam

import "time"

// Tickless makes executors from now on do without the keeper's ticks, except for what tasks that wait for room need: what
// marked blocking, waits and yields need must not come from there.
var Tickless bool

// Blind makes executors from now on do as on a system that does not tell about threads.
var Blind bool

// Liveness, if it is not zero, is how long nothing may move before busy processors are no reason any more, for executors
// from now on.
var Liveness time.Duration
