package stresstest

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/internal/cgotest"
)

// BenchmarkUnmarked runs many tasks on two slots that each block for 100 ms, without Blocking. Two slots
// alone would take 50 s for a thousand. What it does not show: processors that are busy as well.
func BenchmarkUnmarked(b *testing.B) {
	const pause = 100 * time.Millisecond
	nap := func() { time.Sleep(pause) }
	b.Run("sleep/n=1000", func(b *testing.B) { benchUnmarked(b, 1000, nap) })
	b.Run("channel/n=1000", func(b *testing.B) {
		benchUnmarked(b, 1000, func() {
			ch := make(chan struct{})
			time.AfterFunc(pause, func() { close(ch) })
			<-ch
		})
	})
	b.Run("TCP/n=1000", func(b *testing.B) { benchUnmarked(b, 1000, answering(b, pause)) })
	b.Run("syscall/n=200", func(b *testing.B) { benchUnmarked(b, 200, blockingSyscall(b, pause)) })
	b.Run("C/n=200", func(b *testing.B) {
		if cgotest.Missing != "" {
			b.Skip(cgotest.Missing)
		}
		benchUnmarked(b, 200, func() { cgotest.Sleep(int(pause / time.Millisecond)) })
	})
	b.Run("goroutines/sleep/n=1000", func(b *testing.B) {
		for b.Loop() {
			var all sync.WaitGroup
			for range 1000 {
				all.Go(nap)
			}
			all.Wait()
		}
	})
}

func benchUnmarked(b *testing.B, n int, block func()) {
	e := newBench(b, executor.WithSlots(2), executor.WithMaxSpares(1000))
	for b.Loop() {
		g := e.NewGroup(context.Background())
		for range n {
			g.Go(func(context.Context) error { block(); return nil })
		}
		_ = g.Wait()
	}
	s := e.Stats()
	b.ReportMetric(float64(s.Compensated)/float64(b.N), "lent/op")
	b.ReportMetric(float64(s.StallsBusy)/float64(b.N), "busy/op")
}

// answering starts a server that answers each connection after a while, and gives a call that waits for it.
func answering(b *testing.B, after time.Duration) func() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	b.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			time.AfterFunc(after, func() { _, _ = c.Write([]byte{1}); c.Close() })
		}
	}()
	return func() {
		c, err := net.Dial("tcp", l.Addr().String())
		check(err)
		defer c.Close()
		_, err = io.ReadFull(c, make([]byte, 1))
		check(err)
	}
}

// BenchmarkComputing keeps two slots busy for ten seconds with tasks of 1 ms to 2 s and a long queue behind
// them. Nothing must be lent.
func BenchmarkComputing(b *testing.B) {
	for _, allocates := range []bool{false, true} {
		name := "plain"
		if allocates {
			name = "allocating"
		}
		b.Run(name, func(b *testing.B) {
			e := newBench(b, executor.WithSlots(2), executor.WithMaxSpares(1000))
			for b.Loop() {
				g := e.NewGroup(context.Background())
				end := time.Now().Add(10 * time.Second)
				for i := 0; time.Now().Before(end); i++ {
					g.Go(func(context.Context) error {
						if start := time.Now(); start.Before(end) {
							for length := time.Millisecond << (i % 12); time.Since(start) < length; {
								if allocates {
									kept.Store(make([]byte, 1024))
								}
							}
						}
						return nil
					})
				}
				_ = g.Wait()
			}
			s := e.Stats()
			b.ReportMetric(float64(s.Compensated)/float64(b.N), "lent/op")
			b.ReportMetric(float64(s.StallsBusy)/float64(b.N), "busy/op")
		})
	}
}

var kept atomic.Value

// check is for places without a test to fail: benchmarks and child processes.
func check(err error) {
	if err != nil {
		panic(err)
	}
}

// BenchmarkMixed runs as many tasks that compute for 30 ms as tasks that sleep for 100 ms. The processors
// could do it in 100 * 30 ms / GOMAXPROCS; cpus is how many of them computed on average.
func BenchmarkMixed(b *testing.B) {
	const n, length = 100, 30 * time.Millisecond
	e := newBench(b, executor.WithSlots(2), executor.WithMaxSpares(1000))
	var sleeping peak
	for b.Loop() {
		g := e.NewGroup(context.Background())
		for i := range 2 * n {
			g.Go(func(context.Context) error {
				if i%2 == 0 {
					sleeping.Enter()
					time.Sleep(100 * time.Millisecond)
					sleeping.Leave()
					return nil
				}
				for start := time.Now(); time.Since(start) < length; {
				}
				return nil
			})
		}
		_ = g.Wait()
	}
	b.ReportMetric(float64(n*length)*float64(b.N)/float64(b.Elapsed()), "cpus")
	b.ReportMetric(float64(sleeping.Max()), "asleep")
	b.ReportMetric(float64(e.Stats().Compensated)/float64(b.N), "lent/op")
}

// BenchmarkHandoff measures from the moment a task calls Blocking until a task that was queued behind it
// runs on its slot.
func BenchmarkHandoff(b *testing.B) {
	e := newBench(b, executor.WithSlots(1), executor.WithMaxSpares(8))
	var total time.Duration
	for b.Loop() {
		queued, ran := make(chan struct{}), make(chan time.Time, 1)
		g := e.NewGroup(context.Background())
		g.Go(func(ctx context.Context) error {
			<-queued
			start := time.Now()
			executor.Blocking(ctx, func() { total += (<-ran).Sub(start) })
			return nil
		})
		g.Go(func(context.Context) error { ran <- time.Now(); return nil })
		close(queued)
		_ = g.Wait()
	}
	b.ReportMetric(float64(total)/float64(b.N), "handoff-ns")
	b.ReportMetric(float64(e.Stats().Handoffs)/float64(b.N), "handoffs/op")
}
