//go:build unix

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// toolsRequired makes tests fail where they would skip for want of a program.
const toolsRequired = "EXECUTOR_TEST_TOOLS_REQUIRED"

// tool returns the path of a program that is not part of this module.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil && os.Getenv(toolsRequired) == "" {
		t.Skipf("%v; Debian has it in the package of that name", err)
	}
	require.NoError(t, err)
	return path
}

// expressions returns the queries of the dashboard, for all executors and the last ten seconds.
func expressions(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("grafana/executor.json")
	require.NoError(t, err)
	var dashboard struct {
		Panels []struct{ Targets []struct{ Expr string } }
	}
	require.NoError(t, json.Unmarshal(text, &dashboard))
	var found []string
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			found = append(found, strings.NewReplacer("$executor", ".*", "$__rate_interval", "10s").Replace(target.Expr))
		}
	}
	require.NotEmpty(t, found)
	return found
}

var (
	// braces and by hold names of labels, which look like names of metrics.
	braces     = regexp.MustCompile(`\{[^}]*\}|\bby \([^)]*\)`)
	metricName = regexp.MustCompile(`\b(?:executor|http|process)_\w+`)
)

// work makes the service do some of everything: n pictures, and as many hashes.
func work(t *testing.T, p *program, n int) {
	t.Helper()
	for range n {
		status, _, err := get(p.api + "/thumbnail?width=20")
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, status)
		resp, err := client.Post(p.api+"/hash", "text/plain", strings.NewReader("x"))
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusOK, resp.StatusCode)
	}
}

// exported returns the series that the service exports, by name; those with several sets of labels are added up.
func exported(t *testing.T, p *program) map[string]float64 {
	t.Helper()
	_, text, err := get(p.admin + "/metrics")
	require.NoError(t, err)
	series := map[string]float64{}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		at := strings.LastIndexByte(line, ' ')
		value, err := strconv.ParseFloat(strings.TrimSpace(line[at:]), 64)
		require.NoError(t, err, line)
		name, _, _ := strings.Cut(line[:at], "{")
		series[name] += value
	}
	return series
}

// startWithQuota runs the service in a control group of its own, with a CPU quota, because some metrics exist only
// there. Where no group can be made it runs without.
func startWithQuota(t *testing.T) (p *program, quota bool) {
	t.Helper()
	dir, err := quotaGroup(t)
	if err != nil {
		require.Empty(t, os.Getenv("EXECUTOR_TEST_CGROUP_REQUIRED"), "%v", err)
		t.Logf("without the metrics of a CPU quota: %v", err)
		return start(t), false
	}
	self, err := os.Executable()
	require.NoError(t, err)
	return startCommand(t, exec.Command("sh", "-c", `echo $$ >"$0/cgroup.procs" && exec "$@"`,
		dir, self, "-addr", "127.0.0.1:0", "-admin", "127.0.0.1:0")), true
}

