// Package jobspage shows workers of jobs in a browser or with curl: what they hold and did, how deep and how old their queue
// is, and advice: on a page of its own, or below their executors on those of debugpage.
package jobspage

import (
	"cmp"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/seed-97bda89a/executor/debugpage"
	"github.com/seed-97bda89a/executor/jobs"
)

// Entry is one worker, by a name for people.
type Entry struct {
	Name   string
	Worker *jobs.Worker
}

// Handler returns a page about the workers, as HTML, and with "Accept: application/json" or ?format=json as JSON. It only reads. It shows
// names of kinds and errors of the broker, no arguments. Its methods may be called from any goroutine.
func Handler(list ...Entry) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "this page only reads", http.StatusMethodNotAllowed)
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
		if r.URL.Query().Get("format") == "json" || strings.HasPrefix(r.Header.Get("Accept"), "application/json") {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(report(list))
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		write(w, report(list))
	})
}

// Show adds the workers to debugpage's pages of this process, in all formats, until hide is called.
func Show(list ...Entry) (hide func()) {
	list = slices.Clone(list)
	return debugpage.Show(func() []debugpage.Table { return tables(report(list)) })
}

// tables is a page of jobs as text.
func tables(rows []row) []debugpage.Table {
	if len(rows) == 0 {
		return nil
	}
	queue := debugpage.Table{Title: "Jobs", Head: []string{"queue of", "waiting", "delayed", "in flight", "dead", "oldest"}}
	workers := debugpage.Table{Title: "Workers of jobs", Head: []string{"worker", "held", "of at most", "done", "retried", "given back", "dead", "redelivered", "not told", "mean run"}}
	for _, r := range rows {
		s := r.Stats
		if d := s.Depth; !s.DepthAt.IsZero() {
			queue.Rows = append(queue.Rows, []string{r.Name, fmt.Sprint(d.Waiting), fmt.Sprint(d.Delayed), fmt.Sprint(d.InFlight), fmt.Sprint(d.Dead), d.Oldest.Round(100 * time.Millisecond).String()})
		}
		cells := []string{r.Name, fmt.Sprint(s.Held), fmt.Sprint(s.MaxInFlight)}
		for _, n := range []uint64{s.Done, s.Retried, s.Returned, s.Dead, s.Redelivered, s.SettleErrors} {
			cells = append(cells, fmt.Sprint(n))
		}
		workers.Rows = append(workers.Rows, append(cells, s.MeanRun.Round(time.Microsecond).String()))
		for _, a := range r.Advice {
			queue.Notes = append(queue.Notes, r.Name+": "+a.Problem+" "+a.Remedy)
		}
	}
	return []debugpage.Table{queue, workers}
}

type row struct {
	Name   string        `json:"name"`
	Stats  jobs.Stats    `json:"stats"`
	Advice []jobs.Advice `json:"advice"`
}

func report(list []Entry) []row {
	rows := make([]row, 0, len(list))
	for _, e := range list {
		if e.Worker != nil {
			s := e.Worker.Stats()
			rows = append(rows, row{e.Name, s, jobs.Advise(s)})
		}
	}
	return rows
}

func write(w io.Writer, rows []row) {
	fmt.Fprint(w, `<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="2"><title>jobs</title>
<style>body{font:14px system-ui;margin:2em;max-width:60em}table{border-collapse:collapse;margin:.5em 0 1.5em}th,td{text-align:right;padding:.2em .8em;border-bottom:1px solid #8884}th:first-child,td:first-child{text-align:left}.advice{border-left:4px solid #c60;padding:.2em .8em;margin:.5em 0}@media(prefers-color-scheme:dark){body{background:#111;color:#ddd}}</style>
<h1>Jobs</h1>`)
	if len(rows) == 0 {
		fmt.Fprint(w, "<p>No workers.</p>")
		return
	}
	// One queue may have several workers here; the newest look is shown.
	newest := slices.MaxFunc(rows, func(a, b row) int { return cmp.Compare(a.Stats.DepthAt.UnixNano(), b.Stats.DepthAt.UnixNano()) }).Stats
	if !newest.DepthAt.IsZero() {
		d := newest.Depth
		fmt.Fprintf(w, `<h2>Queue</h2><table><tr><th>waiting</th><th>delayed</th><th>in flight</th><th>dead</th><th>oldest</th></tr><tr><td style="text-align:right">%d</td><td>%d</td><td>%d</td><td>%d</td><td>%v</td></tr></table>`,
			d.Waiting, d.Delayed, d.InFlight, d.Dead, d.Oldest.Round(100*time.Millisecond))
	}
	fmt.Fprint(w, `<h2>Workers</h2><table><tr><th>worker</th><th>slots</th><th>held</th><th>of at most</th><th>done</th><th>retried</th><th>given back</th><th>dead</th><th>redelivered</th><th>overdue</th><th>not told</th><th>mean run</th></tr>`)
	for _, r := range rows {
		s := r.Stats
		fmt.Fprintf(w, `<tr><td>%s</td><td>%d</td><td>%d</td><td>%d</td><td>%d</td><td>%d</td><td>%d</td><td>%d</td><td>%d</td><td>%d</td><td>%d</td><td>%v</td></tr>`,
			html.EscapeString(r.Name), s.Slots, s.Held, s.MaxInFlight, s.Done, s.Retried, s.Returned, s.Dead, s.Redelivered, s.Overdue, s.SettleErrors, s.MeanRun.Round(time.Microsecond))
	}
	fmt.Fprint(w, `</table>`)
	for _, r := range rows {
		for _, a := range r.Advice {
			fmt.Fprintf(w, `<div class="advice"><b>%s</b>: %s %s</div>`, html.EscapeString(r.Name), html.EscapeString(a.Problem), html.EscapeString(a.Remedy))
		}
		if len(r.Stats.Kinds) == 0 {
			continue
		}
		fmt.Fprintf(w, `<h3>Kinds of %s</h3><table><tr><th>kind</th><th>done</th><th>retried</th><th>given back</th><th>dead</th></tr>`, html.EscapeString(r.Name))
		for _, name := range slices.Sorted(maps.Keys(r.Stats.Kinds)) {
			k := r.Stats.Kinds[name]
			fmt.Fprintf(w, `<tr><td>%s</td><td>%d</td><td>%d</td><td>%d</td><td>%d</td></tr>`, html.EscapeString(name), k.Done, k.Retried, k.Returned, k.Dead)
		}
		fmt.Fprint(w, `</table>`)
	}
}
