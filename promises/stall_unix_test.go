//go:build unix

package promises

import (
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func init() { // the order of files does not matter to those who range over blockers
	blockers = append(blockers, blocker{"system call", func(t *testing.T, n int) (block, release func()) {
		var p [2]int
		require.NoError(t, syscall.Pipe(p[:])) // in blocking mode, past the runtime's poller
		t.Cleanup(func() { _, _ = syscall.Close(p[0]), syscall.Close(p[1]) })
		return func() {
				if got, err := syscall.Read(p[0], make([]byte, 1)); got != 1 || err != nil {
					t.Error("read:", got, err)
				}
			}, sync.OnceFunc(func() {
				_, err := syscall.Write(p[1], make([]byte, n))
				require.NoError(t, err)
			})
	}})
}
