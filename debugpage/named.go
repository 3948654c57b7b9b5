package debugpage

import (
	"cmp"
	"slices"
	"time"

	"github.com/seed-97bda89a/executor"
)

// Tables of what has a name: tasks and bulkheads.

// maxErrors is how many errors are listed, of all names together.
const maxErrors = 16

// endedByName is how many tasks of each name had ended at a time.
type endedByName struct {
	at    time.Time
	count map[string]uint64
}

// named returns the figures of tasks with names, and remembers them for the rates of the next looks.
func (o *observer) named(e *executor.Executor, now time.Time) []Named {
	stats, ended := e.TaskStats(), endedByName{now, make(map[string]uint64)}
	all := make([]Named, 0, len(stats))
	for _, s := range stats {
		n := Named{TaskStats: s}
		if n.Errors == nil {
			n.Errors = []executor.TaskError{}
		}
		if len(o.ended) > 0 { // a name that was not there then had ended no task
			was := o.ended[0]
			n.Rate = float64(since(s.Count, was.count[s.Name])) / max(1e-3, now.Sub(was.at).Seconds())
		}
		ended.count[s.Name] = s.Count
		all = append(all, n)
	}
	if len(o.ended) == recentPoints {
		o.ended = slices.Delete(o.ended, 0, 1)
	}
	o.ended = append(o.ended, ended)
	return all
}

// taskError is an error of a task with a name.
type taskError struct {
	Task string
	executor.TaskError
}

// lastErrors returns the last errors of all names, newest first.
func lastErrors(named []Named) []taskError {
	var all []taskError
	for _, n := range named {
		for _, err := range n.Errors {
			all = append(all, taskError{n.Name, err})
		}
	}
	slices.SortStableFunc(all, func(a, b taskError) int { return cmp.Compare(b.Time.UnixNano(), a.Time.UnixNano()) })
	return all[:min(len(all), maxErrors)]
}

// bulkheads are those of the process.
func bulkheads() []executor.BulkheadStats {
	return append([]executor.BulkheadStats{}, executor.Bulkheads()...)
}

// renderProcess renders what belongs to the process and to no executor, as a fragment.
func renderProcess() []byte { return pageTemplate().render("process.html", ofProcess()) }

// process is what belongs to the process and to no executor.
type process struct {
	Bulkheads []executor.BulkheadStats
	Tables    []Table
}

func ofProcess() process { return process{bulkheads(), tables()} }

func (p process) empty() bool { return len(p.Bulkheads)+len(p.Tables) == 0 }
