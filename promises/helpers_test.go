package promises

import (
	"testing"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/internal/testkit"
	"github.com/seed-97bda89a/executor/internal/testkit/pools"
)

// What all rooms share, under the names that tests use here.
var (
	scaled     = testkit.Scaled
	stacks     = testkit.Stacks
	header     = testkit.Header
	within     = testkit.Within
	eventually = testkit.Eventually
	newGate    = testkit.NewGate
	child      = testkit.Child
	runChild   = testkit.RunChild

	newExecutor = pools.New
	closeNow    = pools.Close
	bare        = pools.Bare
	spared      = pools.Spared
	stick       = pools.Stick
	inTask      = pools.InTask
	quiet       = pools.Quiet
	balanced    = pools.Balanced
	alive       = pools.Alive
	ctxKinds    = pools.Contexts
)

const guard = testkit.Guard

type (
	gate   = testkit.Gate
	peak   = testkit.Peak
	ctxKey struct{}
)

func await[T any](t testing.TB, what string, ch <-chan T) T {
	t.Helper()
	return testkit.Await(t, what, ch)
}

func result[T any](t testing.TB, f *executor.Future[T]) error {
	t.Helper()
	return pools.Result(t, f)
}

// resizing gives e these sizes, one after the other and over again, with a pause after each, until stop is called.
func resizing(t testing.TB, e *executor.Executor, pause func(), sizes ...int) (stop func()) {
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for i := 0; ; i++ {
			select {
			case <-end:
				return
			default:
			}
			if err := e.Resize(sizes[i%len(sizes)]); err != nil {
				t.Error(err)
			}
			pause()
		}
	}()
	return func() {
		t.Helper()
		close(end)
		await(t, "the last change of size", ended)
	}
}
