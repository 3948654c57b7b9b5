package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/executortest"
	"github.com/seed-97bda89a/executor/jobs"
	"github.com/seed-97bda89a/executor/jobs/jetstream"
	"github.com/seed-97bda89a/executor/jobs/jetstream/embedded"
	"github.com/stretchr/testify/require"
)

func TestQueue_RunsEverything(t *testing.T) {
	for name, opts := range map[string][]jobs.ServeOption{"capacity first": nil, "prefetch": {jobs.Prefetch(64)}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := start(t).queue(jetstream.Config{})
			var mu sync.Mutex
			ran := make(map[int]int)
			kind := jobs.Define("count", func(ctx context.Context, n int) error {
				info, _ := jobs.InfoOf(ctx)
				mu.Lock()
				defer mu.Unlock()
				ran[n] += info.Attempt
				return nil
			})
			w1, stop1 := serve(t, executortest.New(t, executor.WithSlots(2)), q, jobs.Kinds(kind), opts...)
			w2, stop2 := serve(t, executortest.New(t, executor.WithSlots(2)), q, jobs.Kinds(kind), opts...)
			const n = 200
			for i := range n {
				var opts []jobs.Send
				if i%4 == 0 {
					opts = append(opts, jobs.Key(fmt.Sprint(i%12)))
				}
				require.NoError(t, kind.Go(bg, q, i, opts...))
			}
			waitFor(t, func() bool { return w1.Stats().Done+w2.Stats().Done == n })
			require.NoError(t, stop1())
			require.NoError(t, stop2())
			require.Len(t, ran, n)
			for i, times := range ran {
				require.Equal(t, 1, times, i)
			}
			d, err := q.Depth(bg)
			require.NoError(t, err)
			require.Equal(t, jobs.Depth{}, d)
		})
	}
}

func TestQueue_MessagesSurvive(t *testing.T) {
	t.Parallel()
	b := start(t)
	q := b.queue(jetstream.Config{})
	until := time.Now().Add(time.Hour).Round(0)
	kind := jobs.Define("mail", func(context.Context, string) error { return nil })
	key := "a key\r\nwith: a header / and %41"
	require.NoError(t, kind.Go(bg, q, "hello", jobs.Key(key), jobs.Until(until), jobs.Dedupe("id\n1")))
	require.NoError(t, kind.Go(bg, q, "twice", jobs.Dedupe("id\n1")), "a duplicate is accepted, and dropped")
	d := next(t, q)
	m := d.Message()
	require.Equal(t, "mail", m.Kind)
	require.Equal(t, key, m.Key)
	require.Equal(t, "mail/id\n1", m.ID)
	require.Equal(t, `"hello"`, string(m.Body))
	require.True(t, until.Equal(m.Until))
	require.EqualValues(t, 1, m.Sequence)
	require.Contains(t, m.Ref, "q/1/")
	require.NoError(t, d.Ack(bg))
	require.NoError(t, d.Ack(bg), "twice is no error")
	require.NoError(t, d.Extend(bg))
	waitFor(t, func() bool { depth, err := q.Depth(bg); return err == nil && depth == jobs.Depth{} })
}

