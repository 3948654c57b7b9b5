package executor

import (
	"cmp"
	"context"
	"maps"
	"runtime/pprof"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/seed-97bda89a/executor/internal/meter"
)

// Figures for each name of tasks. A task that has a name is counted when it ends, on one of a few counters of that name;
// the others only find that they have none.

// TaskStats are the figures of the tasks of one name: see WithTaskName.
type TaskStats struct {
	Name     string `json:"name"`     // "other" for names beyond the 64 that a process keeps apart
	Count    uint64 `json:"count"`    // tasks that ended, the failed and panicked ones included. Exact
	Failed   uint64 `json:"failed"`   // tasks that returned an error
	Panicked uint64 `json:"panicked"` // tasks that panicked or called Goexit

	// How long tasks waited to be started and ran, of those that were measured (WithHistogramSampling), in ns and too
	// high by an eighth at most. Zero if none was: some are while an SDK takes the histograms or somebody looks at the
	// executor, and after the first call of TaskStats.
	WaitP50 time.Duration `json:"waitP50"`
	WaitP99 time.Duration `json:"waitP99"`
	RunP50  time.Duration `json:"runP50"`
	RunP99  time.Duration `json:"runP99"`

	Errors []TaskError `json:"errors"` // the last ones, newest first; at most 8
}

// TaskError is how a task went wrong.
type TaskError struct {
	Time  time.Time `json:"time"`
	Text  string    `json:"text"`  // of the error, or of what was passed to panic; at most 1 KB
	Panic bool      `json:"panic"` // it panicked or called Goexit
}

// TaskStats returns the figures of tasks that have names, by name. They count from when the executor was made. It may be
// called at any time, after the end too. What it counts costs tasks with a name less than 10 ns, and others nothing.
func (e *Executor) TaskStats() []TaskStats {
	if e.missing() != nil {
		return nil
	}
	e.figures.wanted.Store(true)
	var all []TaskStats
	for _, f := range e.figures.list() {
		all = append(all, f.stats())
	}
	return all
}

const (
	maxFigures     = 64 // names in a process that are kept apart
	otherTasks     = "other"
	figureShards   = 8
	maxTaskErrors  = 8
	maxRecentError = 1 << 10
)

// figures are those of an executor.
type figures struct {
	wanted atomic.Bool // somebody has asked for them
	mu     sync.Mutex
	byName map[string]*taskFigures
}

// figureNames are the names in the process that are kept apart: those that came first.
var figureNames struct {
	mu    sync.Mutex
	known map[string]bool
}

func keptApart(name string) bool {
	figureNames.mu.Lock()
	defer figureNames.mu.Unlock()
	if figureNames.known[name] {
		return true
	}
	if len(figureNames.known) >= maxFigures {
		return false
	}
	if figureNames.known == nil {
		figureNames.known = make(map[string]bool)
	}
	figureNames.known[name] = true
	return true
}

