package executor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/seed-97bda89a/executor/internal/cgroup"
	"github.com/seed-97bda89a/executor/internal/seam"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// Option configures an Executor. Options are values without effect until New applies them.
type Option interface{ apply(*config) }

type option func(*config)

func (o option) apply(c *config) { o(c) }

const (
	maxSlots      = 4096
	maxSpareLimit = 1 << 16
)

type config struct {
	name       string
	slots      int // 0: follow the CPU quota
	round      func(float64) int
	queueLimit int                    // 0: 1024 per slot
	queueDelay func() delaying        // of WithQueueDelay, or nil
	lanes      func(*Executor) laning // of WithLanes, or nil
	reserved   int                    // in all of them
	maxSpares  int
	budget     time.Duration
	keepAlive  time.Duration
	detect     bool
	onStall    func(StallInfo)
	report     stallReport // nil unless onStall is there
	onPanic    func(context.Context, *PanicError)
	log        *slog.Logger
	meters     metric.MeterProvider
	tracers    trace.TracerProvider // nil: see Executor.tracer
	sampling   uint64               // one task in how many is measured; 0: none
	paced      bool                 // and, of those from one runner, not more than one in samplingGap
	problems   []error

	history     func(*Executor)         // of WithHistory, which alone refers to it; or nil
	taskMetrics func(*ledger, *account) // of WithTaskMetrics, which alone refers to it; or nil

	tickless  bool                   // the keeper does not tick, except for what attend is called for; only in tests
	liveness  time.Duration          // livenessAfter, except in tests
	blind     bool                   // as where the system does not tell about threads; only in tests
	reader    func() *cgroup.Reader  // cgroup.Shared, except in tests
	bootstrap func() (float64, bool) // cgroup.Bootstrap, except in tests
}

func newConfig(opts []Option) (config, error) {
	c := config{
		name:      "executor",
		maxSpares: 256,
		budget:    10 * time.Millisecond,
		keepAlive: 10 * time.Second,
		detect:    true,
		tickless:  seam.Tickless,
		liveness:  cmp.Or(seam.Liveness, livenessAfter),
		blind:     seam.Blind,
		log:       slog.New(slog.DiscardHandler),
		meters:    otel.GetMeterProvider(),
		sampling:  defaultSampling, paced: true,
		reader:    cgroup.Shared,
		bootstrap: cgroup.Bootstrap,
	}
	for i, o := range opts {
		if o == nil {
			c.problem("option %d is nil", i)
			continue
		}
		o.apply(&c)
	}
	if err := c.checkReserved(c.slots); c.slots > 0 && err != nil {
		c.problems = append(c.problems, err)
	}
	return c, errors.Join(c.problems...)
}

func (c *config) problem(format string, args ...any) {
	c.problems = append(c.problems, fmt.Errorf("executor: "+format, args...))
}

// WithName names the executor in metrics, logs and profiles. Two live executors never share a name:
// the second gets the suffix "-2". Default: "executor".
func WithName(name string) Option {
	return option(func(c *config) {
		if name == "" {
			c.problem(`WithName(""): must not be empty`)
		}
		c.name = name
	})
}

// WithSlots fixes the parallelism: how many tasks run at once, not counting those inside Blocking.
// 1 to 4096. Default: the CPU quota of the process, rounded down, at least 1 and at most GOMAXPROCS. It
// is read again, at most once a second, while tasks run, and the slots follow it up and down: see Sizing.
//
// WithSlots(1) is no mutual exclusion: while a task blocks, marked or not, another one runs (WithStallDetection), and a
// task that comes back from Blocking does not wait for the other one's end. Tasks that share data need a lock.
func WithSlots(n int) Option {
	return option(func(c *config) {
		if err := checkSlots("WithSlots", n); err != nil {
			c.problems = append(c.problems, err)
		}
		c.slots = n
	})
}

// WithQuotaRounding sets how a CPU quota, 1.5 say, becomes a number of slots. The result is kept between
// 1 and the lower of GOMAXPROCS and 4096. round is called by New and by Resize(0), and about once a
// second while tasks run, on a goroutine of its own: it must be quick and must not panic. Without a
// quota, and with WithSlots, it is not called. Default: math.Floor, for slots above the quota get no more
// done, they spend it early and the kernel then stops the whole process for the rest of a period.
func WithQuotaRounding(round func(cpus float64) int) Option {
	return option(func(c *config) {
		if round == nil {
			c.problem("WithQuotaRounding(nil): must be a function")
		}
		c.round = round
	})
}

func checkSlots(what string, n int) error {
	switch {
	case n < 1:
		return fmt.Errorf("executor: %s(%d): must be at least 1", what, n)
	case n > maxSlots:
		return fmt.Errorf("executor: %s(%d): must be at most %d", what, n, maxSlots)
	}
	return nil
}

// WithQueueLimit bounds the injector, the queue for tasks from outside, to n tasks. Beside it each
// slot's deque holds at most 256 children. A full queue makes Go wait and TryGo fail.
// Default: 1024 for each slot that the executor has when it is made.
func WithQueueLimit(n int) Option {
	return option(func(c *config) {
		if n < 1 {
			c.problem("WithQueueLimit(%d): must be at least 1", n)
		}
		c.queueLimit = n
	})
}

