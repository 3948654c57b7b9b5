//go:build unix

package cgroup

import (
	"syscall"
	"time"
)

// ProcessTime returns the processor time that the process has used.
func ProcessTime() time.Duration {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
