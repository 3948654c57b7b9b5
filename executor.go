package executor

import (
	"context"
	"maps"
	"math"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-97bda89a/executor/internal/goid"
	"github.com/seed-97bda89a/executor/internal/meter"
	"github.com/seed-97bda89a/executor/internal/sched"
	"golang.org/x/sync/semaphore"
)

// Executor runs tasks on a bounded number of slots. Its methods may be called from any goroutine. The
// zero value is not usable; New makes one, and Shutdown or Close ends it.
type Executor struct {
	word  atomic.Uint64 // the state word, see park.go
	_     [120]byte
	slots atomic.Pointer[slotList] // all slots; written under idle.mu
	size  atomic.Int32             // slots that are not to be retired
	_     [112]byte

	inject injector

	idle   idle
	keeper keeper
	sizer  sizer
	group  crew // the keeper and all runners

	credits   *semaphore.Weighted // WithMaxSpares: runners beyond the slots
	visitors  visitors            // who may need more of them (B7)
	denied    atomic.Bool         // somebody was refused a credit since the last one came back
	stuck     stuckWaits          // who has to be told that
	reporting atomic.Bool         // the stall handler is running
	lastCall  atomic.Int64        // length of the last measured Blocking call, ns
	doubts    atomic.Int32        // short samples that count for nothing yet
	rotate    atomic.Uint32       // where retakers start to look
	seed      atomic.Uint64       // of the runners' random numbers

	waits, runs meter.Histogram // how long tasks waited and ran, of a sample
	viewers     atomic.Int32    // how many called Watch: then there is a sample
	sampler     sampler
	taskNames   taskNames
	figures     figures

	points sync.Pool       // of private waitPoints
	known  [8]atomic.Int64 // goroutines that are no strangers, see stranger

	registry registry
	guests   guestList
	outside  outsideCounters
	links    linkTable
	quiet    quiet
	clock    atomic.Pointer[ticking]  // what timers need, once there is one
	order    atomic.Pointer[ordering] // what Serials and Keyeds need, once there is one
	groups   groupList
	life     life
	errands  errands

	events   events
	observer observer // of Report
	report   atomic.Pointer[stallReport]
	history  *pastSeconds // of WithHistory, or nil
	spans    taskSpans
	noter    atomic.Pointer[spanNoter] // once somebody watches

	cfg    config
	name   string
	bubble uint64 // of testing/synctest, that it was made in; 0: none
	born   time.Time
	labels context.Context // carries the profiler labels of runners
	ledger *ledger         // the counts of its provider
	pool   sched.Pool      // what an explorer knows of it, or nil: see "Explored tasks" in ARCHITECTURE.md
}

// New makes an executor. It reports every bad option at once (errors.Join). It starts one goroutine;
// runners start when tasks arrive. The executor must be ended with Shutdown or Close.
func New(opts ...Option) (*Executor, error) {
	cfg, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	learnRuntime()
	e := &Executor{cfg: cfg, name: names.take(cfg.name), born: time.Now(), bubble: goid.Bubble()}
	if sched.On() {
		cfg = e.letExplore()
	}
	e.labels = labelsOf(e.name)
	e.links.root = newLink(background)
	e.credits = semaphore.NewWeighted(int64(cfg.maxSpares))
	e.lastCall.Store(math.MaxInt64) // unknown counts as long
	if cfg.report != nil {
		e.report.Store(&e.cfg.report)
	}
	e.keeper = keeper{e: e, wake: make(chan struct{}, 1), samples: stateSamples()}
	e.life.done = make(chan struct{})

	e.slots.Store(&slotList{})
	e.sizer.reader, e.sizer.bootstrap = cfg.reader(), cfg.bootstrap
	e.setSize(cfg.slots, "WithSlots")
	if err := cfg.checkReserved(e.slotCount()); err != nil {
		e.sizer.reader.Close()
		names.give(e.name)
		return nil, err
	}
	e.inject.limit = cfg.queueLimit
	if cfg.queueLimit == 0 {
		e.inject.limit = 1024 * e.slotCount()
	}
	e.inject.enclosed = e.bubble != 0
	e.inject.sampling, e.inject.until = cfg.sampling, cfg.sampling
	e.idle.until = cfg.sampling
	e.inject.due.Store(cfg.sampling > 0)
	switch { // before anybody can submit
	case cfg.lanes != nil:
		e.inject.lanes = cfg.lanes(e)
		anyRule.Store(true)
	case cfg.queueDelay != nil:
		e.inject.delay = cfg.queueDelay()
		anyRule.Store(true)
	}
	e.ledger = ledgerOf(cfg.meters)
	e.sampler.register(e.ledger.in, executorName(e.name))
	account := e.ledger.open(e)
	if cfg.taskMetrics != nil {
		cfg.taskMetrics(e.ledger, account)
	}
	if e.inject.lanes != nil {
		e.inject.lanes.publish(account)
	}

	e.group.gone = make(chan struct{})
	e.group.Add(1)
	go e.keeper.main()
	names.introduce(e)
	if cfg.history != nil {
		cfg.history(e)
	}
	return e, nil
}

