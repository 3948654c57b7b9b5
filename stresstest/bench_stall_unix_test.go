//go:build unix

package stresstest

import (
	"sync"
	"syscall"
	"testing"
	"time"
)

// blockingSyscall gives a call that blocks its thread in the kernel for a while. Each call has a pipe of
// its own, in blocking mode.
func blockingSyscall(b *testing.B, pause time.Duration) func() {
	var pipes sync.Pool
	pipes.New = func() any {
		p := new([2]int)
		check(syscall.Pipe(p[:]))
		b.Cleanup(func() { _, _ = syscall.Close(p[0]), syscall.Close(p[1]) })
		return p
	}
	return func() {
		p := pipes.Get().(*[2]int)
		defer pipes.Put(p)
		time.AfterFunc(pause, func() { _, err := syscall.Write(p[1], []byte{1}); check(err) })
		_, err := syscall.Read(p[0], []byte{0})
		check(err)
	}
}
