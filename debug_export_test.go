package executor

import "time"

// HurryDebug makes the lookout of e take a frame every period and end that long after its last viewer. Nobody has
// looked at e yet.
func HurryDebug(e *Executor, period time.Duration) { e.debug.period, e.debug.linger = period, period }

// Lookouts is how many lookouts e has.
func Lookouts(e *Executor) int { return int(e.viewers.Load()) }

// DebugStreams is how many streams are open in the process.
func DebugStreams() int { return int(streams.Load()) }

// MaxDebugStreams is how many there may be.
const MaxDebugStreams = maxStreams
