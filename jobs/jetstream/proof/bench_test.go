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
// dead letter instead of a loop. The two take turns, on one server; the medians of the rounds are compared. Throughput is that of
// working off a queue that was filled before. An iteration is a round.
//
//	go test -run XXX -bench 'Throughput|Latency' -benchtime 7x .

const (
	perRound    = 5000 // jobs, of throughput
	pingsARound = 200  // jobs, of latency
)

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
			for i := w; i < perRound; i += 64 {
				if err := kind.Go(context.Background(), q, kilobyte{i, text}); err != nil {
					b.Error(err)
				}
			}
		})
	}
	all.Wait()
}

func median[T time.Duration | float64](all []T) T {
	all = slices.Sorted(slices.Values(all))
	return all[len(all)/2]
}

// report compares what jobs took with what it took by hand, a round each.
func report(b *testing.B, unit string, jobs, hand []time.Duration) {
	var ratios []float64
	for i := range jobs {
		ratios = append(ratios, float64(hand[i])/float64(jobs[i]))
	}
	b.ReportMetric(float64(median(jobs).Nanoseconds())/1e3, "jobs-us/"+unit)
	b.ReportMetric(float64(median(hand).Nanoseconds())/1e3, "hand-us/"+unit)
	b.ReportMetric(median(ratios), "speed-of-hand/"+unit)
}

func BenchmarkThroughput(b *testing.B) {
	for _, remote := range []bool{false, true} {
		for _, prefetch := range []int{0, 64} {
			b.Run(fmt.Sprintf("remote=%v/prefetch=%d", remote, prefetch), func(b *testing.B) {
				js, q := bench(b, remote)
				var ours, theirs []time.Duration
				for b.Loop() {
					ours = append(ours, byJobs(b, q, prefetch)/perRound)
					theirs = append(theirs, byHand(b, js, q, prefetch)/perRound)
				}
				report(b, "job", ours, theirs)
			})
		}
	}
}

func byJobs(b *testing.B, q *jetstream.Queue, prefetch int) time.Duration {
	var done atomic.Int64
	end := make(chan struct{})
	kind := jobs.Define("k", func(context.Context, kilobyte) error {
		if done.Add(1) == perRound {
			close(end)
		}
		return nil
	})
	fill(b, q, kind)
	began := time.Now()
	stop := serveJobs(b, q, kind, prefetch)
	<-end
	took := time.Since(began)
	stop()
	return took
}

// serveJobs starts a worker.
func serveJobs(b *testing.B, q *jetstream.Queue, kind *jobs.Kind[kilobyte], prefetch int) (stop func()) {
	exec, err := executor.New(executor.WithSlots(inHand))
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- jobs.Serve(ctx, exec, q, jobs.Kinds(kind), jobs.Prefetch(prefetch)) }()
	return func() {
		cancel()
		if err := <-served; err != nil {
			b.Error(err)
		}
		_ = exec.Close()
	}
}

func byHand(b *testing.B, js natsjs.JetStream, q *jetstream.Queue, prefetch int) time.Duration {
	var done atomic.Int64
	end := make(chan struct{})
	fill(b, q, jobs.Define("k", func(context.Context, kilobyte) error { return nil }))
	began := time.Now()
	stop := serveHand(b, js, prefetch, func() {
		if done.Add(1) == perRound {
			close(end)
		}
	})
	<-end
	took := time.Since(began)
	stop()
	return took
}

// serveHand starts what a careful program does without jobs. effect is the handler.
func serveHand(b *testing.B, js natsjs.JetStream, prefetch int, effect func()) (stop func()) {
	h := &hand{js: js, held: make(map[natsjs.Msg]time.Time), effect: effect}
	consumer, err := js.Consumer(context.Background(), "bench", "any")
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() { h.keepAlive(ctx) })
	if prefetch == 0 { // a slot, then a request
		for range inHand {
			all.Go(func() {
				for ctx.Err() == nil {
					batch, err := consumer.Fetch(1, natsjs.FetchMaxWait(time.Second))
					if err != nil {
						return
					}
					for m := range batch.Messages() {
						h.work(ctx, m)
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
	return func() {
		cancel()
		all.Wait()
	}
}

// hand is what a careful program does without jobs.
type hand struct {
	js   natsjs.JetStream
	mu   sync.Mutex
	held map[natsjs.Msg]time.Time

	effect func()
}

func (h *hand) hold(m natsjs.Msg) {
	h.mu.Lock()
	h.held[m] = time.Now().Add(10 * time.Minute)
	h.mu.Unlock()
}

func (h *hand) keepAlive(ctx context.Context) {
	ticker := time.NewTicker(10 * time.Second)
	defer ticker.Stop()
	for ctx.Err() == nil {
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
	h.effect()
	_ = m.Ack()
}

// The time from the sending to the handler, one job at a time on an idle worker.
func BenchmarkLatency(b *testing.B) {
	for _, remote := range []bool{false, true} {
		b.Run(fmt.Sprintf("remote=%v", remote), func(b *testing.B) {
			js, q := bench(b, remote)
			began := make(chan time.Time, 1)
			kind := jobs.Define("k", func(context.Context, kilobyte) error { began <- time.Now(); return nil })
			var p50, p99 [2][]time.Duration // by jobs, by hand
			round := func(who int, send func(i int) error) {
				var all []time.Duration
				for i := range pingsARound {
					sent := time.Now()
					if err := send(i); err != nil {
						b.Fatal(err)
					}
					all = append(all, (<-began).Sub(sent))
				}
				slices.Sort(all)
				p50[who], p99[who] = append(p50[who], all[len(all)/2]), append(p99[who], all[len(all)*99/100])
			}
			for b.Loop() {
				stop := serveJobs(b, q, kind, 0)
				round(0, func(i int) error { return kind.Go(context.Background(), q, kilobyte{i, text}) })
				stop()
				stop = serveHand(b, js, 0, func() { began <- time.Now() })
				round(1, func(i int) error {
					body, err := json.Marshal(kilobyte{i, text})
					if err == nil {
						_, err = js.Publish(context.Background(), "jobs.bench.any.k", body)
					}
					return err
				})
				stop()
			}
			report(b, "p50", p50[0], p50[1])
			report(b, "p99", p99[0], p99[1])
		})
	}
}