// quotaGroup makes a control group with a quota of one and a half processors, of whichever version is mounted. It is
// removed when the test ends.
func quotaGroup(t *testing.T) (dir string, err error) {
	t.Helper()
	name := fmt.Sprintf("executor-service-test-%d", os.Getpid())
	v1, v2 := "/sys/fs/cgroup/cpu", "/sys/fs/cgroup"
	limits := map[string]string{"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "150000"}
	dir = filepath.Join(v1, name)
	if _, err := os.Stat(filepath.Join(v1, "cpu.cfs_quota_us")); err != nil {
		if err := os.WriteFile(filepath.Join(v2, "cgroup.subtree_control"), []byte("+cpu"), 0); err != nil {
			return "", err
		}
		limits = map[string]string{"cpu.max": "150000 100000"}
		dir = filepath.Join(v2, name)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	t.Cleanup(func() { require.NoError(t, os.Remove(dir)) })
	for file, limit := range limits {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(limit), 0); err != nil {
			return "", err
		}
	}
	return dir, nil
}

func TestDashboard_ShowsWhatIsExported(t *testing.T) {
	p, quota := startWithQuota(t)
	work(t, p, 1)
	series := exported(t, p)
	shown := map[string]bool{}
	for _, expr := range expressions(t) {
		names := metricName.FindAllString(braces.ReplaceAllString(expr, ""), -1)
		require.NotEmpty(t, names, expr)
		for _, name := range names {
			shown[name] = true
			if quota || !strings.HasPrefix(name, "executor_cpu_") {
				require.Contains(t, series, name, "in %s", expr)
			}
		}
	}
	for name := range series {
		if strings.HasPrefix(name, "executor_") && !strings.HasSuffix(name, "_sum") && !strings.HasSuffix(name, "_count") {
			require.True(t, shown[name], "no panel shows %s", name)
		}
	}
}

// TestPrometheus_Scrapes asks a real Prometheus, with the configuration beside this file, for each of the dashboard's
// expressions, and for numbers that are known.
func TestPrometheus_Scrapes(t *testing.T) {
	prometheus := tool(t, "prometheus")
	p, quota := startWithQuota(t)
	const n = 10
	work(t, p, n)

	text, err := os.ReadFile("prometheus.yml")
	require.NoError(t, err)
	config := string(text)
	for from, to := range map[string]string{"127.0.0.1:8081": strings.TrimPrefix(p.admin, "http://"), "5s": "500ms"} {
		require.Equal(t, 1, strings.Count(config, from), "%s in prometheus.yml", from)
		config = strings.Replace(config, from, to, 1)
	}
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(config), 0o644))
	api := startPrometheus(t, prometheus, dir)

	stats := exported(t, p)
	require.Equal(t, float64(2*n), stats["http_server_request_duration_seconds_count"])
	for q, want := range map[string]float64{
		`sum(http_server_request_duration_seconds_count{http_response_status_code="200"})`: 2 * n,
		`sum(http_server_request_duration_seconds_count{http_route="/thumbnail"})`:         n,
		`sum(executor_task_submitted_total{executor_name="service"})`:                      stats["executor_task_submitted_total"],
		`sum(executor_task_completed_total) - sum(executor_task_submitted_total)`:          0,
		`sum(executor_slot_count) - sum(executor_slot_limit)`:                              0,
		`max(executor_queue_capacity)`:                                                     64,
	} {
		require.Equal(t, []float64{want}, query(t, api, q), q)
	}
	require.GreaterOrEqual(t, stats["executor_task_submitted_total"], float64(2*n), "a request is a task, or more")
	for _, expr := range expressions(t) {
		if quota || !strings.Contains(expr, "executor_cpu_") {
			require.NotEmpty(t, query(t, api, expr), expr)
		}
	}
}

// startPrometheus runs a Prometheus with the prometheus.yml in dir until the test ends, and returns its URL.
func startPrometheus(t *testing.T, prometheus, dir string) string {
	t.Helper()
	cmd := exec.Command(prometheus, "--config.file=prometheus.yml", "--storage.tsdb.path=data", "--web.listen-address=127.0.0.1:0")
	cmd.Dir = dir
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return listening(t, stderr)
}

// listening returns the URL of a Prometheus that writes its log to stderr.
func listening(t *testing.T, stderr io.Reader) string {
	t.Helper()
	address := make(chan string, 1)
	go func() {
		defer close(address)
		found := regexp.MustCompile(`msg="Listening on" address=(\S+)`)
		for lines := bufio.NewScanner(stderr); lines.Scan(); { // to the end: a full pipe would stop it
			if m := found.FindStringSubmatch(lines.Text()); m != nil {
				address <- m[1]
			}
		}
	}()
	select {
	case a, ok := <-address:
		require.True(t, ok, "prometheus ended")
		return "http://" + a
	case <-time.After(patience):
		require.Fail(t, "prometheus does not listen")
		return ""
	}
}

// query returns the values of an instant query, as soon as there are any.
func query(t *testing.T, api, expr string) []float64 {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		status, text, err := get(api + "/api/v1/query?query=" + url.QueryEscape(expr))
		var answer struct {
			Error string
			Data  struct {
				Result []struct{ Value [2]any } // time and value
			}
		}
		if err == nil && status != http.StatusServiceUnavailable { // it is starting
			require.NoError(t, json.Unmarshal([]byte(text), &answer), text)
			require.Equal(t, http.StatusOK, status, "%s: %s", expr, answer.Error)
		}
		if len(answer.Data.Result) > 0 || time.Now().After(deadline) {
			var values []float64
			for _, r := range answer.Data.Result {
				value, err := strconv.ParseFloat(r.Value[1].(string), 64)
				require.NoError(t, err)
				values = append(values, value)
			}
			slices.Sort(values)
			return values
		}
	}
}