// Attempts count what was tried. Mutants: Attempt without what was returned; Return without its note; Retry as a bare Nak.
func TestQueue_AttemptsAndReturns(t *testing.T) {
	t.Parallel()
	b := start(t)
	q := b.queue(jetstream.Config{})
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	require.NoError(t, q.Send(bg, &jobs.Message{Kind: "x", ID: "1", Body: []byte("1"), Header: map[string]string{"traceparent": trace}}))
	attempt := 1
	for i := range 4 {
		d := next(t, q)
		require.Equal(t, attempt, d.Attempt())
		if i%2 == 0 {
			require.NoError(t, d.Return(bg, 0))
		} else {
			attempt++
			require.NoError(t, d.Retry(bg, time.Millisecond))
		}
	}
	d := next(t, q)
	require.Equal(t, 3, d.Attempt())
	require.False(t, d.Last())
	require.Equal(t, trace, d.Message().Header["traceparent"])
	require.NoError(t, d.Dead(bg, "no\nmore"))
	letter := b.letters("q", 1)[0]
	require.Equal(t, "jobs.q.dead.x", letter.Subject())
	require.Equal(t, "no more", letter.Headers()[jetstream.HeaderReason][0])
	require.Equal(t, trace, letter.Headers().Get("traceparent"))
	require.Equal(t, "3", letter.Headers()[jetstream.HeaderAttempt][0])
	require.Equal(t, "jobs.q.any.x", letter.Headers()[jetstream.HeaderSubject][0])
	require.Equal(t, "1", string(letter.Data()))
	waitFor(t, func() bool { depth, err := q.Depth(bg); return err == nil && depth == jobs.Depth{Dead: 1} })
}

func TestQueue_ADrainIsNoAttempt(t *testing.T) {
	t.Parallel()
	q := start(t).queue(jetstream.Config{})
	inside := make(chan int, 100)
	var end atomic.Bool
	kind := jobs.Define("slow", func(ctx context.Context, n int) error {
		info, _ := jobs.InfoOf(ctx)
		inside <- info.Attempt
		if end.Load() {
			return nil
		}
		executor.Blocking(ctx, func() { <-ctx.Done() })
		return ctx.Err()
	}, jobs.Attempts(1))
	const n = 8
	for i := range n {
		require.NoError(t, kind.Go(bg, q, i))
	}
	for range 3 {
		exec := executortest.New(t, executor.WithSlots(1), executor.WithMaxSpares(0))
		w, stop := serve(t, exec, q, jobs.Kinds(kind), jobs.Prefetch(4), jobs.Grace(0))
		require.Equal(t, 1, <-inside)
		waitFor(t, func() bool { return w.Stats().Waiting >= 1 })
		require.NoError(t, stop())
		require.Equal(t, w.Stats().Received, w.Stats().Returned)
	}
	end.Store(true)
	w, stop := serve(t, executortest.New(t), q, jobs.Kinds(kind))
	waitFor(t, func() bool { return w.Stats().Done == n })
	require.NoError(t, stop())
	for len(inside) > 0 {
		require.Equal(t, 1, <-inside)
	}
}

func TestQueue_Poison(t *testing.T) {
	t.Parallel()
	b := start(t)
	q := b.queue(jetstream.Config{})
	good := jobs.Define("good", func(context.Context, int) error { return nil }, jobs.MaxBytes(1000))
	for _, m := range []*nats.Msg{
		{Subject: "jobs.q.any.nobody", Data: []byte("1")},
		{Subject: "jobs.q.any.good", Data: []byte("{")},
		{Subject: "jobs.q.key.0.good", Data: make([]byte, 1001)},
		{Subject: "jobs.q.any.good", Data: []byte("1"), Header: nats.Header{"Executor-Job-Until": {"2001-01-01T00:00:00Z"}}},
		{Subject: "jobs.q.any.good", Data: []byte("\xff"), Header: nats.Header{"Executor-Job-Due": {"nonsense"}, "Executor-Job-Key": {"%%%"}, "Executor-Job-Kind": {"a b*>"}}},
	} {
		_, err := b.js.PublishMsg(bg, m)
		require.NoError(t, err)
	}
	require.NoError(t, good.Go(bg, q, 1))
	w, stop := serve(t, executortest.New(t), q, jobs.Kinds(good))
	var reasons string
	for _, m := range b.letters("q", 5) {
		reasons += m.Headers()[jetstream.HeaderReason][0] + "\n"
	}
	for _, want := range []string{`unknown kind "nobody"`, "bad payload: ", "too large: 1001 bytes", "expired: ", `unknown kind "a b*>"`} {
		require.Contains(t, reasons, want)
	}
	waitFor(t, func() bool { return w.Stats().Done == 1 })
	require.NoError(t, stop())
}

