package executor

import (
	"context"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor/internal/kernel"
	"github.com/stretchr/testify/require"
)

// rule is decide, or a mutant of it that a table has to tell from it.
type rule func(m *stallState, s sight) decision

// step is one tick as the monitor sees it, and what it has to do then.
type step struct {
	after time.Duration // since the tick before; 0 means 10 ms
	sight sight
	want  decision
}

// see builds a sight. running includes the keeper, as the runtime counts it.
func see(procs, running, runnable, slots, lent, stuck, queued int) sight {
	return sight{
		states: goroutineStates{running: running, runnable: runnable, procs: procs},
		slots:  slots, lent: lent, stuck: stuck, queued: queued,
	}
}

func (s sight) used(cpus float64) sight    { s.cpus = cpus; return s }
func (s sight) butMoved() sight            { s.moved = true; return s }
func (s sight) allowed(cpus float64) sight { s.limit = cpus; return s }
func (s sight) calling(n int) sight        { s.states.calls = n; return s }
func (s sight) unseen() sight              { s.blind = true; return s }
func (s sight) fake() sight                { s.bubble = true; return s }
func (s sight) looking() sight             { s.threads = kernel.Count{Partial: true}; return s }
func (s sight) run(n int) sight            { s.threads = kernel.Count{Known: true, Running: n}; return s }

func times(n int, s step) []step { return slices.Repeat([]step{s}, n) }

func joined(parts ...[]step) []step { return slices.Concat(parts...) }

// asleep is what a process looks like in which nothing runs but the keeper.
func asleep(slots, lent, stuck, queued int) sight { return see(4, 1, 0, slots, lent, stuck, queued) }

var (
	tooBusy  = decision{reason: decideBusy}
	liveness = decision{lend: 1, reason: decideLiveness}
)

func lends(n int) decision { return decision{lend: n, reason: decideStuck} }

