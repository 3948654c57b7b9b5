package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/debugpage"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
)

// Counts of executors that have ended stay in what Prometheus scrapes, and go on with the next one of the name. Mutants: the
// callback goes with the executor; the next one of a name begins at zero.
func TestScrape_CountsNeverFall(t *testing.T) {
	tel, err := newTelemetry(false, io.Discard)
	require.NoError(t, err)
	server := httptest.NewServer(tel.metrics)
	defer server.Close()
	scrape := func() string {
		answer, err := http.Get(server.URL)
		require.NoError(t, err)
		defer func() { _ = answer.Body.Close() }()
		text, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		return string(text)
	}
	value := func(text, metric, labels string) int {
		found := regexp.MustCompile(fmt.Sprintf(`(?m)^%s\{%s\} (\d+)$`, metric, labels)).FindStringSubmatch(text)
		require.Len(t, found, 2, "%s{%s} in:\n%s", metric, labels, text)
		n, err := strconv.Atoi(found[1])
		require.NoError(t, err)
		return n
	}
	const submitted, completed = "executor_task_submitted_total", "executor_task_completed_total"
	sum := 0
	for _, n := range []int{10, 3, 7} {
		e, err := executor.New(executor.WithName("job"), executor.WithMeterProvider(tel.meters))
		require.NoError(t, err)
		text := scrape()
		require.Equal(t, sum, value(text, submitted, `executor_name="job"`), "a new one of the name goes on")
		require.Contains(t, text, `executor_slot_limit{executor_name="job"}`)
		for range n {
			require.NoError(t, e.Go(context.Background(), func(context.Context) {}))
		}
		require.NoError(t, e.Shutdown(context.Background()))
		sum += n
		text = scrape()
		require.Equal(t, sum, value(text, submitted, `executor_name="job"`))
		require.Equal(t, sum, value(text, completed, `executor_name="job"`))
		require.NotContains(t, text, `executor_slot_limit{executor_name="job"}`, "gauges end")
	}
	require.NoError(t, tel.shutdown(context.Background()))
}

// The global provider is one, before SetMeterProvider and after. Mutant: two providers are two.
func TestScrape_TheGlobalProviderBeforeAndAfterItIsSet(t *testing.T) {
	tel, err := newTelemetry(false, io.Discard)
	require.NoError(t, err)
	run := func(n int, opts ...executor.Option) {
		e, err := executor.New(append(opts, executor.WithName("global"))...)
		require.NoError(t, err)
		for range n {
			require.NoError(t, e.Go(context.Background(), func(context.Context) {}))
		}
		require.NoError(t, e.Shutdown(context.Background()))
	}
	run(5)
	otel.SetMeterProvider(tel.meters)
	run(3)
	run(2, executor.WithMeterProvider(tel.meters))
	answer := httptest.NewRecorder()
	tel.metrics.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	require.Contains(t, answer.Body.String(), "executor_task_submitted_total{executor_name=\"global\"} 10\n")
}