func TestQueue_KeysKeepTheirOrder(t *testing.T) {
	t.Parallel()
	q := start(t).queue(jetstream.Config{Partitions: 3})
	type order struct {
		Key string
		N   int
	}
	var mu sync.Mutex
	got := make(map[string][]int)
	kind := jobs.Define("bill", func(ctx context.Context, o order) error {
		info, _ := jobs.InfoOf(ctx)
		if info.Attempt == 1 && o.N%5 == 2 {
			return errors.New("once")
		}
		mu.Lock()
		defer mu.Unlock()
		got[o.Key] = append(got[o.Key], o.N)
		return nil
	}, jobs.KeyOf(func(o order) string { return o.Key }), soon)
	w1, stop1 := serve(t, executortest.New(t, executor.WithSlots(2)), q, jobs.Kinds(kind))
	w2, stop2 := serve(t, executortest.New(t, executor.WithSlots(2)), q, jobs.Kinds(kind))
	const n, keys = 15, 6
	for i := range n {
		for k := range keys {
			require.NoError(t, kind.Go(bg, q, order{fmt.Sprint(k), i}))
		}
	}
	waitFor(t, func() bool { return w1.Stats().Done+w2.Stats().Done == n*keys })
	require.NoError(t, stop1())
	require.NoError(t, stop2())
	for k, list := range got {
		for i := range n {
			require.Equal(t, i, list[i], k)
		}
	}
	none, err := jetstream.New(bg, nil, jetstream.Config{})
	require.Nil(t, none)
	require.ErrorContains(t, err, "js must not be nil")
}

// Delayed jobs: by the server, and, where a bound of the stream forbids schedules, by the worker, at no attempt's cost.
func TestQueue_Delay(t *testing.T) {
	for name, cfg := range map[string]jetstream.Config{"scheduled": {}, "given back": {MaxJobs: 1000}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := start(t).queue(cfg)
			ran := make(chan time.Time, 10)
			kind := jobs.Define("later", func(ctx context.Context, _ int) error {
				info, _ := jobs.InfoOf(ctx)
				require.Equal(t, 1, info.Attempt)
				ran <- time.Now()
				return nil
			}, jobs.Attempts(1))
			w, stop := serve(t, executortest.New(t), q, jobs.Kinds(kind))
			due := time.Now().Add(300 * time.Millisecond)
			require.NoError(t, kind.Go(bg, q, 1, jobs.At(due)))
			require.NoError(t, kind.Go(bg, q, 1, jobs.At(due), jobs.Key("k")))
			require.NoError(t, kind.Go(bg, q, 2))
			<-ran
			for range 2 {
				require.False(t, (<-ran).Before(due))
			}
			waitFor(t, func() bool { return w.Stats().Done == 3 })
			require.NoError(t, stop())
			if name == "scheduled" {
				require.Zero(t, w.Stats().Returned)
			}
		})
	}
}

// What the broker gives up on becomes a dead letter too.
func TestQueue_MaxDeliveries(t *testing.T) {
	t.Parallel()
	b := start(t)
	q := b.queue(jetstream.Config{MaxDeliver: 2, AckWait: 100 * time.Millisecond})
	require.NoError(t, jobs.Define("x", func(context.Context, int) error { return nil }).Go(bg, q, 1))
	for !next(t, q).Last() {
	}
	// The broker says so when somebody asks for more.
	_, stop := serve(t, executortest.New(t), q, nil)
	defer stop()
	require.Contains(t, b.letters("q", 1)[0].Headers()[jetstream.HeaderReason][0], "gave it out 2 times")
	waitFor(t, func() bool { d, err := q.Depth(bg); return err == nil && d == jobs.Depth{Dead: 1} })
}

