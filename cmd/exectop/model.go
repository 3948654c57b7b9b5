package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// model is what is shown: the last look, and what was chosen. It knows no terminal.
type model struct {
	look look
	err  error  // of the last try; look is then an older one
	name string // the executor that is shown; "": the overview

	table    int // which of the tables is shown, of one executor
	selected int
	sorts    map[string]sorting // by the title of a table
	filter   string
	typing   bool // the filter
	paused   bool
}

type sorting struct {
	column int
	down   bool
}

// put takes a new look.
func (m *model) put(l look, err error) {
	if m.err = err; err == nil {
		m.look = l
	}
}

// table is a table of text. A cell sorts by its number if it has one.
type table struct {
	title   string
	columns []string
	rows    [][]cell
}

type cell struct {
	text   string
	number float64
	bad    bool
}

func word(text string) cell { return cell{text: printable(text)} }
func count[N int | uint64](n N) cell {
	return cell{text: strconv.FormatUint(uint64(n), 10), number: float64(n)}
}
func rate(n float64) cell { return cell{text: strconv.FormatFloat(n, 'f', 1, 64), number: n} }
func duration(d time.Duration) cell {
	if d == 0 {
		return cell{text: "-"}
	}
	round := d
	for unit := time.Duration(1); unit < d; unit *= 10 {
		if d >= 100*unit {
			round = d.Round(unit)
		}
	}
	return cell{text: round.String(), number: float64(d)}
}
func bad(c cell, is bool) cell { c.bad = is; return c }

// tables are those that can be shown now.
func (m *model) tables() []table {
	if m.look.one == nil {
		return []table{m.overview(), m.bulkheads()}
	}
	s := m.look.one
	slots := table{title: "slots", columns: []string{"slot", "state", "task", "for", "queued", "in"}}
	for _, at := range s.Slots {
		state := at.State
		if at.Lent {
			state += ", lent"
		}
		slots.rows = append(slots.rows, []cell{count(at.Slot), word(state), word(at.Task), duration(at.Age), count(at.Queued), word(at.In)})
	}
	tasks := table{title: "tasks by name", columns: []string{"name", "per s", "ended", "failed", "panicked", "wait p50", "wait p99", "run p50", "run p99"}}
	errs := table{title: "errors", columns: []string{"ago", "task", "error"}}
	for _, n := range s.Named {
		tasks.rows = append(tasks.rows, []cell{word(n.Name), rate(n.Rate), count(n.Count), bad(count(n.Failed), n.Failed > 0), bad(count(n.Panicked), n.Panicked > 0),
			duration(n.WaitP50), duration(n.WaitP99), duration(n.RunP50), duration(n.RunP99)})
		for _, err := range n.Errors {
			errs.rows = append(errs.rows, []cell{duration(m.look.at.Sub(err.Time).Truncate(time.Second)), word(n.Name), word(err.Text)})
		}
	}
	all := []table{slots, tasks, errs}
	if len(s.Stats.Lanes) > 0 {
		all = append(all, lanesOf(s))
	}
	if len(s.Groups) > 0 {
		all = append(all, groupsOf(s))
	}
	return append(all, m.bulkheads())
}

func lanesOf(s *state) table {
	t := table{title: "lanes", columns: []string{"lane", "running", "reserved", "queued", "limit", "oldest", "waiting", "taken", "rejected", "shed"}}
	for _, l := range s.Stats.Lanes {
		t.rows = append(t.rows, []cell{word(cmp.Or(l.Name, "default")), count(l.Running), count(l.Share), bad(count(l.Queued), l.Queued >= l.QueueLimit), count(l.QueueLimit),
			duration(l.OldestAge), bad(count(l.Waiting), l.Waiting > 0), count(l.Taken), count(l.Rejected), count(l.Shed)})
	}
	return t
}

func groupsOf(s *state) table {
	t := table{title: "groups", columns: []string{"tasks named", "accepted", "let run", "limit", "held", "backlog", "callers waiting", "others waiting", "state"}}
	for _, g := range s.Groups {
		limit, is := word("none"), word("open")
		if g.Limit >= 0 {
			limit = count(g.Limit)
		}
		if g.Failed {
			is = bad(word("failed"), true)
		}
		t.rows = append(t.rows, []cell{word(cmp.Or(g.Name, "no name")), count(g.Active), count(g.Started), limit, count(g.Held), count(g.Backlog),
			bad(count(g.Waiting), g.Waiting > 0), count(g.Others), is})
	}
	return t
}

