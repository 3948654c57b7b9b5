//go:build linux

package cgrouptest

import (
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

type cpuMask [64]uintptr // more CPUs than Linux can be built for

const cpusPerWord = 8 * int(unsafe.Sizeof(uintptr(0)))

// Affinity returns the CPUs that this process may use.
func Affinity(t testing.TB) (cpus []int) {
	var mask cpuMask
	_, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_GETAFFINITY, 0, unsafe.Sizeof(mask), uintptr(unsafe.Pointer(&mask)))
	require.Zero(t, errno)
	for i := range len(mask) * cpusPerWord {
		if mask[i/cpusPerWord]>>(i%cpusPerWord)&1 != 0 {
			cpus = append(cpus, i)
		}
	}
	return cpus
}

// SetAffinity changes them. It holds for each thread on its own, and for the threads it starts:
// those that started meanwhile need it too.
func SetAffinity(t testing.TB, cpus []int) {
	var mask cpuMask
	for _, i := range cpus {
		mask[i/cpusPerWord] |= 1 << (i % cpusPerWord)
	}
	done := map[string]bool{}
	for again := true; again; {
		again = false
		tasks, err := filepath.Glob("/proc/self/task/*")
		require.NoError(t, err)
		for _, task := range tasks {
			if done[task] {
				continue
			}
			done[task], again = true, true
			tid, err := strconv.Atoi(filepath.Base(task))
			require.NoError(t, err)
			_, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_SETAFFINITY, uintptr(tid), unsafe.Sizeof(mask), uintptr(unsafe.Pointer(&mask)))
			require.Contains(t, []syscall.Errno{0, syscall.ESRCH}, errno)
		}
	}
}
