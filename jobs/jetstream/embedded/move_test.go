package embedded_test

import (
	"context"
	"testing"

	natsjs "github.com/nats-io/nats.go/jetstream"
	"github.com/seed-97bda89a/executor/executortest"
	"github.com/seed-97bda89a/executor/jobs"
	"github.com/seed-97bda89a/executor/jobs/jetstream"
	"github.com/seed-97bda89a/executor/jobs/jetstream/embedded"
	"github.com/stretchr/testify/require"
)

// The same program three times. What differs is the line with "on".
func TestMove_OneLine(t *testing.T) {
	t.Parallel()
	ctx, cfg := context.Background(), jetstream.Config{Name: "moved"}
	ran := make(chan string, 1)
	greet := jobs.Define("greet", func(_ context.Context, name string) error { ran <- name; return nil })

	t.Run("this process", func(t *testing.T) {
		exec := executortest.New(t)
		on := jobs.Local(exec)

		_, stop := serve(t, exec, on, jobs.Kinds(greet))
		require.NoError(t, greet.Go(ctx, on, "ann"))
		require.Equal(t, "ann", <-ran)
		require.NoError(t, stop())
	})
	t.Run("one machine", func(t *testing.T) {
		exec := executortest.New(t)
		on, end, err := embedded.Open(ctx, t.TempDir(), cfg)
		require.NoError(t, err)
		defer end(ctx)

		_, stop := serve(t, exec, on, jobs.Kinds(greet))
		require.NoError(t, greet.Go(ctx, on, "bob"))
		require.Equal(t, "bob", <-ran)
		require.NoError(t, stop())
	})
	t.Run("any number of machines", func(t *testing.T) {
		exec := executortest.New(t)
		var js natsjs.JetStream = start(t).js
		on, err := jetstream.New(ctx, js, cfg)
		require.NoError(t, err)

		_, stop := serve(t, exec, on, jobs.Kinds(greet))
		require.NoError(t, greet.Go(ctx, on, "cyd"))
		require.Equal(t, "cyd", <-ran)
		require.NoError(t, stop())
	})
}
