package executortest

import (
	"context"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/internal/seeds"
)

// Explore runs fn again and again, each time with another order of what the tasks of its executor do, and fails the test
// with the first order in which fn fails: in which it calls t.Error or t.Fatal, panics, deadlocks, or leaves a task or a
// goroutine behind. The failing order is made as simple as possible and printed, after the messages of fn, with a line that
// plays it again.
//
// Each run is in a bubble of testing/synctest of its own, so time is fake, and Explore must not be called inside one. Of
// all tasks, and of fn itself, one goes on at a time, up to its next point: where a task begins and ends, submits, forks,
// waits for another one (Wait, Join, Receive, Send, WaitFor, Lock), enters and leaves Blocking, and at Checkpoint and Yield.
// Between two points nothing of another task happens, unless a channel or a lock of the program's own wakes it. So let tasks
// call Checkpoint between steps that others may see half done. When fn has returned the executor is shut down, and
// tasks that still run are waited for.
//
// fn must depend on nothing but its executor, its t and the bubble's time: each seed is run twice, and it is an error if the
// two differ. Random numbers come from Rand. A lock that a task holds at a point must be taken with executor.Lock: if somebody
// waits in sync.Mutex.Lock for a task that is at a point, the test fails, and says who that may be.
//
// With EXECUTOR_REPLAY or EXECUTOR_SEED in the environment only that schedule, or only that seed, is run. Under the race
// detector a data race is a failure too: that all takes turns hides none.
func Explore(t *testing.T, fn func(t *testing.T, e *executor.Executor), opts ...Option) {
	t.Helper()
	x := &exploration{config: seeds.Config{Last: 99}}
	for _, o := range opts {
		o(x)
	}
	x.fromEnvironment()
	switch {
	case x.problem != "":
		t.Fatal("executortest: " + x.problem)
	case fn == nil:
		t.Fatal("executortest: Explore: nil function")
	case x.replay != nil:
		play(t, x.config, fn, *x.replay)
		return
	}
	v := seeds.Explore(t, x.config, fn)
	switch {
	case v.Skipped:
		t.SkipNow()
	case v.Kind == seeds.Undetermined:
		t.Fatalf("executortest: seed %d: %s", v.Seed, v.Text)
	case v.Kind == seeds.Passed && v.All:
		t.Logf("executortest: all %d schedules pass", v.Runs/2)
	case v.Kind == seeds.Passed && x.config.Exhaustive > 0:
		t.Logf("executortest: %d schedules pass; there are more: Exhaustive(%d)", v.Runs/2, x.config.Exhaustive)
	case v.Kind != seeds.Passed:
		steps := v.Show(t)
		t.Fatalf("executortest: seed %d fails: %s\nEXECUTOR_REPLAY='%v' go test -run '^%s$'\n%s", v.Seed, v.Text, v.Schedule, t.Name(), steps)
	}
}

// play runs one schedule.
func play(t *testing.T, c seeds.Config, fn seeds.Func, s seeds.Schedule) {
	t.Helper()
	v, steps := seeds.Play(t, c, fn, s)
	if !slices.Equal(v.Schedule.Turns, s.Turns) {
		t.Logf("executortest: this is not the program that the schedule is of: it could follow %v", v.Schedule)
	}
	if v.Kind != seeds.Passed {
		t.Fatalf("executortest: schedule %v fails: %s\n%s", s, v.Text, steps)
	}
	t.Logf("executortest: schedule %v passes\n%s", s, steps)
}

// Option changes what Explore tries.
type Option func(*exploration)

type exploration struct {
	config  seeds.Config
	replay  *seeds.Schedule
	problem string
}

// Seeds sets how many orders are tried. The first is always that in which each task goes on until it has to wait, and the
// others follow in the order in which they came. Default: 100.
func Seeds(n int) Option {
	return func(x *exploration) {
		if n < 1 {
			x.problem = "Seeds(" + strconv.Itoa(n) + "): must be at least 1"
		}
		x.config.Last = uint64(n - 1)
	}
}

// PCT chooses the order by random priorities, which change at depth-1 random steps, instead of choosing anew at each step: see
// Burckhardt et al., A randomized scheduler with probabilistic guarantees of finding bugs (ASPLOS 2010). Of n tasks and k steps a bug for which
// depth steps must come in a certain order is found by each seed with a probability of at least 1/(n*k^(depth-1)). It is for
// tests with many tasks and points; in small ones the default is quicker. depth is at least 1; most bugs have 2 or 3.
func PCT(depth int) Option {
	return func(x *exploration) {
		if depth < 1 {
			x.problem = "PCT(" + strconv.Itoa(depth) + "): must be at least 1"
		}
		x.config.PCT = depth
	}
}

// Exhaustive tries every order, each once, instead of seeds. It is for two or three tasks with few points: their number grows
// exponentially. After max schedules it stops and says so in the test's log; the test passes then.
func Exhaustive(max int) Option {
	return func(x *exploration) {
		if max < 1 {
			x.problem = "Exhaustive(" + strconv.Itoa(max) + "): must be at least 1"
		}
		x.config.Exhaustive = max
	}
}

// Slots sets how many tasks run at once, as executor.WithSlots does. Default: as many as there are.
func Slots(n int) Option {
	return func(x *exploration) {
		if n < 1 {
			x.problem = "Slots(" + strconv.Itoa(n) + "): must be at least 1"
		}
		x.config.Slots = n
	}
}

// Options makes the executor of each run with these options: lanes, a name, a panic handler. There is a runner for each task
// whatever they say, so a queue limit is never reached, and spares and stall detection change nothing. executor.WithSlots is Slots.
func Options(opts ...executor.Option) Option {
	return func(x *exploration) { x.config.Options = append(x.config.Options, opts...) }
}

// Replay runs one schedule only: what EXECUTOR_REPLAY says in the output of a test that failed.
func Replay(schedule string) Option {
	return func(x *exploration) { x.setReplay(schedule) }
}

// Rand returns random numbers for the task that calls it: the same for each run of a seed, whatever the order of the tasks.
// Only that task may use them. Outside of Explore they are any.
func Rand(ctx context.Context) *rand.Rand { return seeds.Rand(ctx) }

func (x *exploration) setReplay(text string) {
	s, err := seeds.Parse(text)
	if err != nil {
		x.problem = err.Error()
	}
	x.replay = &s
}

func (x *exploration) fromEnvironment() {
	if text, ok := os.LookupEnv("EXECUTOR_SEED"); ok {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			x.problem = "EXECUTOR_SEED=" + text + ": must be a number"
		}
		x.config.First, x.config.Last, x.config.Exhaustive = seed, seed, 0
		x.replay = nil
	}
	if text, ok := os.LookupEnv("EXECUTOR_REPLAY"); ok {
		x.setReplay(text)
	}
}
