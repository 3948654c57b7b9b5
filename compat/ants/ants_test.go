package ants_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/compat/ants"
)

// What the door shares with the package that it stands for is tested beside that one, in compat/difftest.

func TestWithExecutor_OutlivesThePool(t *testing.T) {
	e, err := executor.New(executor.WithSlots(2))
	require.NoError(t, err)
	defer func() { require.NoError(t, e.Close()) }()
	p, err := ants.NewPool(3, ants.WithExecutor(e), ants.WithOptions(ants.Options{}))
	require.NoError(t, err)
	require.Same(t, e, p.Executor())
	done := make(chan struct{})
	require.NoError(t, p.Submit(func() { close(done) }))
	<-done
	require.NoError(t, p.ReleaseTimeout(time.Minute))
	require.NoError(t, e.Quiesce(context.Background()))
	require.EqualValues(t, 1, e.Stats().Completed)
	require.NoError(t, e.Go(context.Background(), func(context.Context) {}))
}

func TestPool_OwnsAnExecutorUntilRelease(t *testing.T) {
	p, err := ants.NewPool(3)
	require.NoError(t, err)
	e := p.Executor()
	require.NoError(t, e.Go(context.Background(), func(context.Context) {}))
	require.NoError(t, p.ReleaseTimeout(time.Minute))
	require.ErrorIs(t, e.Go(context.Background(), func(context.Context) {}), executor.ErrClosed)
	p.Reboot()
	require.NotSame(t, e, p.Executor())
	require.NoError(t, p.Submit(func() {}))
	require.NoError(t, p.ReleaseTimeout(time.Minute))
}

func TestPackage_RunsOnWhatUseHasBound(t *testing.T) {
	e, err := executor.New(executor.WithSlots(1))
	require.NoError(t, err)
	defer func() { require.NoError(t, e.Close()) }()
	run := func() {
		done := make(chan struct{})
		require.NoError(t, ants.Submit(func() { close(done) }))
		<-done
	}
	before := ants.Unbound()
	run()
	require.Equal(t, before+1, ants.Unbound())
	restore := ants.Use(e)
	run()
	restore()
	require.Equal(t, before+1, ants.Unbound())
	require.EqualValues(t, 1, e.Stats().Submitted)
}

// A worker that idles is gone after one to two times the expiry.
func TestPool_PurgesIdleWorkers(t *testing.T) {
	p, err := ants.NewPool(5, ants.WithExpiryDuration(time.Millisecond))
	require.NoError(t, err)
	require.NoError(t, p.Submit(func() {}))
	for p.Running() > 0 {
		time.Sleep(time.Millisecond)
	}
	require.Equal(t, 5, p.Free())
	p.Release()
}
