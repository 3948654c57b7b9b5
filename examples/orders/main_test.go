package main

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
)

// In fake time, where work is sleep, the figures are exact. At half of the load nothing is refused; at one and a half of it what
// is accepted waits for about the target, no slot is idle, and what is refused is about what is too much. Reports run one at a
// time, and events of a customer in order, always.
func TestShop(t *testing.T) {
	for _, load := range []float64{0.5, 1.5} {
		synctest.Test(t, func(t *testing.T) {
			const length, delay = 8 * time.Second, 20 * time.Millisecond
			s, err := open(config{customers: 200, load: load, event: time.Millisecond, report: 5 * time.Millisecond, delay: delay, work: time.Sleep},
				executor.WithSlots(2), executor.WithStallDetection(false))
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), length)
			defer cancel()
			s.feed(ctx)
			require.NoError(t, s.exec.Shutdown(context.Background()))
			require.Zero(t, s.wrong.Load())
			for _, b := range []*book{&s.events, &s.reports} {
				require.EqualValues(t, b.came-b.refused, b.done.Load(), b.lane)
			}
			p50, p99 := s.events.percentiles()
			t.Logf("load %v: %d events, %d refused, waited %v and %v; %d reports, %d refused", load, s.events.came, s.events.refused, p50, p99, s.reports.came, s.reports.refused)
			if load < 1 {
				require.Zero(t, s.events.refused+s.reports.refused)
				return
			}
			worked := time.Duration(s.events.done.Load())*s.event + time.Duration(s.reports.done.Load())*s.report
			require.Greater(t, worked, 2*length*95/100, "the slots were busy")
			require.Less(t, p99, 10*delay)
			require.Greater(t, s.reports.done.Load(), int64(length/s.report)/10, "reports had their turns")
		})
	}
}

func TestRun(t *testing.T) {
	var out, errs bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-for", "50ms", "-customers", "20"}, &out, &errs))
	require.Contains(t, out.String(), "watch http://127.0.0.1:")
	require.Regexp(t, `(?s)lane +came +done.*events +\d+.*reports +\d+.*in order`, out.String())
	require.Empty(t, errs.String())
	require.Error(t, run(t.Context(), []string{"-load", "0"}, &out, &errs))
	require.ErrorContains(t, run(t.Context(), []string{"-delay", "0s"}, &out, &errs), "WithQueueDelay(0s)")
}
