package suite

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/seed-97bda89a/executor/benchmarks/internal/meter"
)

// Plan says how rows are run.
type Plan struct {
	Quick  bool
	Rounds int           // of every row, unless a quick look makes fewer do
	Limit  time.Duration // an entry that takes longer has failed
	// Before is called before each sample, After behind it.
	Before func(r Row, entry string, round, rounds int)
	After  func(r Row, entry string, s meter.Sample)
}

// RoundsOf returns how often the plan runs a row.
func (p Plan) RoundsOf(r Row) int {
	if p.Quick && r.QuickRounds > 0 {
		return min(p.Rounds, r.QuickRounds)
	}
	return p.Rounds
}

// Run runs a row: all contenders once, then all once more, each round with
// another one first, so that noise and order meet everybody alike.
func (p Plan) Run(r Row) (*Results, error) {
	results := NewResults(r)
	if r.Setup != nil {
		teardown, err := r.Setup(p.Quick)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.Name(), err)
		}
		defer teardown()
	}
	rounds := p.RoundsOf(r)
	for round := range rounds {
		for i := range r.Entries {
			e := r.Entries[(i+round)%len(r.Entries)]
			if e.Run == nil || results.Failed[e.Name] != nil {
				continue
			}
			if p.Before != nil {
				p.Before(r, e.Name, round, rounds)
			}
			s, err := p.sample(r, e)
			if err != nil {
				results.Failed[e.Name] = err
				continue
			}
			results.Samples[e.Name] = append(results.Samples[e.Name], s)
			if p.After != nil {
				p.After(r, e.Name, s)
			}
		}
	}
	return results, nil
}

// sample runs one entry once. One that does not end in time is left behind:
// nothing can stop it from outside.
func (p Plan) sample(r Row, e Entry) (meter.Sample, error) {
	runtime.GC()
	m := &meter.Meter{N: r.SizeFor(p.Quick), Slots: runtime.GOMAXPROCS(0), Quick: p.Quick}
	done := make(chan error, 1)
	go func() { done <- guarded(m, e) }()
	timeout := time.NewTimer(p.Limit)
	defer timeout.Stop()
	select {
	case err := <-done:
		return m.Sample(), err
	case <-timeout.C:
		return meter.Sample{}, fmt.Errorf("no result after %v", p.Limit)
	}
}

// guarded turns a panic of a benchmark into its result.
func guarded(m *meter.Meter, e Entry) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	return e.Run(m)
}
