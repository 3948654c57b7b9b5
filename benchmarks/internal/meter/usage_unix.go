//go:build unix

package meter

import (
	"syscall"
	"time"
)

// usage reads the voluntary context switches and the processor time of the
// process.
func usage() (switches int64, cpu time.Duration) {
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) != nil {
		return 0, 0
	}
	return int64(r.Nvcsw), time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
