package executor_test

import (
	"testing"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/internal/testkit"
	"github.com/seed-97bda89a/executor/internal/testkit/pools"
	"go.uber.org/goleak"
)

// What all rooms share, under the names that tests use here.
var (
	scaled     = testkit.Scaled
	within     = testkit.Within
	eventually = testkit.Eventually
	newGate    = testkit.NewGate

	newExecutor = pools.New
	bare        = pools.Bare
	spared      = pools.Spared
	stick       = pools.Stick
	inTask      = pools.InTask
	quiet       = pools.Quiet
	balanced    = pools.Balanced
	ctxKinds    = pools.Contexts
)

const guard = testkit.Guard

type ctxKey struct{}

func await[T any](t testing.TB, what string, ch <-chan T) T {
	t.Helper()
	return testkit.Await(t, what, ch)
}

func result[T any](t testing.TB, f *executor.Future[T]) error {
	t.Helper()
	return pools.Result(t, f)
}

func TestMain(m *testing.M) {
	testkit.PlayChild()
	testkit.ReadTickless()
	goleak.VerifyTestMain(m)
}
