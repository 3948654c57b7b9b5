//go:build !executor_chaos

package chaos

// At is where a goroutine may be delayed. Nothing is left of it in the code that calls it.
func At(Point) {}

// Forced reports whether to go the slow way, as if a race had been lost.
func Forced(Point) bool { return false }

// Shuffled returns s, or a copy in random order.
func Shuffled[T any](s []T) []T { return s }
