package debugpage

import (
	"bytes"
	"cmp"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/seed-97bda89a/executor"
)

// The page as text, for a terminal. Names, panic values and stacks come from elsewhere, so control characters
// are replaced: a terminal would obey them.

func renderTexts(all []*snapshot) []byte {
	if len(all) == 0 {
		return []byte("There is no live executor in this process.\n")
	}
	var b bytes.Buffer
	for i, f := range all {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.Write(f.text())
	}
	writeTextBulkheads(&b)
	writeTextTables(&b)
	return b.Bytes()
}

func renderText(d *State) []byte {
	v := sectionOf(d)
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s: %s, up %s\n%s\n", printable(d.Name), d.Lifecycle, durationText(v.Up), printable(v.Why))
	for _, a := range d.Advice {
		fmt.Fprintf(&b, "\n! %s\n  %s\n  %s\n  %s\n", printable(a.Problem), a.Remedy, a.Call, a.More)
	}
	for _, sentence := range d.Story {
		fmt.Fprintf(&b, "\n%s\n", printable(sentence))
	}
	b.WriteByte('\n')
	columns := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, f := range v.Figures {
		fmt.Fprintf(columns, "  %s\t%s\t%s\n", strings.ToLower(f.Label), f.Value, f.Of)
	}
	for _, c := range v.Charts {
		fmt.Fprintf(columns, "  %s\t%s\tmax %s in the last minute\n", strings.ToLower(c.Label), c.Value, c.Max)
	}
	_ = columns.Flush()
	writeTextSlots(&b, v)
	for _, table := range []struct {
		title string
		rows  []figure
	}{{"queues", v.Queues}, {"spares and compensation", v.Beside}, {"tasks", v.Ended}} {
		fmt.Fprintf(&b, "\n%s\n", table.title)
		for _, f := range table.rows {
			fmt.Fprintf(columns, "  %s\t%s\n", f.Label, f.Value)
		}
		_ = columns.Flush()
	}
	writeTextLanes(&b, d.Stats.Lanes)
	if len(v.Times) > 0 {
		fmt.Fprintf(columns, "\ntimes\tmedian\tp90\tp99\tmeasured\n")
		for _, t := range v.Times {
			fmt.Fprintf(columns, "  %s\t%s\t%s\t%s\t%d\n", t.Label, durationText(t.P50), durationText(t.P90), durationText(t.P99), t.Count)
		}
		_ = columns.Flush()
	}
	if len(d.Tasks) > 0 {
		fmt.Fprintf(&b, "\nwhat the slots run\n")
		for _, t := range d.Tasks {
			fmt.Fprintf(columns, "  %s\t%s %%\n", printable(t.Name), percentText(t.Share))
		}
		_ = columns.Flush()
	}
	writeTextNamed(&b, v)
	writeTextGroups(&b, v)
	for _, at := range v.Stuck {
		fmt.Fprintf(&b, "\n%s, %s for %s in %s\n%s", at.Where, printable(at.In), durationText(at.Age), printable(at.Task), indented(at.Stack))
	}
	writeTextEvents(&b, "stall", d.Stalls, d.Time)
	writeTextEvents(&b, "panic", d.Panics, d.Time)
	return b.Bytes()
}

func writeTextSlots(b *bytes.Buffer, v *section) {
	fmt.Fprintf(b, "\nslots %s\n", v.SlotsNote)
	columns := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	idle := 0
	for _, at := range v.Slots {
		if at.State == "idle" && v.Many {
			idle++
			continue
		}
		age, queued := "", ""
		if at.Age > 0 {
			age = durationText(at.Age)
		}
		if at.Queued > 0 {
			queued = fmt.Sprintf("%d queued", at.Queued)
		}
		fmt.Fprintf(columns, "  %d\t%s\t%s\t%s\t%s\t%s\n", at.Slot, at.State, printable(at.In), age, queued, printable(at.Task))
	}
	_ = columns.Flush()
	if idle > 0 {
		fmt.Fprintf(b, "  and %d idle\n", idle)
	}
}

