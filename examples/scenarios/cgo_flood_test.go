package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The handful is the runtime's own: monitor, collector, threads that were started in vain.
func TestCgoFlood_ThreadsAreCapped(t *testing.T) {
	o := try(t, cgoFlood, 1)
	require.Greater(t, o.before.get(t, cgoFloodInC), float64(cgoFloodLimit))
	require.LessOrEqual(t, o.after.get(t, cgoFloodInC), float64(cgoFloodLimit))
	require.LessOrEqual(t, o.after.get(t, cgoFloodThreads), float64(cores()+cgoFloodLimit+20))
	require.Positive(t, o.after.get(t, cgoFloodWork))
	require.Greater(t, o.after.get(t, cgoFloodBusy), 0.8)
}
