//go:build linux

package stresstest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/internal/cgroup"
	"github.com/seed-97bda89a/executor/internal/cgroup/cgrouptest"
	"github.com/stretchr/testify/require"
)

// What a size above the quota costs: the same CPU-bound tasks in the same cgroup, run by an executor
// that follows the quota and by a pool of GOMAXPROCS goroutines. As root:
//
//	go test -run '^$' -bench CgroupThrottling -benchtime 5x .
//
// With from=inside there are always quotaBenchLoad tasks, each of which submits the next when it ends.
// With from=outside one goroutine submits and waits for room, so it wakes up beside the tasks and has its
// share of the quota.
//
// Each iteration is a process of its own that works for quotaBenchTime. tasks/s is the throughput,
// throttled-% the part of the scheduler's periods in which the kernel stopped the process, and
// stopped-ms/s for how long, added up over the CPUs. late-ms is how late a goroutine that sleeps for 10
// milliseconds at a time has woken at worst: what a request sees that comes at the wrong moment.
func BenchmarkCgroupThrottling(b *testing.B) {
	for _, cpus := range []float64{1, 1.5, 1.9} {
		for _, pool := range []string{"inside executor", "inside gomaxprocs", "outside executor", "outside gomaxprocs"} {
			from, name, _ := strings.Cut(pool, " ")
			b.Run(fmt.Sprintf("quota=%v/from=%s/pool=%s", cpus, from, name), func(b *testing.B) {
				var sum quotaBenchResult
				for b.Loop() {
					r := runQuotaBench(b, cpus, pool)
					sum.Tasks += r.Tasks
					sum.Seconds += r.Seconds
					sum.Throttling.Periods += r.Throttling.Periods
					sum.Throttling.Throttled += r.Throttling.Throttled
					sum.Throttling.Time += r.Throttling.Time
					sum.Late = max(sum.Late, r.Late)
				}
				b.ReportMetric(float64(sum.Tasks)/sum.Seconds, "tasks/s")
				b.ReportMetric(100*float64(sum.Throttling.Throttled)/float64(max(1, sum.Throttling.Periods)), "throttled-%")
				b.ReportMetric(float64(sum.Throttling.Time.Milliseconds())/sum.Seconds, "stopped-ms/s")
				b.ReportMetric(float64(sum.Late.Milliseconds()), "late-ms")
				b.ReportMetric(0, "ns/op") // says nothing here
			})
		}
	}
}

const (
	quotaBenchTime = 3 * time.Second
	quotaBenchLoad = 64
	quotaBenchPool = "EXECUTOR_TEST_QUOTA_POOL"
)

type quotaBenchResult struct {
	Tasks      int64
	Seconds    float64
	Throttling executor.Throttling
	Late       time.Duration
}

func runQuotaBench(b *testing.B, cpus float64, pool string) (r quotaBenchResult) {
	b.Helper()
	g := cgrouptest.New(b, "")
	g.SetQuota(cpus)
	// Only the quota is to hold it up, not what else the machine does.
	if g.V1 {
		g.Write("cpu.shares", "262144")
	} else {
		g.Write("cpu.weight", "10000")
	}
	cmd := g.Command(quotaBenchPool + "=" + pool)
	cmd.Args[len(cmd.Args)-1] = "-test.run=^TestCgroup_ThrottlingBenchmarkChild$"
	out, err := cmd.CombinedOutput()
	require.NoError(b, err, "%s", out)
	_, text, ok := strings.Cut(string(out), cgrouptest.Answer)
	require.True(b, ok, "%s", out)
	text, _, _ = strings.Cut(text, "\n")
	require.NoError(b, json.Unmarshal([]byte(text), &r))
	g.Remove()
	return r
}

// The other half of BenchmarkCgroupThrottling, as benchmarks have no child processes.
func TestCgroup_ThrottlingBenchmarkChild(t *testing.T) {
	pool := os.Getenv(quotaBenchPool)
	if pool == "" {
		t.Skip("part of BenchmarkCgroupThrottling")
	}
	q := cgroup.NewReader()
	defer q.Close()
	var tasks atomic.Int64
	stop := make(chan struct{})
	var helpers sync.WaitGroup
	var late time.Duration
	helpers.Go(func() {
		for {
			start := time.Now()
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
				late = max(late, time.Since(start)-10*time.Millisecond)
			}
		}
	})

	before, ok := q.Throttling()
	require.True(t, ok)
	start := time.Now()
	running := func() bool { return time.Since(start) < quotaBenchTime }
	work := func() bool {
		churn()
		tasks.Add(1)
		return running()
	}
	from, name, _ := strings.Cut(pool, " ")
	submit, finish := channelPool(runtime.GOMAXPROCS(0))
	if name == "executor" {
		finish()
		e, err := executor.New()
		require.NoError(t, err)
		submit = func(ctx context.Context, f func(context.Context)) {
			if err := e.Go(ctx, f); err != nil {
				t.Errorf("Go: %v", err)
			}
		}
		finish = func() { require.NoError(t, e.Shutdown(t.Context())) }
	}
	if from == "inside" {
		var alive sync.WaitGroup
		alive.Add(quotaBenchLoad)
		var task func(context.Context)
		task = func(ctx context.Context) {
			if work() {
				submit(ctx, task)
			} else {
				alive.Done()
			}
		}
		for range quotaBenchLoad {
			submit(t.Context(), task)
		}
		alive.Wait()
	} else {
		for running() {
			submit(t.Context(), func(context.Context) {
				if running() {
					work()
				}
			})
		}
	}
	seconds := time.Since(start).Seconds()
	after, _ := q.Throttling()
	finish()
	close(stop)
	helpers.Wait()
	text, err := json.Marshal(quotaBenchResult{tasks.Load(), seconds, executor.Throttling{
		Periods:   after.Periods - before.Periods,
		Throttled: after.Throttled - before.Throttled,
		Time:      after.Time - before.Time,
	}, late})
	require.NoError(t, err)
	fmt.Printf("%s%s\n", cgrouptest.Answer, text)
}

// channelPool is the usual pool: so many goroutines that receive from a channel.
func channelPool(workers int) (submit func(context.Context, func(context.Context)), finish func()) {
	var all sync.WaitGroup
	queue := make(chan func(context.Context), 1024)
	for range workers {
		all.Go(func() {
			for f := range queue {
				f(context.Background())
			}
		})
	}
	return func(_ context.Context, f func(context.Context)) { queue <- f },
		func() { close(queue); all.Wait() }
}

var churned atomic.Uint64

// churn is a fixed amount of work, some tens of microseconds.
func churn() {
	x := uint64(88172645463325252)
	for range 50_000 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	churned.Store(x)
}
