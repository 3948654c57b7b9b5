//go:build !unix

package executor_test

import (
	"testing"
	"time"
)

func blockingSyscall(b *testing.B, _ time.Duration) func() {
	b.Skip("needs pipes in blocking mode")
	return nil
}
