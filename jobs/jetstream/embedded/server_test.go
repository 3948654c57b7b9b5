package embedded_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor/executortest"
	"github.com/seed-97bda89a/executor/jobs"
	"github.com/seed-97bda89a/executor/jobs/jetstream"
	"github.com/seed-97bda89a/executor/jobs/jetstream/embedded"
	"github.com/stretchr/testify/require"
)

// The queue is there when the server starts again, and a directory has one server.
func TestOpen_KeepsJobs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	kind := jobs.Define("x", func(context.Context, int) error { return nil })
	on, stop, err := embedded.Open(bg, dir, jetstream.Config{Name: "q"})
	require.NoError(t, err)
	require.NoError(t, kind.Go(bg, on, 1))
	if runtime.GOOS == "linux" {
		_, err = embedded.Start(bg, dir)
		require.ErrorContains(t, err, "another server uses this directory")
	}
	require.NoError(t, stop(bg))
	_, err = on.Receive(bg, 1)
	require.ErrorIs(t, err, jobs.ErrSourceGone)
	require.Error(t, kind.Go(bg, on, 2))

	on, stop, err = embedded.Open(bg, dir, jetstream.Config{Name: "q"})
	require.NoError(t, err)
	w, end := serve(t, executortest.New(t), on, jobs.Kinds(kind))
	waitFor(t, func() bool { return w.Stats().Done == 1 })
	require.NoError(t, end())
	require.NoError(t, stop(bg))
}

// A server that was killed has noted that a job is acked, and still has it: the files of the stream are older than those of the consumer. The
// job is removed, and does not run again. Mutants: no sweep; a sweep beyond the ack floor, which loses the second job.
func TestOpen_SweepsWhatIsDone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	messages, before := filepath.Join(dir, "jetstream", "$G", "streams", "q", "msgs"), t.TempDir()
	var runs atomic.Int32
	kind := jobs.Define("x", func(context.Context, int) error { runs.Add(1); return nil })
	on, stop, err := embedded.Open(bg, dir, jetstream.Config{Name: "q"})
	require.NoError(t, err)
	require.NoError(t, kind.Go(bg, on, 1))
	require.NoError(t, stop(bg))
	require.NoError(t, os.CopyFS(before, os.DirFS(messages)))

	on, stop, err = embedded.Open(bg, dir, jetstream.Config{Name: "q"})
	require.NoError(t, err)
	w, end := serve(t, executortest.New(t), on, jobs.Kinds(kind))
	waitFor(t, func() bool { d, err := on.Depth(bg); return err == nil && d == jobs.Depth{} && w.Stats().Done == 1 })
	require.NoError(t, end())
	require.NoError(t, stop(bg))
	require.NoError(t, os.RemoveAll(messages))
	require.NoError(t, os.CopyFS(messages, os.DirFS(before)))

	s, err := embedded.Start(bg, dir)
	require.NoError(t, err)
	defer s.Shutdown()
	on, stop, err = s.Queue(bg, jetstream.Config{Name: "q"})
	require.NoError(t, err)
	defer stop(bg)
	require.NoError(t, kind.Go(bg, on, 2))
	waitFor(t, func() bool {
		d, err := on.Depth(bg)
		d.Oldest = 0
		return err == nil && d == jobs.Depth{Waiting: 1}
	})
	w, end = serve(t, executortest.New(t), on, jobs.Kinds(kind))
	waitFor(t, func() bool { d, err := on.Depth(bg); return err == nil && d == jobs.Depth{} })
	require.NoError(t, end())
	require.EqualValues(t, 1, w.Stats().Done)
	require.EqualValues(t, 2, runs.Load())
}

// Once: not twice if it was done; again if it failed; by somebody else when the claim of a dead worker has ended.
func TestOnce(t *testing.T) {
	t.Parallel()
	b := start(t)
	q := b.queue(jetstream.Config{})
	var effects, runs atomic.Int32
	boom := errors.New("boom")
	kind := jobs.Define("mail", func(ctx context.Context, _ int) error {
		run := runs.Add(1)
		err := q.Once(ctx, time.Minute, func(ctx context.Context) error {
			if run == 1 {
				return boom
			}
			effects.Add(1)
			return nil
		})
		if err == nil && run == 2 {
			return errors.New("after the effect")
		}
		return err
	}, soon)
	w, stop := serve(t, executortest.New(t), q, jobs.Kinds(kind))
	require.NoError(t, kind.Go(bg, q, 1))
	waitFor(t, func() bool { return w.Stats().Done == 1 })
	require.EqualValues(t, 3, runs.Load())
	require.EqualValues(t, 1, effects.Load())

	// A worker dies in the middle: its claim ends after the ttl, and then the effect runs.
	var died atomic.Bool
	takes := jobs.Define("takeover", func(ctx context.Context, _ int) error {
		if died.CompareAndSwap(false, true) {
			// The end of a goroutine leaves what the end of a process leaves: the claim.
			dead := make(chan struct{})
			go func() {
				defer close(dead)
				_ = q.Once(ctx, 4*time.Second, func(context.Context) error { runtime.Goexit(); return nil })
			}()
			<-dead
		}
		return q.Once(ctx, 4*time.Second, func(context.Context) error { effects.Add(1); return nil })
	}, soon)
	require.NoError(t, stop())
	w, stop = serve(t, executortest.New(t), q, jobs.Kinds(kind, takes))
	require.NoError(t, takes.Go(bg, q, 1))
	waitFor(t, func() bool { return w.Stats().Done == 1 })
	require.EqualValues(t, 2, effects.Load())
	require.GreaterOrEqual(t, w.Stats().Returned, uint64(1), "while the claim lived, the job was postponed")
	require.NoError(t, stop())
	require.ErrorContains(t, q.Once(bg, time.Minute, nil), "belongs to no job")
}
