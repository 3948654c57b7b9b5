//go:build unix

package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
)

// quick are the rules with short times, so that a test need not wait for minutes.
func quick(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("grafana/alerts.yml")
	require.NoError(t, err)
	rules := regexp.MustCompile(`\[\d+m\]`).ReplaceAllString(string(text), "[5s]")
	rules = regexp.MustCompile(`for: \d+m`).ReplaceAllString(rules, "for: 1s")
	return strings.Replace(rules, "(executor_queue_age_seconds) > 5", "(executor_queue_age_seconds) > 1", 1)
}

// TestPrometheus_Alerts lets a real Prometheus read the alert rules, first with promtool, and scrape executors with something
// wrong. Each alert fires for the executor that it is about, and for no other; when all is well again, none does.
//
// Mutants: a comparison the other way round; runners that sleep count as used; a name of a metric that is not exported.
func TestPrometheus_Alerts(t *testing.T) {
	prometheus, promtool := tool(t, "prometheus"), tool(t, "promtool")
	text, err := exec.Command(promtool, "check", "rules", "--lint-fatal", "grafana/alerts.yml").CombinedOutput()
	require.NoError(t, err, "%s", text)

	tel, err := newTelemetry(false, io.Discard)
	require.NoError(t, err)
	server := httptest.NewServer(tel.metrics)
	defer server.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var going sync.WaitGroup
	keep := func(fn func()) { // until all is to be well
		going.Go(func() {
			for ctx.Err() == nil {
				fn()
			}
		})
	}
	wait := func(d time.Duration) {
		select {
		case <-ctx.Done():
		case <-time.After(d):
		}
	}
	run := func(name string, opts ...executor.Option) *executor.Executor {
		opts = append(opts, executor.WithName(name), executor.WithMeterProvider(tel.meters), executor.WithStallDetection(false),
			executor.WithPanicHandler(func(context.Context, *executor.PanicError) {}))
		e, err := executor.New(opts...)
		require.NoError(t, err)
		t.Cleanup(func() { _ = e.Close() })
		return e
	}
	nothing := func(context.Context) {}

	well := run("well", executor.WithSlots(2), executor.WithMaxSpares(0))
	keepWell, stop := context.WithCancel(context.Background())
	defer stop()
	var fine sync.WaitGroup
	fine.Go(func() {
		for keepWell.Err() == nil {
			_ = well.Go(keepWell, nothing)
			time.Sleep(5 * time.Millisecond)
		}
	})
	full := run("full", executor.WithSlots(1), executor.WithQueueLimit(1))
	keep(func() {
		_ = full.TryGo(ctx, func(context.Context) { wait(50 * time.Millisecond) })
		wait(5 * time.Millisecond)
	})
	still := run("still", executor.WithSlots(1), executor.WithQueueLimit(4))
	for range 40 { // one runs, four are queued, the slot may have taken some to itself, and the others wait for room
		going.Go(func() { _ = still.Go(context.Background(), func(context.Context) { <-ctx.Done() }) })
	}
	spent := run("spent", executor.WithSlots(1), executor.WithMaxSpares(1))
	for range 3 {
		require.NoError(t, spent.Go(ctx, func(task context.Context) { executor.Blocking(task, func() { <-ctx.Done() }) }))
	}
	panics := run("panics", executor.WithSlots(1))
	keep(func() {
		_ = panics.Go(ctx, func(context.Context) { panic("boom") })
		wait(50 * time.Millisecond)
	})

	dir := t.TempDir()
	config := "global: {scrape_interval: 500ms, evaluation_interval: 500ms}\nrule_files: [alerts.yml]\nscrape_configs:\n  - job_name: alerts\n" +
		"    static_configs: [{targets: ['" + strings.TrimPrefix(server.URL, "http://") + "']}]\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(config), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "alerts.yml"), []byte(quick(t)), 0o644))
	api := startPrometheus(t, prometheus, dir)

	seen := map[string]bool{}
	want := []string{
		"ExecutorRefusesWork full", "ExecutorQueueIsOld still", "ExecutorStandsStill still", "ExecutorSubmittersWait still", "ExecutorHasNoSpares spent", "ExecutorTasksPanic panics",
	}
	for deadline := time.Now().Add(patience); slices.ContainsFunc(want, func(a string) bool { return !seen[a] }); time.Sleep(200 * time.Millisecond) {
		for _, a := range firing(t, api) {
			seen[a] = true
		}
		require.True(t, time.Now().Before(deadline), "all fire; so far: %v", seen)
	}
	for a := range seen {
		require.False(t, strings.HasSuffix(a, " well"), a)
	}

	cancel() // what was wrong is over
	going.Wait()
	for deadline := time.Now().Add(patience); len(firing(t, api)) > 0; time.Sleep(200 * time.Millisecond) {
		require.True(t, time.Now().Before(deadline), "these still fire: %v", firing(t, api))
	}
	stop()
	fine.Wait()
}

// firing returns the alerts that fire: names of alerts and of executors.
func firing(t *testing.T, api string) []string {
	t.Helper()
	_, text, err := get(api + "/api/v1/alerts")
	if err != nil {
		return []string{err.Error()}
	}
	var answer struct {
		Data struct {
			Alerts []struct {
				State       string
				Labels      map[string]string
				Annotations map[string]string
			}
		}
	}
	if json.Unmarshal([]byte(text), &answer) != nil {
		return []string{text} // it is starting
	}
	var all []string
	for _, a := range answer.Data.Alerts {
		if a.State == "firing" {
			all = append(all, a.Labels["alertname"]+" "+a.Labels["executor_name"])
			require.Contains(t, a.Annotations["summary"], a.Labels["executor_name"])
		}
	}
	return all
}
