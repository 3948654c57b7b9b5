package executor

import (
	"context"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience is how long the tests inside the package wait for something that must happen.
const patience = 30 * time.Second

// newTested makes an executor that is closed when the test ends, and must be whole then.
func newTested(t testing.TB, opts ...Option) *Executor {
	t.Helper()
	e, err := New(opts...)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, e.Close())
		require.NoError(t, settled(e, patience))
	})
	return e
}

// worn is an executor at rest that has run tasks of every kind.
func worn(t *testing.T) *Executor {
	t.Helper()
	e := newTested(t, WithSlots(2), WithMaxSpares(2), WithStallDetection(false))
	for range 20 {
		err := For(context.Background(), e, 50, func(ctx context.Context, i int) error {
			Blocking(ctx, runtime.Gosched)
			f := Fork(ctx, func(context.Context) int { return i })
			_ = e.Go(ctx, func(context.Context) {})
			f.Join(ctx)
			return Yield(ctx)
		})
		require.NoError(t, err)
	}
	require.NoError(t, settled(e, patience))
	return e
}

func TestValidate_IsContentAtRestAndAfterTheEnd(t *testing.T) {
	e := newTested(t)
	require.NoError(t, validate(e), "a new one")
	e = worn(t)
	require.NoError(t, e.Resize(5))
	require.NoError(t, settled(e, patience), "grown")
	require.NoError(t, e.Resize(1))
	require.NoError(t, settled(e, patience), "shrunk")
	require.NoError(t, e.Shutdown(context.Background()))
	require.NoError(t, validate(e), "ended")
}

func TestValidate_ComplainsAboutATask(t *testing.T) {
	e := newTested(t, WithSlots(1), WithStallDetection(false))
	started, gate := make(chan struct{}), make(chan struct{})
	require.NoError(t, e.Go(context.Background(), func(context.Context) { close(started); <-gate }))
	<-started
	require.ErrorContains(t, validate(e), "1 tasks were submitted, 0 completed")
	close(gate)
	require.NoError(t, settled(e, patience))
}

