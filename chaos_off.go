//go:build !executor_chaos

package executor

// Nothing is left of these in the code that calls them; see chaos.go.

func point(chaosPoint)               {}
func forced(chaosPoint) bool         { return false }
func shuffled(slots []*slot) []*slot { return slots }
