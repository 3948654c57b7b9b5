package debugpage

import (
	"testing"
	"time"

	"github.com/seed-97bda89a/executor"
)

// Hurry makes lookouts take a frame every period and end that long after their last viewer, until the test ends.
func Hurry(t testing.TB, period time.Duration) {
	hurry.Store(int64(period))
	t.Cleanup(func() { hurry.Store(0) })
}

// Lookouts is how many lookouts e has: none or one.
func Lookouts(e *executor.Executor) int {
	lookouts.mu.Lock()
	defer lookouts.mu.Unlock()
	if lookouts.of[e] != nil {
		return 1
	}
	return 0
}

// Streams is how many streams are open in the process.
func Streams() int {
	streams.mu.Lock()
	defer streams.mu.Unlock()
	return len(streams.open)
}

// Servers is how many servers are known.
func Servers() int {
	servers.mu.Lock()
	defer servers.mu.Unlock()
	return len(servers.down)
}

// MaxStreams is how many there may be.
const MaxStreams = maxStreams