var stallRows = []struct {
	name  string
	steps []step
}{
	{"S1: nothing is stuck, nothing is lent", times(10, step{sight: asleep(2, 0, 0, 100)})},
	{"S1: one idle tick is not enough", joined(
		times(1, step{sight: asleep(2, 0, 2, 100)}),
		times(1, step{sight: asleep(2, 0, 0, 100).butMoved()}),
		times(1, step{sight: asleep(2, 0, 2, 100)}),
	)},
	{"S1: two idle ticks in a row are", []step{
		{sight: asleep(2, 0, 2, 100)},
		{sight: asleep(2, 0, 2, 100), want: lends(2)},
	}},
	{"S1: a busy tick starts the count anew", []step{
		{sight: asleep(2, 0, 2, 100)},
		{sight: see(4, 3, 0, 2, 0, 2, 100), want: tooBusy},
		{sight: asleep(2, 0, 2, 100)},
		{sight: asleep(2, 0, 2, 100), want: lends(2)},
	}},
	{"S1: all slots compute, on as many processors", times(100, step{sight: see(2, 2, 1, 2, 0, 2, 100), want: tooBusy})},
	{"S1: all slots compute, on more processors", times(100, step{sight: see(8, 3, 0, 2, 0, 2, 100), want: tooBusy})},
	{"S1: all slots compute, on fewer processors", times(100, step{sight: see(2, 2, 3, 4, 0, 4, 100), want: tooBusy})},
	{"S1: one slot computes, on one processor that the keeper has", times(100, step{sight: see(1, 1, 1, 1, 0, 1, 100), want: tooBusy})},
	{"S1: the stuck task computes while others come and go", times(100, step{sight: see(4, 2, 0, 2, 0, 1, 100).butMoved(), want: tooBusy})},
	{"S1: others than our tasks keep the processors busy", times(100, step{sight: see(2, 2, 9, 2, 0, 2, 100), want: tooBusy})},
	{"S1: the keeper is not work", []step{
		{sight: see(2, 1, 0, 1, 0, 1, 100)},
		{sight: see(2, 1, 0, 1, 0, 1, 100), want: lends(1)},
	}},
	{"S1: the keeper may have displaced a worker of the collector: four ticks", []step{
		{sight: see(2, 2, 0, 2, 0, 2, 100)},
		{sight: see(2, 2, 0, 2, 0, 2, 100)},
		{sight: see(2, 2, 0, 2, 0, 2, 100)},
		{sight: see(2, 2, 0, 2, 0, 2, 100), want: lends(2)},
	}},
	{"S1: two of them and a sure one", []step{
		{sight: see(2, 2, 0, 2, 0, 2, 100)},
		{sight: see(2, 2, 0, 2, 0, 2, 100)},
		{sight: see(2, 1, 0, 2, 0, 2, 100), want: lends(2)},
	}},
	{"S1: C code that computes uses the processors", times(100, step{sight: asleep(4, 0, 4, 100).used(3.9), want: tooBusy})},
	{"S1: half a processor short of all is busy", times(100, step{sight: asleep(4, 0, 4, 100).used(3.5), want: tooBusy})},
	{"S1: less is not", []step{
		{sight: asleep(4, 0, 4, 100).used(3.4)},
		{sight: asleep(4, 0, 4, 100).used(3.4), want: lends(4)},
	}},
	{"S2: doubles while every slot is stuck, and stops at the queue's end", []step{
		{sight: asleep(2, 0, 2, 100)},
		{sight: asleep(2, 0, 2, 100), want: lends(2)},
		{sight: asleep(4, 2, 4, 98).butMoved(), want: lends(4)},
		{sight: asleep(8, 6, 8, 94).butMoved(), want: lends(8)},
		{sight: asleep(16, 14, 16, 5).butMoved(), want: lends(5)},
		{sight: asleep(21, 19, 21, 0).butMoved()},
	}},
	{"S2: new loans that have not run yet hold the next step up", []step{
		{sight: asleep(2, 0, 2, 100)},
		{sight: asleep(2, 0, 2, 100), want: lends(2)},
		{sight: asleep(4, 2, 2, 100)},
		{sight: asleep(4, 2, 4, 98), want: lends(4)},
	}},
	{"S2: one slot moves: one for each stuck task", []step{
		{sight: asleep(4, 0, 3, 100).butMoved()},
		{sight: asleep(4, 0, 3, 100).butMoved(), want: lends(3)},
		{sight: asleep(7, 3, 3, 100).butMoved()},
		{sight: asleep(7, 3, 5, 100).butMoved(), want: lends(2)},
		{sight: asleep(9, 5, 4, 100).butMoved()},
	}},
	{"S2: a spinning task among sleepers counts as stuck", []step{
		{sight: see(4, 2, 0, 4, 0, 4, 100)},
		{sight: see(4, 2, 0, 4, 0, 4, 100), want: lends(4)},
	}},
	{"S1: threads that run in C count", times(100, step{sight: asleep(1, 0, 1, 100).run(1), want: tooBusy})},
	{"S1: as many as there are stuck tasks", times(100, step{sight: see(8, 1, 0, 3, 0, 3, 100).run(3), want: tooBusy})},
	{"S1: fewer leave some that wait", []step{
		{sight: see(8, 1, 0, 3, 0, 3, 100).run(2)},
		{sight: see(8, 1, 0, 3, 0, 3, 100).run(2), want: lends(3)},
	}},
	{"S1: a quota of one is one processor", times(100, step{sight: asleep(4, 0, 4, 100).run(1).allowed(1), want: tooBusy})},
	{"S1: a quota of one and a half is two", []step{
		{sight: asleep(4, 0, 4, 100).run(1).allowed(1.5)},
		{sight: asleep(4, 0, 4, 100).run(1).allowed(1.5), want: lends(4)},
		{sight: asleep(4, 0, 4, 100).run(2).allowed(1.5), want: tooBusy},
	}},
	{"S1: Go code on the one processor of an affinity", times(100, step{sight: see(4, 2, 0, 4, 0, 4, 100).allowed(1), want: tooBusy})},
	{"S1: three quarters of a small quota are all of it", times(100, step{sight: asleep(4, 0, 4, 100).used(0.75).allowed(1), want: tooBusy})},
	{"S1: less is not, here too", []step{
		{sight: asleep(4, 0, 4, 100).used(0.7).allowed(1)},
		{sight: asleep(4, 0, 4, 100).used(0.7).allowed(1), want: lends(4)},
	}},
	{"S1: a look that is not over decides nothing", joined(
		times(1, step{sight: asleep(2, 0, 2, 100)}),
		times(10, step{sight: asleep(2, 0, 2, 100).looking()}),
		times(1, step{sight: asleep(2, 0, 2, 100), want: lends(2)}),
	)},
	{"S1: without threads, what may be in C computes", times(100, step{sight: asleep(4, 0, 4, 100).calling(4).unseen(), want: tooBusy})},
	{"S1: and the others wait", []step{
		{sight: asleep(4, 0, 4, 100).calling(1).unseen()},
		{sight: asleep(4, 0, 4, 100).calling(1).unseen(), want: lends(3)},
	}},
	{"S1: with threads, calls are no reason", []step{
		{sight: asleep(4, 0, 4, 100).calling(4)},
		{sight: asleep(4, 0, 4, 100).calling(4), want: lends(4)},
	}},
	{"S1: in a bubble time says it all", []step{
		{sight: see(2, 2, 9, 2, 0, 2, 100).fake()},
		{sight: see(2, 2, 9, 2, 0, 2, 100).fake(), want: lends(2)},
	}},
	{"S4: busy and still for five seconds", joined(
		[]step{{sight: see(2, 2, 1, 2, 0, 2, 100), want: tooBusy}},
		[]step{{after: livenessAfter - 1, sight: see(2, 2, 1, 2, 0, 2, 100), want: tooBusy}},
		[]step{{after: 1, sight: see(2, 2, 1, 2, 0, 2, 100), want: liveness}},
		[]step{{sight: see(2, 2, 1, 3, 1, 3, 100), want: tooBusy}},
		[]step{{after: livenessAfter, sight: see(2, 2, 1, 3, 1, 3, 100), want: liveness}},
	)},
	{"S4: whatever moves puts it off", joined(
		[]step{{sight: see(2, 2, 1, 2, 0, 2, 100), want: tooBusy}},
		[]step{{after: livenessAfter - 1, sight: see(2, 2, 1, 2, 0, 2, 100), want: tooBusy}},
		[]step{{after: 1, sight: see(2, 2, 1, 2, 0, 2, 99).butMoved(), want: tooBusy}},
		[]step{{after: livenessAfter - 1, sight: see(2, 2, 1, 2, 0, 2, 99), want: tooBusy}},
		[]step{{after: 1, sight: see(2, 2, 1, 2, 0, 2, 99), want: liveness}},
	)},
	{"S4: idle processors do not use it up", joined(
		[]step{{sight: asleep(2, 0, 2, 100)}},
		[]step{{after: livenessAfter, sight: see(2, 2, 1, 2, 0, 2, 100), want: liveness}},
	)},
}

