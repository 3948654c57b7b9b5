package executor

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor/internal/cgroup"
	"github.com/seed-97bda89a/executor/internal/cgroup/cgrouptest"
	"github.com/stretchr/testify/require"
)

// soakTime is how long TestSoak runs: EXECUTOR_SOAK, or short without it.
func soakTime(t *testing.T) time.Duration {
	if text := os.Getenv("EXECUTOR_SOAK"); text != "" {
		d, err := time.ParseDuration(text)
		require.NoError(t, err, "EXECUTOR_SOAK")
		return d
	}
	if os.Getenv("CI") == "true" {
		return 10 * time.Second
	}
	return 2 * time.Second
}

// TestSoak mixes everything for as long as one likes, at several GOMAXPROCS in turn: programs of FuzzTree from
// random numbers, one after another on executors of their own and many at once on one whose size and CPU quota
// change, that stalls and is collected meanwhile, with a watchdog that looks for a free slot beside queued work (P0).
func TestSoak(t *testing.T) {
	const phases = 4
	total := soakTime(t)
	seed := rand.Uint64()
	t.Logf("%v, seed %d", total, seed)
	for i, procs := range []int{1, 2, 4, 16} {
		t.Run(fmt.Sprintf("GOMAXPROCS=%d", procs), func(t *testing.T) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
			rng := rand.New(rand.NewPCG(seed, uint64(i)))
			end := time.Now().Add(total / phases)
			rounds := 0
			for first := true; first || time.Now().Before(end); first = false {
				crowdOfSubmitters(t, many(20_000))
				soakTogether(t, rng, min(time.Until(end)/2, 10*time.Second))
				rounds += soakAlone(t, rng, min(time.Until(end), 10*time.Second))
			}
			t.Logf("%d programs on executors of their own", rounds)
		})
	}
}

// soakAlone runs programs, each on an executor that is made and ended for it.
func soakAlone(t *testing.T, rng *rand.Rand, long time.Duration) (rounds int) {
	for start := time.Now(); time.Since(start) < long; rounds++ {
		data := randomProgram(rng)
		if complaints := runTree(data); len(complaints) > 0 {
			t.Fatalf("the program %#v: %q", data, complaints)
		}
	}
	return rounds
}

func randomProgram(rng *rand.Rand) []byte {
	data := make([]byte, 4+rng.IntN(80))
	for i := range data {
		data[i] = byte(rng.Uint32())
	}
	return data
}

// harass, if it is there, makes an executor's life hard until stop is closed. It is what chaos_test.go sets.
var harass func(e *Executor, stop <-chan struct{})

