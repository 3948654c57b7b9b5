package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSpinningSelect_WaitingUsesNothing(t *testing.T) {
	o := try(t, spinningSelect, 0.5)
	require.Greater(t, o.before.get(t, spinningSelectBurnt), 5*o.after.get(t, spinningSelectBurnt))
}
