package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHotProducer_IsBounded(t *testing.T) {
	o := try(t, hotProducer, 0.5)
	for _, how := range []string{"", hotProducerDropping} {
		require.Greater(t, o.before.get(t, hotProducerGoroutines+how), 5*o.after.get(t, hotProducerGoroutines+how))
		// Spares and slots, the keeper, and a goroutine or two of the runtime's.
		require.Less(t, o.after.get(t, hotProducerGoroutines+how), float64(hotProducerConnections+cores()+10))
		require.Positive(t, o.after.get(t, hotProducerDone+how))
	}
	require.Positive(t, o.after.get(t, hotProducerRefused))
}
