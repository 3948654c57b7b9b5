//go:build !unix

package main

import "time"

func processorTime() time.Duration { return 0 }

// noProcessorTime says why processorTime does not work.
func noProcessorTime() string {
	return "the processor time of a program is read with getrusage, which this system does not have"
}
