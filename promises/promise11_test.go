package promises

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
)

var importChild = child("import", func() {
	buf := make([]byte, 1<<16)
	fmt.Println(runtime.NumGoroutine(), "goroutines at the start")
	if runtime.NumGoroutine() > 1 {
		fmt.Println(string(buf[:runtime.Stack(buf, true)]))
	}
	procs := runtime.GOMAXPROCS(0)
	e, err := executor.New()
	if err == nil {
		err = exercise(e)
	}
	if err == nil {
		err = e.Resize(7)
	}
	if err == nil {
		err = e.Resize(0)
	}
	if err != nil {
		fmt.Println(err)
	}
	fmt.Println(runtime.GOMAXPROCS(0)-procs, "is the change of GOMAXPROCS")
	_ = e.Close()
})

// Mutant: an init function or a package-level executor starts goroutines. Mutant: the quota is read
// through a call that sets GOMAXPROCS.
func TestPromise11_ImportDoesNothingAndGOMAXPROCSStays(t *testing.T) {
	out, stderr, code := runChild(t, importChild)
	require.Zero(t, code, stderr)
	require.True(t, strings.HasPrefix(out, "1 goroutines at the start\n"), out)
	require.Contains(t, out, "0 is the change of GOMAXPROCS")

	t.Setenv("GOMAXPROCS", "3")
	out, stderr, code = runChild(t, importChild)
	require.Zero(t, code, stderr)
	require.Contains(t, out, "0 is the change of GOMAXPROCS")
}

// Mutant: the default is the number of processors whatever GOMAXPROCS says.
func TestPromise11_ExplicitGOMAXPROCSIsAnUpperBound(t *testing.T) {
	procs := runtime.GOMAXPROCS(0)
	e := newExecutor(t)
	require.LessOrEqual(t, e.Stats().Slots, procs)
	require.NoError(t, e.Resize(procs+3))
	require.Equal(t, procs+3, e.Stats().Slots, "an explicit number of slots is not bounded")
	require.NoError(t, e.Resize(0))
	require.LessOrEqual(t, e.Stats().Slots, procs)
	require.Equal(t, procs, runtime.GOMAXPROCS(0))
}

// What needs no executor may be called before the first one is made, and while it is. For the race detector. Mutants: the
// runtime's ways are learned in New only; the word that the number of a goroutine can be trusted is a plain bool.
var earlyChild = child("early", func() {
	type custom struct{ context.Context }
	b, err := executor.NewBulkhead("early", 1)
	if err != nil {
		panic(err)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			for range 100 {
				_ = b.Blocking(custom{ctx}, runtime.Gosched)
				_ = executor.Send(custom{ctx}, make(chan int, 1), 1)
				executor.Blocking(executor.WithTaskName(ctx, "early"), func() {})
			}
		})
	}
	all.Go(func() {
		e, err := executor.New()
		if err == nil {
			err = e.Close()
		}
		if err != nil {
			panic(err)
		}
	})
	all.Wait()
})

func TestPromise11_CallsBeforeTheFirstExecutor(t *testing.T) {
	_, stderr, code := runChild(t, earlyChild)
	require.Zero(t, code, stderr)
}
