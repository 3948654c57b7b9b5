package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"testing"

	"github.com/seed-97bda89a/executor"
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
