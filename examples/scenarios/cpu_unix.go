//go:build unix

package main

import (
	"syscall"
	"time"
)

// processorTime is how much time of the processors this program has used.
func processorTime() time.Duration {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// noProcessorTime says why processorTime does not work.
func noProcessorTime() string { return "" }
