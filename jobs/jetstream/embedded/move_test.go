package embedded_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"testing"

	natsjs "github.com/nats-io/nats.go/jetstream"
	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/executortest"
	"github.com/seed-97bda89a/executor/jobs"
	"github.com/seed-97bda89a/executor/jobs/jetstream"
	"github.com/seed-97bda89a/executor/jobs/jetstream/embedded"
	"github.com/stretchr/testify/require"
)

// The task of examples/checksum as a job, three times. What differs is the line with "on".
func TestMove_OneLine(t *testing.T) {
	t.Parallel()
	ctx, cfg := context.Background(), jetstream.Config{Name: "moved"}
	name := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(name, []byte("one line\n"), 0o600))
	const want = "3887c2cd3bec16420dc71507a74cf7f0a5effdd361f6d9cbe27b77831de8f65f"
	sums := make(chan string, 1)
	checksum := jobs.Define("checksum", func(ctx context.Context, path string) (err error) {
		h := sha256.New()
		executor.Blocking(ctx, func() {
			var f *os.File
			if f, err = os.Open(path); err == nil {
				_, err = io.Copy(h, f)
				_ = f.Close()
			}
		})
		if err == nil {
			sums <- hex.EncodeToString(h.Sum(nil))
		}
		return err
	})

	t.Run("this process", func(t *testing.T) {
		exec := executortest.New(t)
		on := jobs.Local(exec)

		_, stop := serve(t, exec, on, jobs.Kinds(checksum))
		require.NoError(t, checksum.Go(ctx, on, name))
		require.Equal(t, want, <-sums)
		require.NoError(t, stop())
	})
	t.Run("one machine", func(t *testing.T) {
		exec := executortest.New(t)
		on, end, err := embedded.Open(ctx, t.TempDir(), cfg)
		require.NoError(t, err)
		defer end(ctx)

		_, stop := serve(t, exec, on, jobs.Kinds(checksum))
		require.NoError(t, checksum.Go(ctx, on, name))
		require.Equal(t, want, <-sums)
		require.NoError(t, stop())
	})
	t.Run("any number of machines", func(t *testing.T) {
		exec := executortest.New(t)
		var js natsjs.JetStream = start(t).js
		on, err := jetstream.New(ctx, js, cfg)
		require.NoError(t, err)

		_, stop := serve(t, exec, on, jobs.Kinds(checksum))
		require.NoError(t, checksum.Go(ctx, on, name))
		require.Equal(t, want, <-sums)
		require.NoError(t, stop())
	})
}