// TestValidate_ComplainsAboutBrokenStates breaks one thing after another in an executor at rest and puts it
// right again. A checker that can not fail checks nothing.
func TestValidate_ComplainsAboutBrokenStates(t *testing.T) {
	e := worn(t)
	idle, q := &e.idle, &e.inject
	r, s, other := idle.parked.top, idle.free[0], idle.free[1]
	all := slices.Collect(e.slots.Load().all())
	task := entry{fn: func(context.Context) {}, of: &origin{parent: context.Background()}}
	fake := newRunner(e) // its goroutine does not take tokens
	parent, cancel := context.WithCancel(context.Background())
	defer cancel()

	for _, c := range []struct {
		complaint string
		spoil     func()
		repair    func()
	}{
		{"1 runners search", func() { e.word.Add(oneSearching) }, func() { e.word.Add(^uint64(oneSearching - 1)) }},
		{"counts 3 free slots, the list has 2", func() { e.word.Add(oneFree) }, func() { e.word.Add(^uint64(oneFree - 1)) }},
		{"a runner is surplus", func() { e.word.Or(debt) }, func() { e.word.And(^uint64(debt)) }},
		{"on the free list 0 times", func() { idle.free = idle.free[1:] }, func() { idle.free = append([]*slot{s}, idle.free...) }},
		{"on the free list 2 times", func() { idle.free[1] = s }, func() { idle.free[1] = other }},
		{"that was dropped is free", func() { idle.free[0] = &slot{} }, func() { idle.free[0] = s }},
		{"listed twice", func() { e.setSlots(append(slices.Clone(all), s)) }, func() { e.setSlots(all) }},
		{"is at 0, and says 1", func() { all[0].index = 1 }, func() { all[0].index = 0 }},
		{"there are 2 slots, and should be 3", func() { e.size.Add(1) }, func() { e.size.Add(-1) }},
		{"to be retired", func() { s.retire.Store(true) }, func() { s.retire.Store(false) }},
		{"still lent", func() { s.loan = &loan{lender: r} }, func() { s.loan = nil }},
		{"1 slots count as lent", func() { idle.lent++ }, func() { idle.lent-- }},
		{"wait for a runner", func() { idle.unborn = append(idle.unborn, s) }, func() { idle.unborn = nil }},
		{"cell 7 is not empty", func() { s.cells[7] = task }, func() { s.cells[7] = entry{} }},
		{"deque of slot", func() { s.tail.Add(1) }, func() { s.tail.Add(^uint32(0)) }},
		{"deque of slot", func() { s.head.Add(1) }, func() { s.head.Add(^uint64(0)) }},
		{"deque of slot", func() { s.next++ }, func() { s.next-- }},
		{"is not parked", func() { idle.parked.remove(r) }, func() { idle.parked.push(r) }},
		{"does not know that it is", func() { r.list = nil }, func() { r.list = &idle.parked }},
		{"live", func() { idle.live++ }, func() { idle.live-- }},
		{"registered", func() { e.registry.remove(r) }, func() { unremove(e, r) }},
		{"has a slot", func() { r.slot = s }, func() { r.slot = nil }},
		{"was given a slot", func() { r.held.Store(s) }, func() { r.held.Store(nil) }},
		{"has a token", func() { fake.token <- s; sit(e, fake) }, func() { stand(e, fake); <-fake.token }},
		{"holds a task's context", func() { r.stack.tc = &taskContext{origin: origin{parent: parent}, r: r} }, func() { r.stack.tc = nil }},
		{"in a loop", func() { r.stack.span = &span{} }, func() { r.stack.span = nil }},
		{"in a group", func() { r.stack.group = &groupTask{} }, func() { r.stack.group = nil }},
		{"has 1 children", func() { r.stack.open++ }, func() { r.stack.open-- }},
		{"not counted 3 children", func() { r.stack.joined += 3 }, func() { r.stack.joined = 0 }},
		{"in a task: depth 1", func() { r.stack.depth++ }, func() { r.stack.depth-- }},
		{"in a task", func() { r.stack.inBare = true }, func() { r.stack.inBare = false }},
		{"Blocking word", func() { r.word.Or(phaseBlocked) }, func() { r.word.And(^uint64(phaseMask)) }},
		{"credits are missing", func() { e.credits.TryAcquire(1) }, func() { e.credits.Release(1) }},
		{"1 entries are queued", func() { q.queue.push(task) }, func() { q.queue.pop() }},
		{"says that there are entries", func() { q.filled.Store(true) }, func() { q.filled.Store(false) }},
		{"2 places are taken (I1)", func() { q.used += 2 }, func() { q.used -= 2 }},
		{"1 entries of strands", func() { q.drains++ }, func() { q.drains-- }},
		{"drains a strand", func() { r.strand.Store(&onStack{}) }, func() { r.strand.Store(nil) }},
		{"1 yielded runners", func() { q.yields.len++ }, func() { q.yields.len-- }},
		{"-1 entries count as dead", func() { q.dead.Add(-1) }, func() { q.dead.Add(1) }},
		{"1 submitters wait", func() { q.waiters.push(&waiter{}) }, func() { q.waiters.remove(q.waiters.first) }},
		{"holds the context of a task", func() { q.originOf(parent) }, q.forget},
		{"chunk of an empty queue is not empty", func() { q.queue.first.cells[5] = task }, func() { q.queue.first.cells[5] = entry{} }},
		{"an empty queue reaches", func() { q.queue.head++ }, func() { q.queue.head-- }},
		{"spare chunks, counted as", func() { q.queue.spares++ }, func() { q.queue.spares-- }},
		{"were submitted", func() { e.outside.canceled.Add(1) }, func() { e.outside.canceled.Add(^uint64(0)) }},
		{"tasks failed", func() { r.count.failed.add(1 << 40) }, func() { r.count.failed.add(^uint64(1<<40 - 1)) }},
		{"below zero", func() { e.registry.gone.Stolen -= 1 << 63 }, func() { e.registry.gone.Stolen -= 1 << 63 }},
		{"1 wait for an executor at rest", func() { e.quiet.waiters = map[chan struct{}]uint64{nil: 1} }, func() { e.quiet.waiters = nil }},
		{"link of a parent that goes on", func() { endedLink(e) }, func() { e.links.links = nil }},
	} {
		c.spoil()
		require.ErrorContains(t, validate(e), c.complaint, "looking for %q", c.complaint)
		c.repair()
		require.NoError(t, validate(e), "after the repair of %q", c.complaint)
	}
}