// play runs the steps of a row and returns the first step that goes wrong, or -1.
func play(r rule, steps []step) (at int, got decision) {
	var m stallState
	now := time.Unix(1, 0)
	for i, s := range steps {
		if s.after == 0 {
			s.after = 10 * time.Millisecond
		}
		now = now.Add(s.after)
		s.sight.now, s.sight.patience = now, livenessAfter
		if got := r(&m, s.sight); got != s.want {
			return i, got
		}
	}
	return -1, decision{}
}

func TestStall_Decides(t *testing.T) {
	for _, row := range stallRows {
		t.Run(row.name, func(t *testing.T) {
			if at, got := play((*stallState).decide, row.steps); at >= 0 {
				t.Fatalf("tick %d: got %+v, want %+v", at, got, row.steps[at].want)
			}
		})
	}
}

// What the table would not notice is not tested. Each mutant is decide with one line wrong.
func TestStall_TableKillsMutants(t *testing.T) {
	good := (*stallState).decide
	mutants := map[string]rule{
		"lends in the first idle tick": func(m *stallState, s sight) decision {
			m.idle = max(m.idle, 1)
			return good(m, s)
		},
		"never waits for four ticks": func(m *stallState, s sight) decision {
			s.states.running = min(s.states.running, s.states.procs-1)
			return good(m, s)
		},
		"busy does not start the count anew": func(m *stallState, s sight) decision {
			idle := m.idle
			d := good(m, s)
			m.idle = max(m.idle, idle)
			return d
		},
		"nothing stuck does not start the count anew": func(m *stallState, s sight) decision {
			idle := m.idle
			d := good(m, s)
			if s.stuck == 0 {
				m.idle = idle
			}
			return d
		},
		"counts the keeper": func(m *stallState, s sight) decision {
			s.states.running++
			return good(m, s)
		},
		"forgets the runnable": func(m *stallState, s sight) decision {
			s.states.runnable = 0
			return good(m, s)
		},
		"looks at the processors only": func(m *stallState, s sight) decision {
			if s.states.running-1+s.states.runnable < s.states.procs {
				s.states.running, s.states.runnable = min(s.states.running, 1), 0
			}
			return good(m, s)
		},
		"looks at the stuck tasks only": func(m *stallState, s sight) decision {
			s.states.procs = 1 << 20
			return good(m, s)
		},
		"does not look at the processor time": func(m *stallState, s sight) decision {
			s.cpus = 0
			return good(m, s)
		},
		"takes half the processor time for busy": func(m *stallState, s sight) decision {
			s.cpus = max(s.cpus, min(2*s.cpus, 3.6))
			return good(m, s)
		},
		"does not look at threads": func(m *stallState, s sight) decision {
			s.threads.Running = 0
			return good(m, s)
		},
		"takes a look that is not over for one": func(m *stallState, s sight) decision {
			s.threads.Partial = false
			return good(m, s)
		},
		"starts anew with a look that is not over": func(m *stallState, s sight) decision {
			if s.threads.Partial {
				m.idle = 0
			}
			return good(m, s)
		},
		"does not know the quota": func(m *stallState, s sight) decision {
			s.limit = 0
			return good(m, s)
		},
		"rounds the quota down": func(m *stallState, s sight) decision {
			s.limit = math.Floor(s.limit)
			return good(m, s)
		},
		"takes calls for waiting": func(m *stallState, s sight) decision {
			s.blind = false
			return good(m, s)
		},
		"takes calls for computing": func(m *stallState, s sight) decision {
			s.blind = true
			return good(m, s)
		},
		"looks at processors in a bubble": func(m *stallState, s sight) decision {
			s.bubble = false
			return good(m, s)
		},
		"never doubles": func(m *stallState, s sight) decision {
			s.slots = 1 << 20
			return good(m, s)
		},
		"doubles although some moved": func(m *stallState, s sight) decision {
			d := good(m, s)
			if d.reason == decideStuck {
				d.lend = min(s.slots, s.queued)
			}
			return d
		},
		"forgets what is lent": func(m *stallState, s sight) decision {
			s.lent = 0
			return good(m, s)
		},
		"lends more than is queued": func(m *stallState, s sight) decision {
			s.queued = max(s.queued, 1000)
			return good(m, s)
		},
		"no liveness": func(m *stallState, s sight) decision {
			m.livedAt = s.now
			return good(m, s)
		},
		"liveness without end": func(m *stallState, s sight) decision {
			d := good(m, s)
			if d.reason == decideLiveness {
				m.livedAt = s.now.Add(-livenessAfter)
			}
			return d
		},
		"liveness whatever moves": func(m *stallState, s sight) decision {
			s.moved = false
			return good(m, s)
		},
		"liveness only when idle": func(m *stallState, s sight) decision {
			d := good(m, s)
			if d.reason == decideLiveness {
				return decision{}
			}
			return d
		},
	}
	for name, mutant := range mutants {
		killed := slices.ContainsFunc(stallRows, func(row struct {
			name  string
			steps []step
		}) bool {
			at, _ := play(mutant, row.steps)
			return at >= 0
		})
		if !killed {
			t.Errorf("no row notices a rule that %q", name)
		}
	}
}

