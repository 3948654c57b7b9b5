package executor_test

import (
	"os"
	"testing"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/internal/testkit"
	"go.uber.org/goleak"
)

// ticklessEnv, if set, makes all executors of the run do without the keeper's ticks: what marked blocking, waits and
// yields need must not come from there. See TESTING.md for the tests that make sense then.
const ticklessEnv = "EXECUTOR_TEST_TICKLESS"

func TestMain(m *testing.M) {
	testkit.PlayChild()
	if os.Getenv(ticklessEnv) != "" {
		executor.SetTickless()
	}
	goleak.VerifyTestMain(m)
}