// Somebody deletes a consumer, and the stream: the worker makes them anew and goes on.
func TestQueue_DeletedByOthers(t *testing.T) {
	t.Parallel()
	b := start(t)
	q := b.queue(jetstream.Config{})
	kind := jobs.Define("x", func(context.Context, int) error { return nil })
	w, stop := serve(t, executortest.New(t), q, jobs.Kinds(kind))
	require.NoError(t, kind.Go(bg, q, 1))
	waitFor(t, func() bool { return w.Stats().Done == 1 })
	require.NoError(t, b.js.DeleteConsumer(bg, "q", "any"))
	require.NoError(t, kind.Go(bg, q, 2))
	waitFor(t, func() bool { return w.Stats().Done == 2 })
	require.NoError(t, b.js.DeleteStream(bg, "q"))
	require.NoError(t, kind.Go(bg, q, 3))
	waitFor(t, func() bool { return w.Stats().Done == 3 })
	require.NoError(t, stop())
}

// Twice is like once, and what an operator changed stays.
func TestQueue_StartedTwice(t *testing.T) {
	t.Parallel()
	b := start(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			_, err := jetstream.New(bg, b.js, jetstream.Config{Name: "many"})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	s, err := b.js.Stream(bg, "many")
	require.NoError(t, err)
	cfg := s.CachedInfo().Config
	cfg.Description, cfg.MaxAge = "changed by hand", time.Hour
	_, err = b.js.UpdateStream(bg, cfg)
	require.NoError(t, err)
	_, err = jetstream.New(bg, b.js, jetstream.Config{Name: "many"})
	require.NoError(t, err)
	s, err = b.js.Stream(bg, "many")
	require.NoError(t, err)
	require.Equal(t, "changed by hand", s.CachedInfo().Config.Description)

	_, err = b.js.CreateStream(bg, natsjs.StreamConfig{Name: "other", Subjects: []string{"jobs.other.any.>"}})
	require.NoError(t, err)
	_, err = jetstream.New(bg, b.js, jetstream.Config{Name: "other"})
	require.ErrorContains(t, err, "stream other is there and no work queue")
}

func TestQueue_AFullStreamRefuses(t *testing.T) {
	t.Parallel()
	q := start(t).queue(jetstream.Config{MaxJobs: 2})
	kind := jobs.Define("x", func(context.Context, string) error { return nil }, jobs.MaxBytes(64<<20))
	require.NoError(t, kind.Go(bg, q, "1"))
	require.NoError(t, kind.Go(bg, q, "2"))
	require.ErrorContains(t, kind.Go(bg, q, "3"), "maximum messages exceeded")
	require.ErrorIs(t, kind.Go(bg, q, string(make([]byte, 2<<20))), jobs.ErrTooLarge)
}

func TestQueue_Config(t *testing.T) {
	b := start(t)
	for want, cfg := range map[string]jetstream.Config{
		"Name: must not be empty":                         {},
		`Name "a.b": only letters, digits, - and _`:       {Name: "a.b"},
		"AckWait 1ms: must be at least 100ms":             {Name: "a", AckWait: time.Millisecond},
		"Replicas 7: must be 1 to 5":                      {Name: "a", Replicas: 7},
		"Partitions -2: must be 1 to 256, or -1 for none": {Name: "a", Partitions: -2},
		"MaxDeliver -1: must not be negative":             {Name: "a", MaxDeliver: -1},
	} {
		_, err := jetstream.New(bg, b.js, cfg)
		require.ErrorContains(t, err, "jobs/jetstream: Config."+want)
	}
	q := b.queue(jetstream.Config{Name: "nokeys", Partitions: -1})
	kind := jobs.Define("x", func(context.Context, int) error { return nil })
	require.ErrorContains(t, kind.Go(bg, q, 1, jobs.Key("k")), "Partitions is -1, and the job has a key")
	_, err := embedded.Start(bg, "")
	require.ErrorContains(t, err, "must not be empty")
	_, err = embedded.Start(bg, t.TempDir(), embedded.Listen("nonsense"))
	require.ErrorContains(t, err, "embedded: Listen")
	_, err = embedded.Start(bg, t.TempDir(), embedded.MaxStore(0))
	require.ErrorContains(t, err, "embedded: MaxStore(0): must be at least 1")
}
