package stresstest

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// childEnv names the scenario that a re-executed test binary plays instead of running tests: what a
// test can only see from outside the process (a crash, a context switch) happens in such a child.
const childEnv = "EXECUTOR_TEST_CHILD"

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
	goleak.VerifyTestMain(m)
}
