package workerpool_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/compat/workerpool"
)

// What the door shares with the package that it stands for is tested beside that one, in compat/difftest.

func TestWithExecutor_OutlivesThePool(t *testing.T) {
	e, err := executor.New(executor.WithSlots(2))
	require.NoError(t, err)
	defer func() { require.NoError(t, e.Close()) }()
	p := workerpool.New(3, workerpool.WithExecutor(e))
	require.Same(t, e, p.Executor())
	require.NoError(t, p.DoWait(func() {}))
	p.StopWait()
	require.NoError(t, e.Go(context.Background(), func(context.Context) {}))
}

func TestPool_OwnsAnExecutorUntilStop(t *testing.T) {
	p := workerpool.New(3)
	e := p.Executor()
	require.NoError(t, p.DoWait(func() {}))
	p.StopWait()
	require.ErrorIs(t, e.Go(context.Background(), func(context.Context) {}), executor.ErrClosed)
}
