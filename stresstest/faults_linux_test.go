package stresstest

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
)

// fewThreads lets the process start no more than so many threads beside those it has. It becomes another user for
// that, since the kernel counts the threads of a user, and does not stop root.
func fewThreads(more int) {
	const rlimitNproc = 6
	user := 50_000 + os.Getpid()%10_000
	check(syscall.Setgid(user))
	check(syscall.Setuid(user))
	limit := uint64(processStatus("Threads") + more)
	check(syscall.Setrlimit(rlimitNproc, &syscall.Rlimit{Cur: limit, Max: limit}))
}

// readers has 200 tasks read from a pipe, by a system call that blocks its thread, and writes a byte only when as
// many as expected are at it. It returns when all have read.
func readers(atOnce int64, read func(ctx context.Context, fn func())) {
	const n = 200
	e, err := executor.New(executor.WithSlots(2))
	check(err)
	var p [2]int
	check(syscall.Pipe(p[:]))
	var inside, done atomic.Int64
	for range n {
		check(e.Go(context.Background(), func(ctx context.Context) {
			read(ctx, func() {
				inside.Add(1)
				defer inside.Add(-1)
				if got, err := syscall.Read(p[0], []byte{0}); got != 1 || err != nil {
					panic(fmt.Sprint(got, err))
				}
				done.Add(1)
			})
		}))
	}
	for i := range int64(n) {
		until(func() bool { return done.Load() == i && inside.Load() == min(atOnce, n-i) })
		_, err := syscall.Write(p[1], []byte{1})
		check(err)
	}
	check(e.Shutdown(context.Background()))
	fmt.Println("all have read, with", processStatus("Threads"), "threads")
}

const threadsLeft = 32

var threadsUnbounded = child("threads without a bulkhead", func() {
	fewThreads(threadsLeft)
	readers(200, executor.Blocking)
})

var threadsBounded = child("threads with a bulkhead", func() {
	b, err := executor.NewBulkhead("pipe", 8)
	check(err)
	fewThreads(threadsLeft)
	readers(8, func(ctx context.Context, fn func()) { check(b.Blocking(ctx, fn)) })
})

// A thread that can not be started is the end of a Go program; no library can help it. A Bulkhead keeps the program
// away from there: the same load, under the same limit of the system, goes through.
func TestFaults_ABulkheadSurvivesALimitOfThreads(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to become a user without other threads")
	}
	messages := []string{"failed to create new OS thread", "pthread_create failed", "pthread_create: Resource temporarily unavailable"}
	diesOfThreads := func(stderr string, code int) {
		t.Helper()
		require.NotZero(t, code, stderr)
		for _, message := range messages {
			if strings.Contains(stderr, message) {
				t.Log("without a bulkhead:", message)
				return
			}
		}
		t.Fatalf("exit code %d, and no word about threads:\n%s", code, stderr)
	}
	stdout, stderr, code := runChild(t, threadsUnbounded)
	if strings.Contains(stdout, "all have read") {
		t.Skip("this system does not limit the threads of a user: ", strings.TrimSpace(stdout))
	}
	diesOfThreads(stderr, code)
	stdout, stderr, code = runChild(t, threadsBounded)
	require.Zero(t, code, stderr)
	require.Contains(t, stdout, "all have read")
	t.Log(strings.TrimSpace(stdout))
}
