package jobs_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor/executortest"
	"github.com/seed-97bda89a/executor/jobs"
	"github.com/stretchr/testify/require"
)

// A source that gives jobs before their time.

// A source without timers delivers what is not due: that is given back for as long as it must wait, and was no attempt. What is
// due runs.
func TestServe_AJobThatComesTooEarly(t *testing.T) {
	kind := jobs.Define("x", func(context.Context, int) error { return nil }, jobs.Attempts(1))
	early := &earlySource{watched: watch()}
	early.due.Store(time.Now().Add(time.Hour).UnixNano())
	w, stop := serve(t, executortest.New(t), early, jobs.Kinds(kind))
	require.NoError(t, kind.Go(bg, early, 1))
	waitFor(t, func() bool { return w.Stats().Returned >= 2 })
	require.Zero(t, w.Stats().Done)
	require.Greater(t, early.pause.Load(), int64(0))
	early.due.Store(0)
	waitFor(t, func() bool { return w.Stats().Done == 1 })
	require.NoError(t, stop())
}

// earlySource delivers at once, whatever it is told.
type earlySource struct {
	*watched
	due, pause atomic.Int64
}

func (e *earlySource) Receive(ctx context.Context, max int) ([]jobs.Delivery, error) {
	list, err := e.watched.Receive(ctx, max)
	for i, d := range list {
		d.Message().Due = time.Unix(0, e.due.Load())
		list[i] = &earlyDelivery{d, e}
	}
	return list, err
}

type earlyDelivery struct {
	jobs.Delivery
	e *earlySource
}

func (d *earlyDelivery) Return(ctx context.Context, after time.Duration) error {
	d.e.pause.Store(int64(after))
	return d.Delivery.Return(ctx, 0)
}
