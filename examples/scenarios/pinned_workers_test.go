package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Two workers are busy for 57 % of the time before, four for 31 %.
func TestPinnedWorkers_SlotsStayBusy(t *testing.T) {
	o := try(t, pinnedWorkers, 0.5)
	require.Less(t, o.before.get(t, pinnedWorkersBusy), 0.7)
	require.Greater(t, o.after.get(t, pinnedWorkersBusy), 0.8)
}
