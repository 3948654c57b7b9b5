//go:build !unix && !windows

package cgroup

import "time"

// ProcessTime is not known on this system.
func ProcessTime() time.Duration { return 0 }