func (m *model) overview() table {
	t := table{title: "executors", columns: []string{"name", "state", "running", "slots", "queued", "oldest", "waiting", "per s", "rejected", "advice"}}
	for _, b := range m.look.all.Executors {
		t.rows = append(t.rows, []cell{word(b.Name), bad(word(b.State), b.State == "full"), count(b.Running), count(b.Slots), count(b.Queued), duration(b.Oldest),
			bad(count(b.Waiting), b.Waiting > 0), rate(b.Rate), count(b.Rejected), bad(word(strings.Join(b.Advice, " ")), true)})
	}
	return t
}

func (m *model) bulkheads() table {
	t := table{title: "bulkheads", columns: []string{"name", "inside", "limit", "waiting", "longest wait"}}
	for _, b := range m.look.all.Bulkheads {
		t.rows = append(t.rows, []cell{word(b.Name), count(b.Inside), count(b.Limit), bad(count(b.Waiting), b.Waiting > 0), duration(b.LongestWait)})
	}
	return t
}

// shown is the table that is shown: sorted, filtered, and with a selection that exists.
func (m *model) shown() table {
	all := m.tables()
	m.table = min(m.table, len(all)-1)
	t := all[m.table]
	if m.filter != "" {
		t.rows = slices.DeleteFunc(t.rows, func(row []cell) bool {
			return !slices.ContainsFunc(row, func(c cell) bool { return strings.Contains(strings.ToLower(c.text), strings.ToLower(m.filter)) })
		})
	}
	if s, ok := m.sorts[t.title]; ok {
		slices.SortStableFunc(t.rows, func(a, b []cell) int {
			x, y := a[s.column], b[s.column]
			order := cmp.Or(cmp.Compare(x.number, y.number), strings.Compare(x.text, y.text))
			if s.down {
				return -order
			}
			return order
		})
	}
	m.selected = max(0, min(m.selected, len(t.rows)-1))
	return t
}

// sort chooses the column that is so far from the one that is sorted by.
func (m *model) sort(step int) {
	t := m.shown()
	s, ok := m.sorts[t.title]
	if !ok {
		s.column = min(0, -step) // to the right: the first column; to the left: the last one
	}
	s.column = (s.column + step + len(t.columns)) % len(t.columns)
	s.down = slices.ContainsFunc(t.rows, func(row []cell) bool { return row[s.column].number != 0 }) // numbers: the largest first
	if m.sorts == nil {
		m.sorts = make(map[string]sorting)
	}
	m.sorts[t.title] = s
}

func (m *model) reverse() {
	title := m.shown().title
	if s, ok := m.sorts[title]; ok {
		s.down = !s.down
		m.sorts[title] = s
	}
}

// head is what stands above the table.
func (m *model) head() []cell {
	if m.err != nil {
		text := "! " + m.err.Error()
		if !m.look.at.IsZero() {
			text += "; what follows is as of " + m.look.at.Format(time.TimeOnly)
		}
		return append([]cell{bad(word(text), true)}, m.summary()...)
	}
	if m.look.at.IsZero() {
		return []cell{word("asking ...")}
	}
	return m.summary()
}

func (m *model) summary() []cell {
	if m.look.one == nil {
		return []cell{word(fmt.Sprintf("%d executors", len(m.look.all.Executors)))}
	}
	s := m.look.one
	lines := []cell{
		word(fmt.Sprintf("%s: %s, %d slots (%s)", s.Name, s.Lifecycle, s.Stats.Slots, s.Sizing.Reason)),
		word(fmt.Sprintf("running %d  queued %d of %d, oldest %s  waiting %d  blocked %d  spares %d of %d", s.Stats.Running, s.Stats.Queued, s.Stats.QueueLimit,
			duration(s.Stats.OldestAge).text, s.Stats.Waiting, s.Stats.Blocked, s.Stats.Spares, s.MaxSpares)),
		word(fmt.Sprintf("submitted %d  completed %d (failed %d)  panicked %d  canceled %d  rejected %d", s.Stats.Submitted, s.Stats.Completed, s.Stats.Failed,
			s.Stats.Panicked, s.Stats.Canceled, s.Stats.Rejected)),
	}
	if n := len(s.History); n > 0 {
		p := s.History[n-1]
		lines = append(lines, word(fmt.Sprintf("per second: submitted %.0f  ended %.0f  rejected %.0f  wait p50 %s p99 %s  run p50 %s p99 %s", p.Submitted, p.Completed,
			p.Rejected, duration(s.Wait.P50).text, duration(s.Wait.P99).text, duration(s.Run.P50).text, duration(s.Run.P99).text)))
	}
	for _, a := range s.Advice {
		lines = append(lines, bad(word("! "+a.Problem), true), word("  "+a.Remedy+" "+a.Call))
	}
	for _, sentence := range s.Story {
		lines = append(lines, word(sentence))
	}
	return lines
}

// printable replaces what a terminal might take for a command: names and errors come from elsewhere.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}
