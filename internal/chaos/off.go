//go:build !executor_chaos

package chaos

// At is where a goroutine may be delayed. Nothing is left of it in the code that calls it.
func At(Point) {}

// Forced reports whether to go the slow way, as if a race had been lost.
func Forced(Point) bool { return false }

// Stride is how far it is from one of n to the next, for who goes round all of them.
func Stride(n int) int { return 1 }