// Go starts fn as a task with a context made from ctx: its values, deadline and cancellation, and done
// when Close ends the executor too. When the queue is full, Go waits for room until ctx is done. Inside
// a task the child goes to the slot's own deque, and Go never deadlocks: see WithQueueLimit.
//
// It returns nil exactly if the task was accepted. Errors: ctx's, ErrClosed, and inside a task
// ErrQueueFull when twice the queue limit is queued. A task whose ctx is done before it starts is
// never started. Steady-state cost: no allocation.
func (e *Executor) Go(ctx context.Context, fn func(context.Context)) error {
	if err := e.valid(ctx, fn == nil); err != nil {
		return err
	}
	return e.startBare(ctx, fn, true)
}

// TryGo is Go without waiting: at the queue limit it returns ErrQueueFull, inside a task too.
func (e *Executor) TryGo(ctx context.Context, fn func(context.Context)) error {
	if err := e.valid(ctx, fn == nil); err != nil {
		return err
	}
	return e.startBare(ctx, fn, false)
}

// valid checks the arguments that almost every call has.
func (e *Executor) valid(ctx context.Context, nilFunc bool) error {
	switch {
	case e == nil || e.name == "":
		return e.missing()
	case ctx == nil:
		return errNilContext
	case nilFunc:
		return errNilFunc
	}
	return nil
}

// missing returns why e is no executor, or nil. New gives each a name.
func (e *Executor) missing() error {
	switch {
	case e == nil:
		return errNilExecutor
	case e.name == "":
		return errZeroExecutor
	}
	return nil
}

// slotCount returns the number of slots.
func (e *Executor) slotCount() int { return int(e.size.Load()) }

// names are the names of the live executors in the process. Two instruments with the same attributes
// would be added up, so no name is used twice at once.
var names nameTable

type nameTable struct {
	mu     sync.Mutex
	taken  map[string]*nameInUse
	series map[string]*nameSeries // by what New was given
}

// nameInUse is a name that somebody has: number n of a series.
type nameInUse struct {
	e       *Executor // nil while New is at it
	of      *nameSeries
	n       int
	skipped func() // or nil: another series wanted the name, see take
}

// nameSeries is a name and the same with suffixes: numbers 1, 2, 3 and so on. It lives as long as one is in use.
type nameSeries struct {
	name  string
	next  int   // above it no number was ever in use
	freed []int // those below it that are free, in descending order
	used  int
}

// first takes the first number that is free off the list.
func (s *nameSeries) first() (n int) {
	if last := len(s.freed) - 1; last >= 0 {
		n, s.freed = s.freed[last], s.freed[:last]
		return n
	}
	s.next++
	return s.next
}

func (s *nameSeries) free(n int) {
	at, _ := slices.BinarySearchFunc(s.freed, n, func(a, b int) int { return b - a })
	s.freed = append(s.freed, 0)
	copy(s.freed[at+1:], s.freed[at:])
	s.freed[at] = n
}

func (s *nameSeries) numbered(n int) string {
	if n == 1 {
		return s.name
	}
	return s.name + "-" + strconv.Itoa(n)
}

// take returns name, or name with the first free suffix "-2", "-3", and so on.
func (t *nameTable) take(name string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.taken == nil {
		t.taken, t.series = make(map[string]*nameInUse), make(map[string]*nameSeries)
	}
	s := t.series[name]
	if s == nil {
		s = &nameSeries{name: name}
		t.series[name] = s
	}
	for {
		n := s.first()
		unique := s.numbered(n)
		if other := t.taken[unique]; other != nil { // somebody has called an executor "x-2"
			other.skipped = func() { s.free(n) }
			continue
		}
		s.used++
		t.taken[unique] = &nameInUse{of: s, n: n}
		return unique
	}
}

// introduce makes a new executor known by its name.
func (t *nameTable) introduce(e *Executor) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.taken[e.name].e = e
}

// live returns the executors that have not ended, by name.
func (t *nameTable) live() []*Executor {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []*Executor
	for _, name := range slices.Sorted(maps.Keys(t.taken)) {
		if e := t.taken[name].e; e != nil {
			all = append(all, e)
		}
	}
	return all
}

func (t *nameTable) give(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	use := t.taken[name]
	delete(t.taken, name)
	if use.skipped != nil {
		use.skipped()
	}
	use.of.free(use.n)
	if use.of.used--; use.of.used == 0 {
		delete(t.series, use.of.name)
	}
}
