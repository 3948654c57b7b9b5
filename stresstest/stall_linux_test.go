package stresstest

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/internal/cgotest"
	"github.com/seed-97bda89a/executor/internal/cgroup/cgrouptest"
	"github.com/seed-97bda89a/executor/internal/testkit"
	"github.com/stretchr/testify/require"
)

// What computes in C gets no second slot, whatever is left to the process; what waits in C gets one, all the same.

const burnEnv = "EXECUTOR_TEST_BURN" // how long, as 2s

// burn has many tasks compute in C for a while and checks how many did at once.
func burn(t *testing.T, e *executor.Executor) {
	lasts := 2 * time.Second
	if text := os.Getenv(burnEnv); text != "" {
		var err error
		lasts, err = time.ParseDuration(text)
		require.NoError(t, err)
	}
	slots := e.Stats().Slots
	var p peak
	var done atomic.Bool
	task := func(ctx context.Context) {
		p.Enter()
		defer p.Leave()
		for start := time.Now(); time.Since(start) < 200*time.Millisecond && !done.Load(); {
			cgotest.Burn(50 * time.Millisecond)
		}
	}
	for range 96 {
		require.NoError(t, e.Go(context.Background(), task))
	}
	for start := time.Now(); time.Since(start) < lasts; {
		require.NoError(t, e.Go(context.Background(), task)) // waits for room, in the end
		time.Sleep(20 * time.Millisecond)
	}
	done.Store(true)
	require.NoError(t, e.Quiesce(context.Background()))
	s := e.Stats()
	t.Logf("%d slots, at most %d at once, %d lent", slots, p.Max(), s.Compensated)
	require.LessOrEqual(t, p.Max(), int64(slots+1), "%+v", s)
}

// wait has tasks wait in C, more than there are slots: all have to get in.
func wait(t *testing.T, e *executor.Executor) {
	const n = 12
	cgotest.Shut()
	var in atomic.Int64
	for range n {
		require.NoError(t, e.Go(context.Background(), func(context.Context) { in.Add(1); cgotest.Hold() }))
	}
	for start := time.Now(); in.Load() < n; time.Sleep(time.Millisecond) {
		require.Less(t, time.Since(start), guard, "%d of %d are in: %+v", in.Load(), n, e.Stats())
	}
	cgotest.Open()
	require.NoError(t, e.Quiesce(context.Background()))
}

func burnAndWait(t *testing.T, opts ...executor.Option) {
	if cgotest.Missing != "" {
		t.Skip(cgotest.Missing)
	}
	e, err := executor.New(append(opts, executor.WithQueueLimit(4096))...)
	require.NoError(t, err)
	defer func() { require.NoError(t, e.Close()) }()
	wait(t, e)
	burn(t, e)
	wait(t, e)
}

// litter keeps a garbage collector at work until stop is closed.
func litter(stop <-chan struct{}) {
	var keep [64][]*[64]int
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		default:
		}
		some := make([]*[64]int, 256)
		for j := range some {
			some[j] = new([64]int)
		}
		keep[i%len(keep)] = some
		time.Sleep(time.Millisecond)
	}
}

func TestStall_ComputingInCUnderAQuota(t *testing.T) {
	if cgrouptest.InChild() {
		runtime.GOMAXPROCS(2)
		burnAndWait(t)
		burnAndWait(t, executor.WithSlots(2))
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() { litter(stop) })
		burnAndWait(t)
		close(stop)
		wg.Wait()
		return
	}
	for _, cpus := range []float64{1, 1.5, 2} {
		t.Run(strconv.FormatFloat(cpus, 'g', -1, 64), func(t *testing.T) {
			g := cgrouptest.New(t, "")
			g.SetQuota(cpus)
			g.Run()
		})
	}
}

var burnOnOneProcessor = child("burn on one processor", func() {
	t := &testing.T{}
	cgrouptest.SetAffinity(t, cgrouptest.Affinity(t)[:1])
	runtime.GOMAXPROCS(2)
	for _, opts := range [][]executor.Option{nil, {executor.WithSlots(1)}, {executor.WithSlots(3)}} {
		burnAndWait(t, opts...)
	}
	if t.Failed() {
		os.Exit(1)
	}
})

func TestStall_ComputingInCOnOneProcessor(t *testing.T) {
	_, stderr, code := runChild(t, burnOnOneProcessor)
	require.Zero(t, code, stderr)
}

func TestStall_ComputingInCWithFewSlots(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	burnAndWait(t, executor.WithSlots(1))
	burnAndWait(t, executor.WithSlots(2))
}

var busyProcess = child("busy", func() {
	for range 2 * runtime.NumCPU() {
		go func() {
			for {
			}
		}()
	}
	_, _ = os.Stdin.Read(make([]byte, 1))
})

func TestStall_ComputingInCBesideABusyProcess(t *testing.T) {
	other := exec.Command(os.Args[0])
	other.Env = append(os.Environ(), testkit.ChildEnv+"="+busyProcess)
	hangUp, err := other.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, other.Start())
	defer func() {
		_ = hangUp.Close()
		_ = other.Process.Kill()
		_ = other.Wait()
	}()
	burnAndWait(t, executor.WithSlots(1))
	burnAndWait(t, executor.WithSlots(2))
}
