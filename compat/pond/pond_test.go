package pond_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/compat/pond"
)

// What the door shares with the package that it stands for is tested beside that one, in compat/difftest.

func TestWithExecutor_OutlivesThePool(t *testing.T) {
	e, err := executor.New(executor.WithSlots(2))
	require.NoError(t, err)
	defer func() { require.NoError(t, e.Close()) }()
	p := pond.NewPool(3, pond.WithExecutor(e))
	require.Same(t, e, pond.Executor(p))
	require.Same(t, e, pond.Executor(p.NewSubpool(1)))
	require.NoError(t, p.Submit(func() {}).Wait())
	require.NoError(t, p.NewSubpool(2).NewGroup().Submit(func() {}, func() {}).Wait())
	p.StopAndWait()
	require.NoError(t, e.Quiesce(context.Background()))
	require.NoError(t, e.Go(context.Background(), func(context.Context) {}))
}

func TestPool_OwnsAnExecutorUntilItsContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	p := pond.NewPool(3, pond.WithContext(ctx))
	e := pond.Executor(p)
	require.NoError(t, p.Submit(func() {}).Wait())
	cancel()
	for e.Go(context.Background(), func(context.Context) {}) == nil {
	}
	p.StopAndWait()
}

func TestPackage_RunsOnWhatUseHasBound(t *testing.T) {
	e, err := executor.New(executor.WithSlots(1))
	require.NoError(t, err)
	defer func() { require.NoError(t, e.Close()) }()
	before := pond.Unbound()
	require.NoError(t, pond.Submit(func() {}).Wait())
	require.Equal(t, before+1, pond.Unbound())
	restore := pond.Use(e)
	require.NoError(t, pond.NewGroup().Submit(func() {}).Wait())
	restore()
	require.Equal(t, before+1, pond.Unbound())
	require.EqualValues(t, 1, e.Stats().Submitted)
}
