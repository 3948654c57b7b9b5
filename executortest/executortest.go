// Package executortest helps to test programs that use executors.
//
//	func TestImport(t *testing.T) {
//		exec := executortest.New(t) // closed at the end of the test, and checked
//		executortest.NoAdvice(t, exec)
//		...
//	}
package executortest

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/debugpage"
)

// New returns an executor for one test, and ends the test at once if an option is wrong. At the end of the test it is closed, which
// waits for the tasks that run, and its books are checked: the test fails if a task that was accepted has not ended exactly once.
// Reports of tasks that stand still go to the test's log, unless opts has a WithOnStall of its own. Nothing is left behind, so
// goleak needs no exceptions. It may be called inside a testing/synctest bubble, with the t of the bubble.
func New(t testing.TB, opts ...executor.Option) *executor.Executor {
	t.Helper()
	log := &testLog{t: t}
	exec, err := executor.New(append([]executor.Option{executor.WithOnStall(log.stall)}, opts...)...)
	if err != nil {
		t.Fatalf("executortest: %v", err)
	}
	t.Cleanup(func() {
		if err := exec.Close(); err != nil {
			t.Errorf("executortest: Close: %v", err)
		}
		log.end()
		if s := exec.Stats(); s.Submitted != s.Completed+s.Panicked+s.Canceled {
			t.Errorf("executortest: of %d tasks %d completed, %d panicked and %d were canceled", s.Submitted, s.Completed, s.Panicked, s.Canceled)
		}
	})
	return exec
}

// testLog writes to a test's log until the test has ended: a stall handler may still run then.
type testLog struct {
	mu sync.Mutex
	t  testing.TB // nil after the end
}

func (l *testLog) stall(s executor.StallInfo) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.t != nil {
		l.t.Logf("executor %s: tasks stand still (%s): %d are queued, ages %v\n%s", s.Executor, s.Reason, s.Queued, s.Ages, s.Stack)
	}
}

func (l *testLog) end() {
	l.mu.Lock()
	l.t = nil
	l.mu.Unlock()
}

// kinds are the kinds of advice.
var kinds = []string{
	debugpage.AdviceBlocked, debugpage.AdviceCgo, debugpage.AdviceCheckpoint, debugpage.AdviceLatency,
	debugpage.AdviceRejections, debugpage.AdviceSpares, debugpage.AdviceSyscall, debugpage.AdviceThrottled,
	debugpage.AdviceSubmitters, debugpage.AdviceWaiters, debugpage.AdviceGroup, debugpage.AdviceLoans, debugpage.AdviceIdle,
}

// NoAdvice makes the test fail if, from now until the test ends, the live page of exec would give advice: a task that blocks
// without saying so, refused submissions, a long task without Checkpoint. It is for load tests, which so keep the pool
// healthy. Kinds in except, of debugpage's Advice constants, are allowed. The page looks once a second, so
// the end of the test waits for its next look, up to a second; what has come and gone between two looks, and is not in the
// page's last minute, is not seen. What the slots do has to last for three looks, and waiting for ten, so that a machine that
// stands still for a moment fails no test: see docs/OBSERVING.md. Call it after New, and not in a bubble, whose time is not that of the page.
func NoAdvice(t testing.TB, exec *executor.Executor, except ...string) {
	t.Helper()
	for _, kind := range except {
		if !slices.Contains(kinds, kind) {
			t.Fatalf("executortest: NoAdvice: %q is no kind of advice: use one of %s", kind, strings.Join(kinds, ", "))
		}
	}
	page := debugpage.Handler(exec)
	seen := map[string]string{} // the first of each kind
	look := func() (of time.Time, err error) {
		answer := httptest.NewRecorder()
		page.ServeHTTP(answer, httptest.NewRequest("GET", "/?format=json", nil))
		var report debugpage.Report
		if err := json.Unmarshal(answer.Body.Bytes(), &report); err != nil {
			return of, fmt.Errorf("the page answered %d: %w", answer.Code, err)
		}
		for _, state := range report.Executors {
			of = state.Time
			for _, a := range state.Advice {
				if _, ok := seen[a.Kind]; !ok && !slices.Contains(except, a.Kind) {
					seen[a.Kind] = fmt.Sprintf("%s: %s %s (%s)", a.Kind, a.Problem, a.Remedy, a.Call)
				}
			}
		}
		return of, nil
	}
	_, err := look() // from now on the page watches
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		ending, end := stop, time.Time{}
		for of := (time.Time{}); err == nil && (end.IsZero() || of.Before(end)); of, err = look() {
			select {
			case <-tick.C:
			case <-ending:
				ending, end = nil, time.Now() // and go on until the page has looked once more
				tick.Reset(50 * time.Millisecond)
			}
		}
	}()
	t.Cleanup(func() {
		close(stop)
		<-stopped
		if err != nil {
			t.Errorf("executortest: NoAdvice: %v", err)
		}
		for _, kind := range kinds {
			if text, ok := seen[kind]; ok {
				t.Errorf("executortest: advice: %s", text)
			}
		}
	})
}
