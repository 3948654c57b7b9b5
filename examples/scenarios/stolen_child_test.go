package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestStolenChild_StaysWhereItWasMade(t *testing.T) {
	o := try(t, stolenChild, 0.25)
	require.Less(t, 3*o.after.get(t, stolenChildTail), o.before.get(t, stolenChildTail))
	require.Greater(t, o.after.get(t, stolenChildHome), 0.8)
	require.Less(t, o.before.get(t, stolenChildHome), 0.8)
}
