//go:build !linux

package executor_test

import "testing"

func TestPromise10_AnIdleExecutorMakesNoContextSwitch(t *testing.T) {
	t.Skip("context switches are read from /proc, which only Linux has")
}
