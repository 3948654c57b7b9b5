package main

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// No scenario leaves a goroutine behind, not even of the way before. A scenario may start this program again, to measure
// something in a process of its own.
func TestMain(m *testing.M) {
	if !told() {
		goleak.VerifyTestMain(m)
	}
}

// try runs a scenario with that part of its load, and checks what must hold for all of them.
func try(t *testing.T, s scenario, scale float64) outcome {
	t.Helper()
	o := perform(t.Context(), s, scale, nil)
	if o.skipped != "" {
		t.Skip(o.skipped)
	}
	require.NoError(t, o.err)
	for _, r := range o.rows() {
		t.Logf("%s: %s, then %s: %s", r.measured, r.before, r.after, r.ratio)
	}
	require.NotEmpty(t, o.before.timeline.lanes, "nothing was recorded before")
	require.NotEmpty(t, o.after.timeline.lanes, "nothing was recorded after")
	return o
}

// get returns the amount of a value that must be there.
func (s side) get(t *testing.T, name string) float64 {
	t.Helper()
	v, ok := s.values.get(name)
	require.True(t, ok, "%q was not measured", name)
	return v.amount
}
