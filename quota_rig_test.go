package executor

import (
	"context"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-97bda89a/executor/internal/cgroup"
	"github.com/seed-97bda89a/executor/internal/cgroup/cgrouptest"
	"github.com/stretchr/testify/require"
)

// What tests of sizing have instead of a real quota: a tree of files that says what it is.

// quotaRig is an executor that sees a cgroup with a quota that the test sets, and 8 processors. No
// test that uses it runs in parallel, and most run in a bubble.
type quotaRig struct {
	*Executor
	t     *testing.T
	f     cgrouptest.Fixture
	looks atomic.Int64 // calls of the rounding function: one for each look at the quota
	mu    sync.Mutex
	log   []string
}

func newQuotaRig(t *testing.T, cpus string, opts ...Option) *quotaRig {
	t.Helper()
	r := &quotaRig{t: t, f: cgrouptest.Load(t, "v2-namespace")}
	r.set(cpus)
	procs := runtime.GOMAXPROCS(8)
	t.Cleanup(func() { runtime.GOMAXPROCS(procs) })
	e, err := New(append([]Option{
		option(func(c *config) {
			c.reader = func() *cgroup.Reader { return cgroup.NewReaderAt(r.f.Root) }
			c.bootstrap = func() (float64, bool) { return 0, false }
		}),
		WithQuotaRounding(func(cpus float64) int {
			r.looks.Add(1)
			return int(cpus)
		}),
		WithLogger(slog.New(r)),
		WithStallDetection(false),
	}, opts...)...)
	require.NoError(t, err)
	r.Executor = e
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	return r
}

// set changes the quota, in hundredths of a CPU.
func (r *quotaRig) set(percent string) { r.f.Write(r.t, "sys/fs/cgroup/cpu.max", percent+" 100\n") }

// The rig is the handler of its own log.
func (r *quotaRig) Enabled(context.Context, slog.Level) bool { return true }

func (r *quotaRig) WithAttrs([]slog.Attr) slog.Handler { return r }

func (r *quotaRig) WithGroup(string) slog.Handler { return r }

func (r *quotaRig) Handle(_ context.Context, record slog.Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	line := record.Level.String() + " " + record.Message
	record.Attrs(func(a slog.Attr) bool { line += " " + a.String(); return true })
	r.log = append(r.log, line)
	return nil
}

func (r *quotaRig) logged() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log
}

// use keeps a slot in use until the returned function is called.
func (r *quotaRig) use() (stop func()) {
	r.t.Helper()
	ch := make(chan struct{})
	stop = sync.OnceFunc(func() { close(ch) })
	r.t.Cleanup(stop) // before Close
	require.NoError(r.t, r.Go(context.Background(), func(context.Context) { <-ch }))
	return stop
}

// wait lets fake time pass.
func wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
