// Package door is what the packages below compat have in common: it runs functions on an executor that
// must run, and at once if their pool says so, also where the executor is full, stands still or is closed.
package door

import (
	"context"
	"errors"
	"runtime"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/internal/crash"
)

// Job is something to run. Run is called once. ctx is a task's, or the background if the job got a
// goroutine of its own.
type Job interface{ Run(ctx context.Context) }

// Desk takes jobs and gives them to an executor, oldest first. What it takes will run:
//
//   - The queue is the desk's. The executor gets a token for each job, and a token takes the oldest job when its
//     turn comes. So whoever takes a job from the queue has it, and nothing has to be claimed twice.
//   - When the executor's queue is full, one goroutine, the feeder, waits for room on behalf of all jobs.
//   - While jobs are queued, the desk looks every 2 ms. When fewer goroutines compute than there are slots, then what has the
//     slots waits and did not say so, and everything gets a goroutine. When none has started for a while although they
//     compute, one gets a goroutine, and twice as many after each further while.
//   - When the executor is closed, everything gets a goroutine.
//
// A panic in a job ends the process, as after a go statement, whatever panic handler the executor has.
type Desk struct {
	e      *executor.Executor
	strays *atomic.Uint64 // counts the jobs that got a goroutine
	token  func(context.Context)

	// With firm, the while is 10 ms: the pool promised to run so many at once. Without, it is a second: when
	// the processors are busy the executor has reason to keep jobs waiting.
	firm bool

	mu      sync.Mutex
	queue   Queue[Job]
	idle    int  // tokens accepted that have not taken a job
	busy    int  // tokens that run one
	room    int  // busy and queued together; beyond it a job gets a goroutine at once. 0: no bound
	feeding bool // the feeder lives
	closed  bool // the executor takes no more
	watch
}

// watch is what the desk knows from its last look. It belongs to Desk.mu, and while armed to look.
type watch struct {
	timer *time.Timer
	armed bool
	taken uint64 // jobs that left the queue
	seen  uint64 // taken at the last look
	still int    // looks since then that found nothing changed
	step  int    // goroutines to start next time
}

const (
	lookEvery = 2 * time.Millisecond

	// grace is how many looks a job with a permit waits while nothing starts, and patience how many one waits
	// without: 10 ms and a second.
	grace    = 5
	patience = 500

	// maxStep bounds how many goroutines one look starts for jobs that stand still.
	maxStep = 1 << 16
)

// tokenContext is the context of tokens. The jobs have nothing of the submitter's context: they always start.
var tokenContext = crash.Context(context.Background())

// New returns a desk for e. It counts in strays the jobs that ran as plain goroutines.
func New(e *executor.Executor, firm bool, room int, strays *atomic.Uint64) *Desk {
	d := &Desk{e: e, strays: strays, firm: firm, room: room}
	d.token = d.serve
	return d
}

// Executor returns the desk's executor.
func (d *Desk) Executor() *executor.Executor { return d.e }

// SetRoom changes how many jobs may be on the executor at once.
func (d *Desk) SetRoom(n int) {
	d.mu.Lock()
	d.room = n
	d.mu.Unlock()
}

// Start takes a job. It never waits.
func (d *Desk) Start(j Job) {
	d.mu.Lock()
	if d.closed || d.room > 0 && d.busy+d.queue.Len() >= d.room {
		d.mu.Unlock()
		d.stray(j)
		return
	}
	d.queue.Push(j)
	d.idle++
	if !d.armed {
		d.arm()
	}
	feeding := d.feeding
	if feeding {
		d.idle-- // the feeder makes up for it, in order
	}
	d.mu.Unlock()
	if feeding {
		return
	}
	if err := d.e.TryGo(tokenContext, d.token); err != nil {
		d.mu.Lock()
		d.idle--
		feed := !d.feeding
		d.feeding = true
		d.mu.Unlock()
		if feed {
			go d.feed()
		}
	}
}

// feed waits for room in the executor's queue, until there is a token for each job.
func (d *Desk) feed() {
	for {
		d.mu.Lock()
		if d.queue.Len() <= d.idle {
			d.feeding = false
			d.mu.Unlock()
			return
		}
		d.idle++
		d.mu.Unlock()
		if d.e.Go(tokenContext, d.token) != nil {
			d.shut()
			return
		}
	}
}

