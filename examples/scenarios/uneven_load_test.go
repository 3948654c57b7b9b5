package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestUnevenLoad_IsShared(t *testing.T) {
	o := try(t, unevenLoad, 0.3)
	// One of the workers has everything.
	require.LessOrEqual(t, o.before.get(t, unevenLoadUse), 1.05/float64(cores()))
	require.Greater(t, o.after.get(t, unevenLoadUse), 1.4*o.before.get(t, unevenLoadUse))
}
