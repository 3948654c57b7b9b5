//go:build !unix

package stresstest

import (
	"testing"
	"time"
)

func blockingSyscall(b *testing.B, _ time.Duration) func() {
	b.Skip("needs pipes in blocking mode")
	return nil
}
