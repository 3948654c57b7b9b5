package executor

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Who has a slot: how slots and credits pass from runner to runner, and what becomes of runners without.

// newPool makes an executor that ends with the test, and is then checked.
func newPool(t *testing.T, opts ...Option) *Executor {
	t.Helper()
	e, err := New(opts...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	return e
}

// Mutant: sleep calls park for a token that is empty, as it once did. Each resize left frames on the sleeper's stack.
func TestSlots_ASleeperThatIsWokenForNothingStartsOver(t *testing.T) {
	e := newPool(t, WithSlots(1))
	require.NoError(t, e.Go(context.Background(), func(context.Context) {}))
	poll(t, "the runner parks", func() bool { return e.Stats().Parked == 1 })
	var r *runner
	for range 100 {
		e.idle.mu.Lock()
		r = e.idle.parked.pop()
		e.idle.mu.Unlock()
		r.token <- nil
		poll(t, "the runner parks again", func() bool { return e.Stats().Parked == 1 })
	}
	require.Equal(t, 1, strings.Count(stackOf(r.goid), ".(*runner).park("))
}