// S3: a loan is over when its task ends, yields, parks or has lent its slot itself.
func TestStall_LoanEndsWhenItsTaskMoves(t *testing.T) {
	moves := map[string]func(r *runner){
		"completed": func(r *runner) { r.count.completed.inc() },
		"panicked":  func(r *runner) { r.count.panicked.inc() },
		"canceled":  func(r *runner) { r.count.canceled.inc() },
		"parked":    func(r *runner) { r.count.parks.inc() },
		"yielded":   func(r *runner) { r.count.yields.inc() },
		"blocking":  func(r *runner) { r.word.Add(oneEpoch | phaseBlocked) },
		"back":      func(r *runner) { r.word.Add(oneEpoch) },
	}
	for name, move := range moves {
		t.Run(name, func(t *testing.T) {
			r := &runner{}
			r.count.completed.add(7)
			r.word.Store(3 * oneEpoch)
			s := &slot{loan: &loan{r, r.count.progress(), r.word.Load() / oneEpoch}}
			require.False(t, s.leaves())
			r.count.stolen.inc()
			r.count.submitted.inc()
			require.False(t, s.leaves(), "submitting is not moving")
			move(r)
			require.True(t, s.leaves())
		})
	}
}

// S3: an executor that ends while a slot is on its way to a runner has none lent afterwards. Mutants: the end leaves loans
// alone; it lets a loan stay in the list.
func TestStall_LoanEndsWithTheExecutor(t *testing.T) {
	e, err := New(WithSlots(2))
	require.NoError(t, err)
	require.NoError(t, e.Do(t.Context(), func(context.Context) error { return nil }))
	e.idle.mu.Lock() // what lend does before it looks for a runner
	e.setSlots(append(slices.Collect(e.slots.Load().all()), &slot{loan: &loan{lender: &runner{}}}, &slot{loan: &loan{lender: &runner{}}}))
	e.idle.lent += 2
	e.idle.mu.Unlock()
	require.NoError(t, e.Close())
	require.Zero(t, e.Stats().Lent)
	require.Equal(t, 2, len(*e.slots.Load()))
	require.NoError(t, validate(e))
}
