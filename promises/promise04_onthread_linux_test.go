package promises

import (
	"context"
	"errors"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
)

// Mutant: fn runs on a goroutine that is not locked to its thread, or the thread is given back to the
// runtime with whatever fn did to it.
func TestOnThread_RunsOnAThreadOfItsOwn(t *testing.T) {
	e := spared(t, 1, 1)
	check := func(ctx context.Context) (tid int, err error) {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		mine := syscall.Gettid()
		executor.OnThread(ctx, func() {
			if tid = syscall.Gettid(); tid == mine {
				err = errors.New("fn ran on the caller's thread")
			}
			if !strings.Contains(header(), "locked to thread") {
				err = errors.New("fn's goroutine is not locked: " + header())
			}
			runtime.Gosched()
			if syscall.Gettid() != tid {
				err = errors.New("fn changed threads")
			}
		})
		return tid, err
	}
	for range 10 {
		tid, err := check(context.Background())
		require.NoError(t, err)
		f, err := executor.Submit(context.Background(), e, check)
		require.NoError(t, err)
		require.NoError(t, result(t, f))
		inside, _ := f.Wait(context.Background())
		for _, tid := range []int{tid, inside} {
			if tid == os.Getpid() {
				continue // The main thread cannot be ended, only wedged.
			}
			eventually(t, "the thread is thrown away", func() bool {
				_, err := os.Stat("/proc/self/task/" + strconv.Itoa(tid))
				return os.IsNotExist(err)
			})
		}
	}
	quiet(t, e)
}