// unremove undoes registry.remove.
func unremove(e *Executor, r *runner) {
	gone := &e.registry.gone
	gone.Completed -= r.count.completed.Load()
	gone.Failed -= r.count.failed.Load()
	gone.Panicked -= r.count.panicked.Load()
	gone.Canceled -= r.count.canceled.Load()
	gone.Stolen -= r.count.stolen.Load()
	gone.Parks -= r.count.parks.Load()
	gone.Yields -= r.count.yields.Load()
	e.registry.submitted -= r.count.submitted.Load()
	e.registry.add(r)
}

// sit adds a runner without a goroutine to the parked ones, and stand takes it off.
func sit(e *Executor, r *runner) {
	e.idle.parked.push(r)
	e.idle.live++
	e.registry.add(r)
}

func stand(e *Executor, r *runner) {
	e.registry.remove(r)
	e.idle.live--
	e.idle.parked.remove(r)
}

func endedLink(e *Executor) {
	ctx, cancel := context.WithCancel(context.Background())
	l := e.links.of(ctx)
	l.cancel(nil)
	context.AfterFunc(ctx, func() { runtime.KeepAlive(l) }) // the parent no longer does
	_ = cancel
}

// TestValidate_ChecksFreeRecords is apart because the records are in a list of their own for each type.
func TestValidate_ChecksFreeRecords(t *testing.T) {
	e := newTested(t, WithSlots(1))
	require.NoError(t, e.Go(context.Background(), func(ctx context.Context) {
		Fork(ctx, func(context.Context) int { return 1 }).Join(ctx)
	}))
	require.NoError(t, e.Quiesce(context.Background()))
	require.NoError(t, settled(e, patience))
	for r := e.idle.parked.top; r != nil; r = r.next {
		for _, p := range r.stack.pools {
			pool, ok := p.(*forkPool[int])
			if !ok || len(pool.free) == 0 {
				continue
			}
			f := pool.free[0]
			f.val = 1
			require.ErrorContains(t, validate(e), "free record of a child has val")
			f.val, f.fn = 0, func(context.Context) int { return 0 }
			require.ErrorContains(t, validate(e), "free record of a child has fn")
			f.fn = nil
			pool.free = append(pool.free, f)
			require.ErrorContains(t, validate(e), "is free twice (F1)")
			pool.free = pool.free[:len(pool.free)-1]
			return
		}
	}
	t.Error("no runner has a free record")
}

// wideConversions are conversions of a wide or unsigned number to int whose value is known to fit into 32 bits.
var wideConversions = map[string]string{
	"int(e.size.Load())":               "slots, at most 4,096",
	"int(b.inside.Load())":             "calls in progress, at most the limit",
	"int(b.cells[i].tickets.Load())":   "queued entries, which are in memory",
	"int(b.held.Load())":               "goroutines that wait",
	"int(q.dead.Load())":               "queued entries, which are in memory",
	"int(q.held.Load())":               "held tasks, which are in memory",
	"int(c.came.Load() - gone)":        "goroutines that wait: the difference of the two is small",
	"int(samples[i].Value.Uint64())":   "goroutines and threads",
	"int(int32(d.tail.Load() - real))": "a length of at most 256, made signed on purpose",
	"int(e.viewers.Load())":            "viewers",
}

// On 32-bit systems int(x) of a counter that goes on for ever is negative half of the time, and indexes. So a number
// that others count is reduced before it is made an int, or stands in the list. Mutant: int(e.rotate.Add(1)), as it was.
func TestHouse_ConversionsFitInto32Bits(t *testing.T) {
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	inner, err := filepath.Glob("internal/*/*.go")
	require.NoError(t, err)
	wide := regexp.MustCompile(`\.(Load|Add|Swap|Uint64|random)\(`)
	for _, file := range append(files, inner...) {
		if strings.HasSuffix(file, "_test.go") || strings.Contains(file, "lincheck") || strings.Contains(file, "explore") {
			continue
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, file, nil, 0)
		require.NoError(t, err)
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) != 1 {
				return true
			}
			if name, ok := call.Fun.(*ast.Ident); !ok || name.Name != "int" {
				return true
			}
			if op, ok := call.Args[0].(*ast.BinaryExpr); ok && op.Op == token.REM {
				return true // reduced
			}
			var text strings.Builder
			require.NoError(t, printer.Fprint(&text, fset, call))
			if wide.MatchString(text.String()) && wideConversions[text.String()] == "" {
				t.Errorf("%s: %s may not fit into 32 bits", fset.Position(call.Pos()), text.String())
			}
			return true
		})
	}
}
