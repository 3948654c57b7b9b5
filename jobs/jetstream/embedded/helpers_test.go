package embedded_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/jobs"
	"github.com/seed-97bda89a/executor/jobs/jetstream"
	"github.com/seed-97bda89a/executor/jobs/jetstream/embedded"
	"github.com/stretchr/testify/require"
)

var bg = context.Background()

var soon = jobs.Backoff(time.Nanosecond, time.Nanosecond)

// broker is a real server in the process.
type broker struct {
	*embedded.Server
	t  *testing.T
	nc *nats.Conn
	js natsjs.JetStream
}

func start(t *testing.T, opts ...embedded.Option) *broker {
	t.Helper()
	b := &broker{t: t}
	b.on(t.TempDir(), opts...)
	return b
}

func (b *broker) on(dir string, opts ...embedded.Option) {
	b.t.Helper()
	s, err := embedded.Start(bg, dir, opts...)
	require.NoError(b.t, err)
	b.t.Cleanup(s.Shutdown)
	nc, err := s.Connect()
	require.NoError(b.t, err)
	b.t.Cleanup(nc.Close)
	js, err := natsjs.New(nc)
	require.NoError(b.t, err)
	b.Server, b.nc, b.js = s, nc, js
}

func (b *broker) queue(cfg jetstream.Config) *jetstream.Queue {
	b.t.Helper()
	if cfg.Name == "" {
		cfg.Name = "q"
	}
	q, err := jetstream.New(bg, b.js, cfg)
	require.NoError(b.t, err)
	b.t.Cleanup(func() { _ = q.Close(bg) })
	return q
}

// serve runs a worker until stop.
func serve(t *testing.T, e *executor.Executor, src jobs.Source, kinds []jobs.AnyKind, opts ...jobs.ServeOption) (w *jobs.Worker, stop func() error) {
	t.Helper()
	w, err := jobs.NewWorker(e, src, kinds, opts...)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(bg)
	done := make(chan error, 1)
	go func() { done <- w.Serve(ctx) }()
	var once sync.Once
	stop = func() (err error) {
		once.Do(func() { cancel(); err = <-done })
		return err
	}
	t.Cleanup(func() { _ = stop() })
	return w, stop
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for !ok() {
		time.Sleep(time.Millisecond)
	}
}

// next receives one job.
func next(t *testing.T, q *jetstream.Queue) jobs.Delivery {
	t.Helper()
	for {
		list, err := q.Receive(bg, 1)
		require.NoError(t, err)
		if len(list) == 1 {
			return list[0]
		}
	}
}

// letters reads n dead letters.
func (b *broker) letters(name string, n int) []natsjs.Msg {
	b.t.Helper()
	var list []natsjs.Msg
	stream, err := b.js.Stream(bg, name+"-dead")
	require.NoError(b.t, err)
	c, err := stream.CreateConsumer(bg, natsjs.ConsumerConfig{AckPolicy: natsjs.AckNonePolicy})
	require.NoError(b.t, err)
	for len(list) < n {
		batch, err := c.Fetch(n-len(list), natsjs.FetchMaxWait(time.Second))
		require.NoError(b.t, err)
		for m := range batch.Messages() {
			list = append(list, m)
		}
	}
	return list
}
