package executor_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/seed-97bda89a/executor"
	"go.uber.org/goleak"
)

// childEnv names the scenario that a re-executed test binary plays instead of running tests: what a
// test can only see from outside the process (a crash, a context switch) happens in such a child.
const childEnv = "EXECUTOR_TEST_CHILD"

// ticklessEnv, if set, makes all executors of the run do without the keeper's ticks: what marked blocking, waits and
// yields need must not come from there. See TESTING.md for the tests that make sense then.
const ticklessEnv = "EXECUTOR_TEST_TICKLESS"

// children are the scenarios, by name. Files add theirs in a variable initialiser.
var children = map[string]func(){}

// child registers a scenario; the result is only there so that a package variable can hold the call.
func child(name string, run func()) string {
	children[name] = run
	return name
}

func TestMain(m *testing.M) {
	if name := os.Getenv(childEnv); name != "" {
		run, ok := children[name]
		if !ok {
			fmt.Fprintf(os.Stderr, "no child scenario %q\n", name)
			os.Exit(3)
		}
		run()
		os.Exit(0)
	}
	if os.Getenv(ticklessEnv) != "" {
		executor.SetTickless()
	}
	goleak.VerifyTestMain(m)
}