func writeTextLanes(b *bytes.Buffer, all []executor.LaneStats) {
	if len(all) == 0 {
		return
	}
	columns := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(columns, "\nlanes\tqueued\tbound\toldest\twaiting\trunning\treserved\tcame\trefused, full\toverloaded\n")
	for _, l := range all {
		fmt.Fprintf(columns, "  %s\t%d\t%d\t%s\t%d\t%d\t%d\t%d\t%d\t%d\n", printable(laneText(l.Name)), l.Queued, l.QueueLimit, measuredText(l.OldestAge), l.Waiting,
			l.Running, l.Share, l.Submitted, l.Rejected, l.Shed)
	}
	_ = columns.Flush()
}

// laneText is how a lane is called.
func laneText(name string) string {
	if name == "" {
		return "default"
	}
	return name
}

func writeTextNamed(b *bytes.Buffer, v *section) {
	columns := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	if len(v.Named) > 0 {
		fmt.Fprintf(columns, "\ntasks by name\tper s\tended\tfailed\tpanicked\twait p50\tp99\trun p50\tp99\n")
		for _, n := range v.Named {
			fmt.Fprintf(columns, "  %s\t%s\t%d\t%d\t%d\t%s\t%s\t%s\t%s\n", printable(n.Name), countText(n.Rate), n.Count, n.Failed, n.Panicked,
				measuredText(n.WaitP50), measuredText(n.WaitP99), measuredText(n.RunP50), measuredText(n.RunP99))
		}
		_ = columns.Flush()
	}
	if len(v.Errors) > 0 {
		fmt.Fprintf(b, "\nlast errors\n")
		for _, err := range v.Errors {
			fmt.Fprintf(columns, "  %s\t%s\t%s\n", agoText(v.Time.Sub(err.Time)), printable(err.Task), printable(cutOff(err.Text, maxLine)))
		}
		_ = columns.Flush()
	}
}

func writeTextGroups(b *bytes.Buffer, v *section) {
	columns := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	if len(v.Groups) > 0 {
		fmt.Fprintf(columns, "\ngroups\taccepted\tlet run\tlimit\theld\tbacklog\tcallers waiting\tothers waiting\tstate\n")
		for _, g := range v.Groups {
			limit, state := numberText(g.Limit), "open"
			if g.Limit < 0 {
				limit = "none"
			}
			if g.Failed {
				state = "failed"
			}
			fmt.Fprintf(columns, "  %s\t%d\t%d\t%s\t%d\t%d\t%d\t%d\t%s\n", printable(cmp.Or(g.Name, "no name")), g.Active, g.Started, limit, g.Held, g.Backlog, g.Waiting, g.Others, state)
		}
		_ = columns.Flush()
	}
}

// maxLine is how much of an error is shown on a line.
const maxLine = 200

func writeTextBulkheads(b *bytes.Buffer) {
	all := bulkheads()
	if len(all) == 0 {
		return
	}
	columns := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(columns, "\nbulkheads\tinside\tlimit\twaiting\tlongest wait\n")
	for _, h := range all {
		fmt.Fprintf(columns, "  %s\t%d\t%d\t%d\t%s\n", printable(h.Name), h.Inside, h.Limit, h.Waiting, measuredText(h.LongestWait))
	}
	_ = columns.Flush()
}

func writeTextEvents(b *bytes.Buffer, kind string, events []Event, now time.Time) {
	for _, e := range events {
		fmt.Fprintf(b, "\n%s, %s", kind, agoText(now.Sub(e.Time)))
		if e.Count > 1 {
			fmt.Fprintf(b, ", %d times", e.Count)
		}
		if e.Task != "" {
			fmt.Fprintf(b, ", in %s", printable(e.Task))
		}
		fmt.Fprintf(b, ": %s\n%s", printable(e.What), indented(e.Stack))
	}
}

func indented(stack string) string {
	var b strings.Builder
	for line := range strings.Lines(stack) {
		at, deeper := strings.CutPrefix(strings.TrimRight(line, "\n"), "\t")
		if deeper {
			b.WriteString("  ")
		}
		b.WriteString("  " + printable(at) + "\n")
	}
	return b.String()
}

// printable replaces what a terminal might take for a command.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}
