//go:build unix

package proof

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"
	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/jobs"
	"github.com/seed-97bda89a/executor/jobs/jetstream"
	"github.com/seed-97bda89a/executor/jobs/jetstream/embedded"
)

// Jobs of 1 KB beside nats.go by hand, with the same guarantees: an explicit ack after the work, two at once, keeping alive what is held, and a
// dead letter instead of a loop. The queue is filled first; only the working off is measured.
//
//	go test -run XXX -bench 'Jobs|Hand' -benchtime 5000x .

type kilobyte struct {
	N    int
	Text string
}

var text = strings.Repeat("x", 1000)

const inHand = 2 // slots

// bench starts a server, in the process or behind a port, and returns an open queue on it.
func bench(b *testing.B, remote bool) (natsjs.JetStream, *jetstream.Queue) {
	b.Helper()
	var opts []embedded.Option
	if remote {
		opts = append(opts, embedded.Listen("127.0.0.1:0"))
	}
	s, err := embedded.Start(context.Background(), b.TempDir(), opts...)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.Shutdown)
	nc, err := s.Connect()
	if remote {
		nc, _, err = connect("nats://" + s.Addr())
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(nc.Close)
	js, err := natsjs.New(nc)
	if err != nil {
		b.Fatal(err)
	}
	q, err := jetstream.New(context.Background(), js, jetstream.Config{Name: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	return js, q
}

func fill(b *testing.B, q *jetstream.Queue, kind *jobs.Kind[kilobyte]) {
	b.Helper()
	var all sync.WaitGroup
	for w := range 64 {
		all.Go(func() {
			for i := w; i < b.N; i += 64 {
				if err := kind.Go(context.Background(), q, kilobyte{i, text}); err != nil {
					b.Error(err)
				}
			}
		})
	}
	all.Wait()
}

func places(b *testing.B, run func(b *testing.B, remote bool, prefetch int)) {
	for _, remote := range []bool{false, true} {
		for _, prefetch := range []int{0, 64} {
			b.Run(fmt.Sprintf("remote=%v/prefetch=%d", remote, prefetch), func(b *testing.B) { run(b, remote, prefetch) })
		}
	}
}

func BenchmarkJobs(b *testing.B) {
	places(b, func(b *testing.B, remote bool, prefetch int) {
		_, q := bench(b, remote)
		var done atomic.Int64
		end := make(chan struct{})
		kind := jobs.Define("k", func(context.Context, kilobyte) error {
			if done.Add(1) == int64(b.N) {
				close(end)
			}
			return nil
		})
		fill(b, q, kind)
		exec, err := executor.New(executor.WithSlots(inHand))
		if err != nil {
			b.Fatal(err)
		}
		defer exec.Close()
		ctx, cancel := context.WithCancel(context.Background())
		served := make(chan error, 1)
		b.ResetTimer()
		go func() { served <- jobs.Serve(ctx, exec, q, jobs.Kinds(kind), jobs.Prefetch(prefetch)) }()
		<-end
		b.StopTimer()
		cancel()
		<-served
	})
}

func BenchmarkHand(b *testing.B) {
	places(b, func(b *testing.B, remote bool, prefetch int) {
		js, q := bench(b, remote)
		kind := jobs.Define("k", func(context.Context, kilobyte) error { return nil })
		fill(b, q, kind)
		h := &hand{js: js, held: make(map[natsjs.Msg]time.Time), end: make(chan struct{}), n: int64(b.N)}
		consumer, err := js.Consumer(context.Background(), "bench", "any")
		if err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		go h.keepAlive(ctx)
		b.ResetTimer()
		var all sync.WaitGroup
		if prefetch == 0 { // a slot, then a request
			for range inHand {
				all.Go(func() {
					for ctx.Err() == nil {
						batch, err := consumer.FetchNoWait(1)
						if err != nil {
							return
						}
						got := false
						for m := range batch.Messages() {
							got = true
							h.work(ctx, m)
						}
						if !got {
							batch, err = consumer.Fetch(1, natsjs.FetchMaxWait(time.Second))
							if err != nil {
								return
							}
							for m := range batch.Messages() {
								h.work(ctx, m)
							}
						}
					}
				})
			}
		} else {
			iter, err := consumer.Messages(natsjs.PullMaxMessages(prefetch))
			if err != nil {
				b.Fatal(err)
			}
			context.AfterFunc(ctx, iter.Stop)
			ahead := make(chan natsjs.Msg, prefetch)
			all.Go(func() {
				defer close(ahead)
				for {
					m, err := iter.Next()
					if err != nil {
						return
					}
					h.hold(m)
					ahead <- m
				}
			})
			for range inHand {
				all.Go(func() {
					for m := range ahead {
						h.work(ctx, m)
					}
				})
			}
		}
		<-h.end
		b.StopTimer()
		cancel()
		all.Wait()
	})
}

// hand is what a careful program does without jobs.
type hand struct {
	js   natsjs.JetStream
	mu   sync.Mutex
	held map[natsjs.Msg]time.Time
	done atomic.Int64
	n    int64
	end  chan struct{}
}

func (h *hand) hold(m natsjs.Msg) {
	h.mu.Lock()
	h.held[m] = time.Now().Add(10 * time.Minute)
	h.mu.Unlock()
}

func (h *hand) keepAlive(ctx context.Context) {
	for ticker := time.NewTicker(10 * time.Second); ctx.Err() == nil; {
		select {
		case <-ctx.Done():
		case <-ticker.C:
			h.mu.Lock()
			for m, until := range h.held {
				if time.Now().Before(until) {
					_ = m.InProgress()
				}
			}
			h.mu.Unlock()
		}
	}
}

func (h *hand) work(ctx context.Context, m natsjs.Msg) {
	h.hold(m)
	defer func() {
		h.mu.Lock()
		delete(h.held, m)
		h.mu.Unlock()
	}()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	meta, err := m.Metadata()
	var k kilobyte
	if err == nil {
		err = json.Unmarshal(m.Data(), &k)
	}
	if err != nil || meta.NumDelivered > 10 {
		if _, err := h.js.Publish(ctx, "jobs.bench.dead.k", m.Data()); err == nil {
			_ = m.TermWithReason("poison")
		}
		return
	}
	if h.done.Add(1) == h.n {
		close(h.end)
	}
	_ = m.Ack()
}

// BenchmarkLatency is the time from Go to the handler, one job at a time on an idle worker.
func BenchmarkLatency(b *testing.B) {
	for _, remote := range []bool{false, true} {
		b.Run(fmt.Sprintf("remote=%v", remote), func(b *testing.B) {
			_, q := bench(b, remote)
			began := make(chan time.Time, 1)
			kind := jobs.Define("k", func(context.Context, kilobyte) error { began <- time.Now(); return nil })
			exec, err := executor.New(executor.WithSlots(inHand))
			if err != nil {
				b.Fatal(err)
			}
			defer exec.Close()
			ctx, cancel := context.WithCancel(context.Background())
			served := make(chan error, 1)
			go func() { served <- jobs.Serve(ctx, exec, q, jobs.Kinds(kind)) }()
			var all []time.Duration
			for i := 0; b.Loop(); i++ {
				sent := time.Now()
				if err := kind.Go(ctx, q, kilobyte{i, text}); err != nil {
					b.Fatal(err)
				}
				all = append(all, (<-began).Sub(sent))
			}
			cancel()
			<-served
			slices.Sort(all)
			b.ReportMetric(float64(all[len(all)/2].Microseconds()), "p50-us")
			b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "p99-us")
		})
	}
}
