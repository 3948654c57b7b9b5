package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPicture_BusyCountsNoMoreThanTheWorkers(t *testing.T) {
	p := picture{took: 100, lanes: [][]span{
		{{0, 0, 50}, {blocked, 50, 100}},
		{{1, 0, 20}, {0, 40, 60}},
		{{0, 0, 10}},
	}}
	require.InDelta(t, 0.6, p.busy(1), 1e-9)
	require.InDelta(t, (2*20+20+2*10+10)/200.0, p.busy(2), 1e-9)
	require.InDelta(t, 100/300.0, p.busy(3), 1e-9)
	require.Zero(t, picture{}.busy(2))
}
