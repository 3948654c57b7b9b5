package stresstest

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/internal/cgotest"
	"github.com/stretchr/testify/require"
)

// processStatus returns a number of /proc/self/status.
func processStatus(field string) int {
	text, err := os.ReadFile("/proc/self/status")
	check(err)
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			n, err := strconv.Atoi(strings.Fields(value)[0])
			check(err)
			return n
		}
	}
	panic("no " + field)
}

// until waits for cond, in child processes. Their parent kills them when that takes for ever.
func until(cond func() bool) {
	for !cond() {
		time.Sleep(time.Millisecond)
	}
}

// Half of the tasks set a variable that C has for each thread, in OnThread; all look at it. Mutant: the
// thread goes back to the runtime.
func TestOnThread_StateOfCStaysThere(t *testing.T) {
	needC(t)
	e := spared(t, 3, 50)
	for i := range 300 {
		require.NoError(t, e.Go(context.Background(), func(ctx context.Context) {
			if i%2 == 0 {
				executor.OnThread(ctx, func() {
					if was := cgotest.SwapMine(i + 1); was != 0 {
						t.Errorf("a new thread had %d", was)
					}
					runtime.Gosched()
					if got := cgotest.Mine(); got != i+1 {
						t.Errorf("the thread has %d, want %d", got, i+1)
					}
				})
			}
			if got := cgotest.Mine(); got != 0 {
				t.Errorf("a task found %d", got)
			}
		}))
	}
	quiet(t, e)
}

// The same with what the kernel keeps for each thread: its working directory, once it is not shared. The
// system may forbid that; chdir alone would move everybody.
func TestOnThread_StateOfTheKernelStaysThere(t *testing.T) {
	home, err := os.Getwd()
	require.NoError(t, err)
	e := spared(t, 3, 50)
	var forbidden atomic.Pointer[error]
	where := func() string {
		buf := make([]byte, 4096)
		n, err := syscall.Getcwd(buf)
		if err != nil || n == 0 {
			t.Error("getcwd:", err)
			return ""
		}
		return string(buf[:n-1])
	}
	for i := range 300 {
		require.NoError(t, e.Go(context.Background(), func(ctx context.Context) {
			if i%2 == 0 {
				executor.OnThread(ctx, func() {
					if err := syscall.Unshare(syscall.CLONE_FS); err != nil {
						forbidden.Store(&err)
						return
					}
					if err := syscall.Chdir("/"); err != nil {
						t.Error(err)
					}
					runtime.Gosched()
					if got := where(); got != "/" {
						t.Errorf("the thread is in %s", got)
					}
				})
			}
			if got := where(); got != home {
				t.Errorf("a task is in %s, not %s", got, home)
			}
		}))
	}
	quiet(t, e)
	if err := forbidden.Load(); err != nil {
		t.Skip("unshare(CLONE_FS):", *err)
	}
}

// usr2 is SIGUSR2 in a signal mask of the kernel.
const usr2 = 1 << (syscall.SIGUSR2 - 1)

// sigmask adds signals to the calling thread's mask and returns what it was.
func sigmask(add uint64) (was uint64) {
	const block = 0
	_, _, errno := syscall.RawSyscall6(syscall.SYS_RT_SIGPROCMASK, block, uintptr(unsafe.Pointer(&add)),
		uintptr(unsafe.Pointer(&was)), unsafe.Sizeof(was), 0, 0)
	if errno != 0 {
		panic(errno)
	}
	return was
}

// A signal that half of the tasks block, in OnThread, is never blocked for a task, nor for a new thread. Mutant:
// the thread goes back to the runtime.
func TestOnThread_SignalMasksStayThere(t *testing.T) {
	masks := []struct {
		name string
		set  func()
		get  func() bool
	}{
		{"kernel", func() { sigmask(usr2) }, func() bool { return sigmask(0)&usr2 != 0 }},
		{"C", func() {
			if !cgotest.MaskUsr2() {
				panic("pthread_sigmask")
			}
		}, cgotest.MasksUsr2},
	}
	for _, mask := range masks {
		t.Run(mask.name, func(t *testing.T) {
			if mask.name == "C" {
				needC(t)
			}
			require.False(t, mask.get(), "the signal is blocked already")
			e := spared(t, 3, 50)
			for i := range 300 {
				require.NoError(t, e.Go(context.Background(), func(ctx context.Context) {
					if i%2 == 0 {
						executor.OnThread(ctx, func() {
							if mask.get() {
								t.Error("a new thread blocks the signal")
							}
							mask.set()
							runtime.Gosched()
							if !mask.get() {
								t.Error("the thread does not block the signal any more")
							}
							made := make(chan bool)
							go func() { // perhaps on a thread that this one makes
								runtime.LockOSThread()
								made <- mask.get()
							}()
							if <-made {
								t.Error("another thread blocks the signal")
							}
						})
					}
					if mask.get() {
						t.Error("a task's thread blocks the signal")
					}
				}))
			}
			quiet(t, e)
		})
	}
}