// of returns the figures for tasks of a name.
func (g *figures) of(name string) *taskFigures {
	if !keptApart(name) {
		name = otherTasks
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	f := g.byName[name]
	if f == nil {
		if g.byName == nil {
			g.byName = make(map[string]*taskFigures)
		}
		f = &taskFigures{name: name}
		g.byName[name] = f
	}
	return f
}

func (g *figures) list() []*taskFigures {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.SortedFunc(maps.Values(g.byName), func(a, b *taskFigures) int { return cmp.Compare(a.name, b.name) })
}

// taskFigures are those of one name. Runners share the counters, a few of them each.
type taskFigures struct {
	name        string
	counts      [figureShards]taskCounts
	waits, runs meter.Histogram

	mu   sync.Mutex
	errs []TaskError // oldest first
}

type taskCounts struct {
	ended, failed, panicked atomic.Uint64
	_                       [40]byte
}

// wrong is how a task went wrong that is about to be noted.
type wrong struct {
	text     string
	panicked bool
}

// note counts a task that ends on r, which has a name, before it is counted as ended: so the figures are exact at rest.
func (n *taskName) note(r *runner) {
	c := &n.figures.counts[uint64(r.goid.Load())%figureShards]
	c.ended.Add(1)
	if w := r.stack.wrong; w != nil {
		r.stack.wrong = nil
		n.figures.blame(c, w)
	}
}

func (f *taskFigures) blame(c *taskCounts, w *wrong) {
	if w.panicked {
		c.panicked.Add(1)
	} else {
		c.failed.Add(1)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.errs) == maxTaskErrors {
		f.errs = append(f.errs[:0], f.errs[1:]...)
	}
	f.errs = append(f.errs, TaskError{time.Now(), cutOff(w.text, maxRecentError), w.panicked})
}

// failed tells note, if the task has a name, that it went wrong: it returned err, or value is what recover returned.
func (r *runner) failed(returned bool, err error, value any) {
	switch {
	case r.name.Load() == nil:
	case returned:
		r.stack.wrong = &wrong{text: errorText(err)}
	case value == nil:
		r.stack.wrong = &wrong{ErrGoexit.Error(), true}
	default:
		if p, ok := value.(*PanicError); ok && p != nil {
			value = p.Value
		}
		r.stack.wrong = &wrong{panicText(value), true}
	}
}

// errorText is what an error says, or its type if its method panics.
func errorText(err error) string { return panicText(err) }

func (f *taskFigures) stats() TaskStats {
	s := TaskStats{Name: f.name}
	for i := range f.counts {
		c := &f.counts[i]
		s.Failed += c.failed.Load() // first: they are a part
		s.Panicked += c.panicked.Load()
		s.Count += c.ended.Load()
	}
	s.WaitP50, s.WaitP99 = quantiles(&f.waits)
	s.RunP50, s.RunP99 = quantiles(&f.runs)
	f.mu.Lock()
	defer f.mu.Unlock()
	s.Errors = slices.Clone(f.errs)
	slices.Reverse(s.Errors)
	return s
}

// quantiles returns the ends of the buckets in which the median and the 99th percentile are.
func quantiles(h *meter.Histogram) (p50, p99 time.Duration) {
	type bucket struct {
		end time.Duration
		n   uint64
	}
	var all []bucket
	total := uint64(0)
	for end, n := range h.All() {
		all = append(all, bucket{end, n})
		total += n
	}
	at := func(share float64) time.Duration {
		seen := uint64(0)
		for _, b := range all {
			if seen += b.n; float64(seen) >= share*float64(total) {
				return b.end
			}
		}
		return 0
	}
	return at(0.5), at(0.99)
}

// WithTaskMetrics adds a counter of ended tasks by their names to the executor's metrics: executor.task.named.completed,
// with the attributes executor.task.name and error.type. There is a series for each name and way to end, for at most 65
// names. Default: off.
func WithTaskMetrics() Option {
	return option(func(c *config) { c.taskMetrics = (*ledger).countTasks })
}

// namedCounts are the counts of an ended executor's tasks, by name.
type namedCounts map[string][3]uint64 // returned well, failed, panicked

func (n namedCounts) add(all []*taskFigures) {
	for _, f := range all {
		s, c := f.stats(), n[f.name]
		c[0] += s.Count - min(s.Count, s.Failed+s.Panicked)
		c[1] += s.Failed
		c[2] += s.Panicked
		n[f.name] = c
	}
}

func (n namedCounts) addAll(others namedCounts) {
	for name, o := range others {
		c := n[name]
		for i := range c {
			c[i] += o[i]
		}
		n[name] = c
	}
}

// countTasks registers the counter once, and has the executor of a counted.
func (l *ledger) countTasks(a *account) {
	l.tasks.Do(func() {
		counter, err := l.in.meter.Int64ObservableCounter("executor.task.named.completed", metric.WithUnit("{task}"),
			metric.WithDescription("Tasks ended, by name."))
		if err == nil {
			_, err = l.in.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
				for executor, counts := range l.namedCounts() {
					for task, c := range counts {
						attrs := []attribute.KeyValue{executorName(executor), attribute.String("executor.task.name", task)}
						o.ObserveInt64(counter, int64(c[0]), metric.WithAttributes(attrs...))
						o.ObserveInt64(counter, int64(c[1]), metric.WithAttributes(append(attrs, errorType("error"))...))
						o.ObserveInt64(counter, int64(c[2]), metric.WithAttributes(append(attrs, errorType("panic"))...))
					}
				}
				return nil
			}, counter)
		}
		if err != nil {
			otel.Handle(err)
		}
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	if a.named == nil {
		a.named = make(namedCounts)
	}
	a.ending = func(e *Executor) { a.named.add(e.figures.list()) }
}

// namedCounts returns the counts of all executors with the option, ended ones included.
func (l *ledger) namedCounts() map[string]namedCounts {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make(map[string]namedCounts)
	if l.forgottenTasks != nil {
		all[forgottenName] = maps.Clone(l.forgottenTasks)
	}
	for name, a := range l.accounts {
		if a.named == nil {
			continue
		}
		all[name] = maps.Clone(a.named)
		if a.live != nil && a.ending != nil {
			all[name].add(a.live.figures.list())
		}
	}
	return all
}

// taskName is the name of tasks, with the labels of a runner that runs one.
type taskName struct {
	name    string
	labels  context.Context
	figures *taskFigures
}

// maxTaskNames bounds how many names an executor remembers. More cost an allocation each time.
const maxTaskNames = 1000

// taskNames are the names that an executor has met.
type taskNames struct {
	known sync.Map // string to *taskName
	len   atomic.Int32
}

// taskNameOf returns the name of tasks with this parent, or nil.
func (e *Executor) taskNameOf(parent context.Context) *taskName {
	name := nameOf(parent)
	if name == "" {
		return nil
	}
	if n, ok := e.taskNames.known.Load(name); ok {
		return n.(*taskName)
	}
	n := &taskName{name, pprof.WithLabels(e.labels, pprof.Labels("task", name)), e.figures.of(name)}
	if e.taskNames.len.Load() >= maxTaskNames {
		return n
	}
	kept, known := e.taskNames.known.LoadOrStore(name, n)
	if !known {
		e.taskNames.len.Add(1)
	}
	return kept.(*taskName)
}

// rename makes n the name of what runs on r, and sets the profiler labels.
func (r *runner) rename(n *taskName) {
	r.name.Store(n)
	if r.guest {
		return // its labels are the caller's
	}
	labels := r.e.labels
	if n != nil {
		labels = n.labels
	}
	pprof.SetGoroutineLabels(labels)
}

// labelsOf returns the context that carries the profiler labels of an executor's runners.
func labelsOf(name string) context.Context {
	return pprof.WithLabels(context.Background(), pprof.Labels("executor", name))
}