// WithMaxSpares bounds the runners beyond the slots, which stand in for blocked, waiting and yielded
// tasks: 0 to 65536. 0 means that a blocked task keeps its slot. Only where two executors wait for each other may there be
// more, while every task that has begun waits for tasks. Default: 256.
func WithMaxSpares(n int) Option {
	return option(func(c *config) {
		switch {
		case n < 0:
			c.problem("WithMaxSpares(%d): must be at least 0", n)
		case n > maxSpareLimit:
			c.problem("WithMaxSpares(%d): must be at most %d", n, maxSpareLimit)
		}
		c.maxSpares = n
	})
}

// WithBudget sets the time slice after which Checkpoint yields if other tasks wait. It is checked
// every 10 ms, or every d if that is shorter but not below 1 ms, and while no slot is free by the task's own
// Checkpoints too, about every 100 µs. Default: 10ms.
func WithBudget(d time.Duration) Option {
	return option(func(c *config) {
		if d <= 0 {
			c.problem("WithBudget(%v): must be above 0", d)
		}
		c.budget = d
	})
}

// WithKeepAlive sets how long a runner beyond the slots stays parked before it ends. Default: 10s.
func WithKeepAlive(d time.Duration) Option {
	return option(func(c *config) {
		if d < 0 {
			c.problem("WithKeepAlive(%v): must be at least 0", d)
		}
		c.keepAlive = d
	})
}

// WithStallDetection turns compensation for tasks that block outside of Blocking on or off. While tasks
// wait, no slot is free and the processors are not busy, a monitor lends extra slots, at most
// WithMaxSpares together with other spares. It looks every 10 ms, and never sees what blocks for less: a
// thousand unmarked calls of 5 ms run one after the other on each slot. So marked blocking is still better.
//
// What computes gets no second slot, in Go or in C, whatever the quota, the affinity and other processes leave it. For
// code in C and system calls that is known on Linux only, with up to 500 threads; elsewhere a task in one of them counts as
// computing, until nothing has moved for 5 s and the process uses less than a quarter of a processor. Default: true.
func WithStallDetection(on bool) Option {
	return option(func(c *config) { c.detect = on })
}

// WithOnStall sets a handler that is told, at most once a second, when tasks stand still while others
// wait: blocked outside of Blocking, computing past the budget without a Checkpoint, or blocked in any
// way when no spare is left to stand in. It takes about two budgets until a task is reported: one until
// it is asked to yield, and one in which it does not. The handler gets the stack of the oldest, to find
// the line to change. It runs on a goroutine of its own, one call at a time, and may take its time and call anything:
// Shutdown and Close do not wait for it. A panic in it crashes the process. Printing the stack stops the world for
// a moment. In a testing/synctest bubble it is told some 60 times of one standstill in which nothing can be lent, and
// then no more, so that a deadlock is reported. Default: none.
func WithOnStall(h func(StallInfo)) Option {
	return option(func(c *config) {
		if h == nil {
			c.problem("WithOnStall(nil): must be a function")
		}
		c.onStall, c.report = h, (*keeper).report
	})
}

// WithPanicHandler sets what happens to a panic in a task of Go or TryGo, which nobody waits for.
// The handler runs in the task, with the task's context; a panic inside it crashes the process.
// Default: a panic crashes the process, as after a go statement.
func WithPanicHandler(h func(ctx context.Context, p *PanicError)) Option {
	return option(func(c *config) {
		if h == nil {
			c.problem("WithPanicHandler(nil): must be a function")
		}
		c.onPanic = h
	})
}

// WithLogger sets where rare events go: panics nobody waits for, changes of size, slots lent. The handler is called by
// New and Resize, and else on a goroutine of its own, one record after another; beyond 64 that wait for a slow handler
// records are lost. So it may take its time and call anything: Shutdown and Close do not wait for it. Default: nowhere.
func WithLogger(l *slog.Logger) Option {
	return option(func(c *config) {
		if l == nil {
			c.problem("WithLogger(nil): must be a logger")
			return
		}
		c.log = l
	})
}

// WithMeterProvider sets the provider of the executor's metrics. Default: the global one of package
// otel; one that is installed later takes effect too.
func WithMeterProvider(mp metric.MeterProvider) Option {
	return option(func(c *config) {
		if mp == nil {
			c.problem("WithMeterProvider(nil): must be a provider")
			return
		}
		c.meters = mp
	})
}

// WithTracerProvider sets the provider of the tasks' spans. A task has a span if that of its parent context
// is sampled. Default: the provider of that span, or the global one of package otel if the span is of
// another process.
func WithTracerProvider(tp trace.TracerProvider) Option {
	return option(func(c *config) {
		if tp == nil {
			c.problem("WithTracerProvider(nil): must be a provider")
			return
		}
		c.tracers = tp
	})
}

func (c *config) tick() time.Duration {
	return max(time.Millisecond, min(c.budget, 10*time.Millisecond))
}
