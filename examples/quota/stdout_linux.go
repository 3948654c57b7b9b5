package main

import (
	"os"
	"syscall"
)

// wasClosed reports whether f was closed when the program started. The Go runtime then has opened /dev/null in its place, for
// reading too, which nobody does who means it: what is written there would be lost in silence.
func wasClosed(f *os.File) bool {
	flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, f.Fd(), syscall.F_GETFL, 0)
	if errno != 0 {
		return true
	}
	null, err := os.Stat(os.DevNull)
	is, err2 := f.Stat()
	return err == nil && err2 == nil && flags&syscall.O_ACCMODE == syscall.O_RDWR && os.SameFile(null, is)
}