// soakTogether runs programs from several goroutines on one executor. It stays open between them.
func soakTogether(t *testing.T, rng *rand.Rand, long time.Duration) {
	var handled atomic.Int64
	quota := cgrouptest.Load(t, "v2-namespace")
	shared := treeConfig{keepAlive: time.Millisecond, lanes: rng.IntN(2) == 0}
	e := newTested(t, append(shared.options(), WithMaxSpares(8), WithQueueLimit(64), WithBudget(time.Millisecond),
		WithPanicHandler(func(context.Context, *PanicError) { handled.Add(1) }),
		option(func(c *config) { c.reader = func() *cgroup.Reader { return cgroup.NewReaderAt(quota.Root) } }))...)
	NearOverflow(e)
	watchdog := time.AfterFunc(long+2*patience, func() {
		panic(fmt.Sprintf("the executor does not come to rest: %+v\n%s", e.Stats(), allStacks()))
	})
	defer watchdog.Stop()
	stop := make(chan struct{})
	var drivers, helpers sync.WaitGroup
	var trees [3][]*tree
	for i := range trees {
		own := rand.New(rand.NewPCG(rng.Uint64(), 0))
		drivers.Go(func() {
			for start := time.Now(); time.Since(start) < long; {
				x := newTree(randomProgram(own))
				x.on(e)
				x.shared, x.conf.lanes = true, shared.lanes
				x.outside.Go(func() { x.run(context.Background(), &fate{}, outsider, x.program) })
				x.outside.wait()
				trees[i] = append(trees[i], x)
			}
		})
	}
	helpers.Go(func() { watchForLoss(e, stop) })
	if harass != nil {
		helpers.Go(func() { harass(e, stop) })
	}
	helpers.Go(func() {
		repeat(stop, 5*time.Millisecond, func() {
			if size := rand.IntN(7); size > 0 {
				_ = e.Resize(size)
				return
			}
			quota.Write(t, "sys/fs/cgroup/cpu.max", fmt.Sprintf("%d 100000\n", 50_000+rand.IntN(500_000)))
			_ = e.Resize(0) // follows the quota until the next turn
		})
	})
	helpers.Go(func() { repeat(stop, 10*time.Millisecond, runtime.GC) })
	helpers.Go(func() {
		repeat(stop, 20*time.Millisecond, func() { // tasks that block without saying so
			for range 6 {
				if e.Stats().Queued > 16 {
					return // on busy processors nothing is lent for them, and they must not be all that runs
				}
				_ = e.TryGo(context.Background(), func(context.Context) { time.Sleep(15 * time.Millisecond) })
			}
		})
	})
	drivers.Wait()
	close(stop)
	helpers.Wait()
	all := slices.Concat(trees[:]...)
	for came := -1; came != waitForAll(all); { // goroutines start tasks, and tasks goroutines
		came = waitForAll(all)
		require.NoError(t, e.Quiesce(context.Background()))
	}
	for _, x := range all {
		if complaints := x.verdict(); len(complaints) > 0 {
			t.Errorf("the program %#v: %q", x.data, complaints)
		}
	}
	require.NoError(t, settled(e, patience))
	require.NoError(t, e.Close())
	require.NoError(t, settled(e, patience))
}

// waitForAll waits for the goroutines of trees, and returns how many there have been.
func waitForAll(trees []*tree) (came int) {
	for _, x := range trees {
		came += x.outside.wait()
	}
	return came
}

func repeat(stop <-chan struct{}, every time.Duration, fn func()) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			fn()
		}
	}
}

// watchForLoss fails if a slot is free beside queued work ten times in a row, 20 ms apart.
func watchForLoss(e *Executor, stop <-chan struct{}) {
	inARow := 0
	repeat(stop, 20*time.Millisecond, func() {
		if !FreeBesideWork(e) {
			inARow = 0
			return
		}
		if inARow++; inARow == 10 {
			panic(fmt.Sprintf("a slot is free beside queued work: word %#x, %+v\n%s", e.word.Load(), e.Stats(), allStacks()))
		}
	})
}

// crowdOfSubmitters lets so many goroutines wait for room while the garbage is collected, and checks that each
// of their tasks runs. With all of them on one mutex this took minutes: see waiter.
func crowdOfSubmitters(t *testing.T, n int) {
	e, free := busy(t, WithQueueLimit(8))
	var ran atomic.Int64
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			if err := e.Go(context.Background(), func(context.Context) { ran.Add(1) }); err != nil {
				t.Error(err)
			}
		})
	}
	for start := time.Now(); e.Stats().Waiting < n-8; time.Sleep(time.Millisecond) {
		require.Less(t, time.Since(start), 2*patience, "%+v", e.Stats())
	}
	stop, collected := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(collected)
		repeat(stop, time.Millisecond, runtime.GC)
	}()
	free()
	wg.Wait()
	close(stop)
	<-collected
	require.NoError(t, e.Shutdown(context.Background()))
	require.EqualValues(t, n, ran.Load())
	require.NoError(t, settled(e, patience))
}

// pipe sends to somebody else and receives an answer, or leaves.
func (x *tree) pipe(ctx context.Context, arg int) {
	ctx, cancel := context.WithTimeout(ctx, 100*time.Microsecond)
	defer cancel()
	there, back := make(chan int, arg&1), make(chan int)
	x.outside.Go(func() {
		if v, ok, err := Receive(ctx, there); ok && err == nil {
			_ = Send(ctx, back, v+1)
		}
	})
	if Send(ctx, there, arg) == nil {
		v, ok, err := Receive(ctx, back)
		x.check(err != nil || ok && v == arg+1, "an answer is %d, %v, %v", v, ok, err)
	}
}
