package executor_test

import (
	"context"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor"
)

// BenchmarkUnmarked runs a thousand tasks that each sleep 100 ms, without Blocking, on two slots.
func BenchmarkUnmarked(b *testing.B) {
	e := newBench(b, executor.WithSlots(2), executor.WithMaxSpares(1000))
	for b.Loop() {
		g := e.NewGroup(context.Background())
		for range 1000 {
			g.Go(func(context.Context) error { time.Sleep(100 * time.Millisecond); return nil })
		}
		_ = g.Wait()
	}
	s := e.Stats()
	b.ReportMetric(float64(s.Compensated)/float64(b.N), "lent/op")
}