// Under one and a half times the load that the slot can do, all who count say the same as who sends: Stats, the scrape and the page.
// Counts are exact. Of each wait the client knows bounds, whatever the machine does: it is at most the time from before the call
// to the task's first line, and at least that from after the call to the end of the task before. So it knows how many are in each bucket, from and to.
//
// Mutants: refused submissions are measured too; a wait begins when the task is taken; a count is left out at the end.
func TestScrape_TheTruthUnderLoad(t *testing.T) {
	tel, err := newTelemetry(false, io.Discard)
	require.NoError(t, err)
	e, err := executor.New(executor.WithName("loaded"), executor.WithSlots(1), executor.WithQueueLimit(16), executor.WithStallDetection(false), executor.WithHistogramSampling(1),
		executor.WithMeterProvider(tel.meters))
	require.NoError(t, err)
	defer func() { _ = e.Close() }()
	page := debugpage.Handler(e)
	look := func() debugpage.State {
		answer := httptest.NewRecorder()
		page.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/?format=json", nil))
		var report debugpage.Report
		require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &report))
		return report.Executors[0]
	}
	look() // it watches from now on

	type sent struct{ before, after, begun, ended time.Time }
	var mu sync.Mutex
	var ran []*sent // by the one slot, one after another
	const failed = 7
	accepted, refused := 0, 0
	for i := 0; accepted < 300 || refused < 100; i++ {
		s := &sent{before: time.Now()}
		err := e.TryGo(context.Background(), func(context.Context) {
			begun := time.Now()
			time.Sleep(time.Millisecond)
			mu.Lock()
			defer mu.Unlock()
			s.begun, s.ended = begun, time.Now()
			ran = append(ran, s)
		})
		s.after = time.Now()
		if err == nil {
			accepted++
		} else {
			require.ErrorIs(t, err, executor.ErrQueueFull)
			refused++
		}
		if i%3 != 0 { // three submissions in the time of two tasks
			time.Sleep(time.Millisecond)
		}
	}
	require.NoError(t, e.Quiesce(context.Background()))
	for range failed {
		_, err := executor.Submit(context.Background(), e, func(context.Context) (int, error) { return 0, io.ErrUnexpectedEOF })
		require.NoError(t, err)
	}
	require.NoError(t, e.Quiesce(context.Background()))

	stats := e.Stats()
	require.Len(t, ran, accepted)
	require.EqualValues(t, []int{accepted + failed, accepted + failed, failed, refused, refused},
		[]int{int(stats.Submitted), int(stats.Completed), int(stats.Failed), int(stats.Rejected), int(stats.RejectedFull)})
	answer := httptest.NewRecorder()
	tel.metrics.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	series := regexp.MustCompile(`(?m)^executor_(\w+)\{(.*)executor_name="loaded"(.*)\} (\S+)$`).FindAllStringSubmatch(answer.Body.String(), -1)
	value := func(name, label string) float64 {
		sum := 0.0
		for _, s := range series {
			if s[1] == name && strings.Contains(s[2]+s[3], label) {
				n, err := strconv.ParseFloat(s[4], 64)
				require.NoError(t, err)
				sum += n
			}
		}
		return sum
	}
	require.EqualValues(t, accepted+failed, value("task_submitted_total", ""))
	require.EqualValues(t, accepted+failed, value("task_completed_total", ""))
	require.EqualValues(t, failed, value("task_completed_total", `error_type="error"`))
	require.EqualValues(t, refused, value("task_rejected_total", `reason="full"`))
	require.EqualValues(t, refused, value("task_rejected_total", ""))
	require.EqualValues(t, accepted+failed, value("queue_wait_duration_seconds_count", ""))

	var least, most []time.Duration // of each wait
	for i, s := range ran {
		least, most = append(least, 0), append(most, s.begun.Sub(s.before))
		if i > 0 {
			least[i] = max(0, ran[i-1].ended.Sub(s.after))
		}
	}
	slices.Sort(least)
	slices.Sort(most)
	buckets := 0
	for _, s := range series {
		le := regexp.MustCompile(`le="([\d.e+-]+)"`).FindStringSubmatch(s[2] + s[3])
		if s[1] != "queue_wait_duration_seconds_bucket" || le == nil {
			continue
		}
		buckets++
		bound, err := strconv.ParseFloat(le[1], 64)
		require.NoError(t, err)
		n, err := strconv.Atoi(s[4])
		require.NoError(t, err)
		within := func(all []time.Duration) int {
			return len(all) - len(all[sort.Search(len(all), func(i int) bool { return all[i].Seconds() > bound }):])
		}
		require.GreaterOrEqual(t, n, within(most), "waits of at most %g s", bound)
		require.LessOrEqual(t, n, within(least)+failed, "waits of at most %g s", bound)
	}
	require.Positive(t, buckets)

	d := look()
	for d.Stats.Submitted < stats.Submitted || d.Wait.Count < uint64(accepted+failed) { // the look before
		time.Sleep(100 * time.Millisecond)
		d = look()
	}
	require.Equal(t, [4]uint64{stats.Submitted, stats.Completed, stats.Failed, stats.RejectedFull}, [4]uint64{d.Stats.Submitted, d.Stats.Completed, d.Stats.Failed, d.Stats.RejectedFull})
	require.EqualValues(t, accepted+failed, d.Wait.Count)
	for q, got := range map[float64]time.Duration{0.5: d.Wait.P50, 0.9: d.Wait.P90} {
		at := int(q * float64(accepted+failed))
		require.GreaterOrEqual(t, got, least[max(0, at-failed-1)], "%g", q)
		require.LessOrEqual(t, float64(got), 1.125*float64(most[min(len(most)-1, at+1)])+1, "%g", q)
	}
	require.EqualValues(t, refused, d.Window.RejectedFull)
}