// shut gives everything a goroutine from now on: the executor is closed.
func (d *Desk) shut() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	for {
		j := d.take()
		if j == nil {
			return
		}
		d.stray(j)
	}
}

// take removes the oldest job from the queue, or returns nil.
func (d *Desk) take() Job {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.queue.Len() == 0 {
		return nil
	}
	d.taken++
	return d.queue.Pop()
}

// serve is a token whose turn it is. It goes on as long as there are more jobs than tokens.
func (d *Desk) serve(ctx context.Context) {
	d.mu.Lock()
	d.idle--
	for d.queue.Len() > 0 {
		d.taken++
		j := d.queue.Pop()
		d.busy++
		d.mu.Unlock()
		d.run(ctx, j)
		d.mu.Lock()
		if d.queue.Len() <= d.idle {
			break
		}
		d.mu.Unlock()
		executor.Checkpoint(ctx)
		d.mu.Lock()
	}
	d.mu.Unlock()
}

func (d *Desk) run(ctx context.Context, j Job) {
	defer func() {
		d.mu.Lock()
		d.busy--
		d.mu.Unlock()
	}()
	j.Run(ctx)
}

// stray runs a job on a goroutine of its own.
func (d *Desk) stray(j Job) {
	d.strays.Add(1)
	go j.Run(context.Background())
}

// arm starts the looks. Caller holds d.mu.
func (d *Desk) arm() {
	d.armed = true
	d.seen, d.still, d.step = d.taken, 0, 1
	if d.timer == nil {
		d.timer = time.AfterFunc(lookEvery, d.look)
		return
	}
	d.timer.Reset(lookEvery)
}

// look gives jobs that wait for nothing but a slot a goroutine.
func (d *Desk) look() {
	d.mu.Lock()
	queued := d.queue.Len()
	if queued == 0 {
		d.armed = false
		d.mu.Unlock()
		return
	}
	moved := d.taken != d.seen
	d.mu.Unlock()

	for range d.overdue(queued, moved) {
		j := d.take()
		if j == nil {
			break
		}
		d.stray(j)
	}
	d.mu.Lock()
	d.seen = d.taken
	d.timer.Reset(lookEvery)
	d.mu.Unlock()
}

// overdue returns how many jobs should get a goroutine, of those that are queued.
func (d *Desk) overdue(queued int, moved bool) int {
	if !computing(d.e) {
		d.still = 0
		d.probe()
		return queued // what has the slots waits, and did not say so
	}
	if moved {
		d.still, d.step = 0, 1
		return 0
	}
	n := d.stands(d.firm)
	if n > 0 {
		d.probe()
	}
	return n
}

// stands counts a look that found nothing changed, and returns how many jobs should get a goroutine now.
func (w *watch) stands(firm bool) int {
	w.still++
	enough := patience
	if firm {
		enough = grace
	}
	if w.still%enough != 0 {
		return 0
	}
	n := w.step
	w.step = min(2*n, maxStep)
	return n
}

// probe finds out whether the executor is closed: tokens that it dropped never come back. One token more does no harm.
func (d *Desk) probe() {
	d.mu.Lock()
	d.idle++
	d.mu.Unlock()
	err := d.e.TryGo(tokenContext, d.token)
	if err == nil {
		return
	}
	d.mu.Lock()
	d.idle--
	d.mu.Unlock()
	if errors.Is(err, executor.ErrClosed) {
		d.shut()
	}
}

// computing reports whether as many goroutines of the process compute, or wait for a processor, as the executor could
// keep busy. The caller is one more that runs.
func computing(e *executor.Executor) bool {
	samples := [...]metrics.Sample{{Name: "/sched/goroutines/running:goroutines"}, {Name: "/sched/goroutines/runnable:goroutines"}}
	metrics.Read(samples[:])
	active := uint64(0)
	for _, s := range samples {
		if s.Value.Kind() != metrics.KindUint64 {
			return true // unknown
		}
		active += s.Value.Uint64()
	}
	return active > uint64(min(runtime.GOMAXPROCS(0), e.Stats().Slots))
}