// In a child, whose threads are all its own.
var thousandThreads = child("a thousand threads", func() {
	e, err := executor.New(executor.WithSlots(2))
	check(err)
	call := func(n int) {
		for i := range n {
			check(e.Go(context.Background(), func(ctx context.Context) {
				defer func() { _ = recover() }()
				executor.OnThread(ctx, func() {
					switch i % 10 {
					case 8:
						panic("thread")
					case 9:
						runtime.Goexit()
					}
				})
			}))
		}
		check(e.Quiesce(context.Background()))
	}
	call(50) // whatever the runtime starts, it has started now
	before := processStatus("Threads")
	call(1000)
	until(func() bool { return processStatus("Threads") <= before+4 }) // or the parent's patience ends
	check(e.Close())
	fmt.Println("before", before, "after", processStatus("Threads"))
})

// Mutant: the goroutine unlocks its thread at the end.
func TestOnThread_AThousandCallsLeaveNoThread(t *testing.T) {
	stdout, stderr, code := runChild(t, thousandThreads)
	require.Zero(t, code, stderr)
	t.Log(strings.TrimSpace(stdout))
}

// Threads of the burst are the runtime's, which keeps them, so a second burst must do with those of the
// first. Blocked goroutines need none at all.
var burstThreads = child("threads of a burst", func() {
	const slots, n = 2, 1000
	e, err := executor.New(executor.WithSlots(slots), executor.WithMaxSpares(n),
		executor.WithKeepAlive(time.Millisecond))
	check(err)
	type marker func(context.Context, func())
	unmarked := func(_ context.Context, fn func()) { fn() }
	burst := func(n int, mark marker, block, release func()) {
		var inside atomic.Int64
		for range n {
			check(e.Go(context.Background(), func(ctx context.Context) {
				mark(ctx, func() { inside.Add(1); block() })
			}))
		}
		until(func() bool { return inside.Load() == int64(n) })
		release()
		check(e.Quiesce(context.Background()))
		until(func() bool { s := e.Stats(); return s.Spares == 0 && s.Lent == 0 })
	}
	receiving := func(n int, mark marker) {
		over := make(chan struct{})
		burst(n, mark, func() { <-over }, func() { close(over) })
	}
	var p [2]int
	check(syscall.Pipe(p[:]))
	reading := func(n int, mark marker) {
		burst(n, mark, func() {
			if got, err := syscall.Read(p[0], []byte{0}); got != 1 || err != nil {
				panic(fmt.Sprint(got, err))
			}
		}, func() {
			_, err := syscall.Write(p[1], make([]byte, n))
			check(err)
		})
	}

	receiving(10, executor.Blocking)
	goroutines, threads := runtime.NumGoroutine(), processStatus("Threads")
	verify := func(what string, allowed int) {
		until(func() bool { return runtime.NumGoroutine() <= goroutines })
		if now := processStatus("Threads"); now > allowed {
			panic(fmt.Sprintf("%s: %d threads, were %d, allowed %d", what, now, threads, allowed))
		}
	}
	receiving(n, executor.Blocking)
	verify("marked", threads+8)
	receiving(n, unmarked)
	verify("unmarked", threads+8)
	for range 3 {
		reading(100, executor.Blocking)
		reading(100, unmarked)
		verify("system calls", threads+100+8)
	}
	check(e.Close())
})

func TestBlocking_ABurstLeavesNoThreads(t *testing.T) {
	_, stderr, code := runChild(t, burstThreads)
	require.Zero(t, code, stderr)
}
