package cgotest

import "testing"

// Need skips a test where there is no C.
func Need(t testing.TB) {
	t.Helper()
	if Missing != "" {
		t.Skip(Missing)
	}
}
