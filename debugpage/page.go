package debugpage

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/url"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/seed-97bda89a/executor"
)

// The page: templates, and what they need beside State. Names, values and stacks are data to
// html/template, which escapes them; style and script are ours, and the policy allows nothing else.

//go:embed page
var pageFiles embed.FS

// page is the parsed page. It is parsed for the first who asks, not at import.
type page struct {
	templates     *template.Template
	style, script string
	policy        string // the Content-Security-Policy
}

var pages struct {
	once sync.Once
	page page
}

func pageTemplate() *page {
	pages.once.Do(func() {
		p := &pages.page
		p.style, p.script = pageFile("style.css"), pageFile("tables.js")+pageFile("timeline.js")+pageFile("live.js")
		p.templates = template.Must(template.New("").Funcs(template.FuncMap{
			"dur": durationText, "initial": initial, "short": shortTask, "num": numberText[int], "num64": numberText[uint64], "percent": percentText, "rate": rateText, "count": countText, "measured": measuredText, "lane": laneText,
		}).ParseFS(pageFiles, "page/*.html"))
		p.policy = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; connect-src 'self'; img-src data:; " +
			"style-src " + sourceHash(p.style) + "; script-src " + sourceHash(p.script)
	})
	return &pages.page
}

func pageFile(name string) string {
	text, err := pageFiles.ReadFile("page/" + name)
	if err != nil {
		panic(err) // it is part of the program
	}
	return string(text)
}

func sourceHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// render executes a template. The data is ours, so an error is a mistake in a template.
func (p *page) render(name string, data any) []byte {
	var b bytes.Buffer
	if err := p.templates.ExecuteTemplate(&b, name, data); err != nil {
		fmt.Fprintf(&b, "\n<p>%s</p>\n", template.HTMLEscapeString(err.Error()))
	}
	return b.Bytes()
}

// pageLink is an entry of the navigation.
type pageLink struct{ Name, Link string }

// renderPage renders the whole page. only is the name in the request, if there is one.
func renderPage(all []*snapshot, only string) []byte {
	title, query := "executors", "?"
	if only != "" {
		query += "executor=" + url.QueryEscape(only) + "&"
	}
	var names []pageLink
	var sections []template.HTML
	for _, f := range all {
		sections = append(sections, template.HTML(f.html()))
		if len(all) > 1 {
			names = append(names, pageLink{Name: f.state.Name, Link: "?executor=" + url.QueryEscape(f.state.Name)})
		}
	}
	if !ofProcess().empty() {
		sections = append(sections, template.HTML(renderProcess()))
	}
	if only != "" {
		names = []pageLink{{Name: "all executors", Link: "?"}}
	}
	if len(all) == 1 {
		title = all[0].state.Name + " · executor"
	}
	return renderWhole(title, query, names, sections...)
}

func renderSection(d *State) []byte {
	return pageTemplate().render("section.html", sectionOf(d))
}

// section is what the template of one executor reads.
type section struct {
	*State
	Up        time.Duration
	Why       string // the number of slots, and where it comes from
	Figures   []figure
	Charts    []chart
	Past      []chart // the last 10 minutes
	States    []stateCount
	Many      bool   // too many slots for more than a mark each
	Busy      []Slot // of these, those with a task, the longest first
	Hidden    int    // and how many more there are
	SlotsNote string // beside the heading
	Stuck     []stuckTasks
	Times     []timesRow
	Shares    []share
	Errors    []taskError // of tasks with names
	Queues    []figure
	Beside    []figure
	Ended     []figure
}

// maxBusy is how many busy slots are listed where there is a mark for each only.
const maxBusy = 40

type figure struct {
	Label, Value, Of string
	Bad              bool
}

// share is a row of the table of tasks, with the length of its bar in percent.
type share struct {
	Task
	Bar string
}

// timesRow is a row of the table of times.
type timesRow struct {
	Label string
	Times
}

type stateCount struct {
	State string
	Count int
}

func sectionOf(d *State) *section {
	s := &d.Stats
	v := &section{State: d, Up: d.Time.Sub(d.Since).Truncate(time.Second), Many: len(d.Slots) > 16, Why: sizingText(&d.Sizing)}
	v.Figures = []figure{
		{Label: "Running", Value: numberText(s.Running), Of: fmt.Sprintf("of %s %s", numberText(s.Slots), plural(s.Slots, "slot"))},
		{Label: "Queued", Value: numberText(s.Queued), Of: queuedOf(s), Bad: s.Queued >= s.QueueLimit},
		{Label: "Waiting", Value: numberText(s.Waiting), Of: "for room", Bad: s.Waiting > 0},
		{Label: "Blocking", Value: numberText(d.Runners.Blocking), Of: "slot lent"},
		{Label: "Spares", Value: numberText(s.Spares), Of: "of " + numberText(d.MaxSpares), Bad: s.Spares >= d.MaxSpares && d.MaxSpares > 0},
		throttledFigure(d),
	}
	v.Charts = charts(d.History)
	if len(d.Past) > 0 {
		v.Past = charts(tens(pointsOf(d.Past)))[:4] // waits are measured only while somebody looks
	}
	for _, at := range d.Slots {
		if at.Stack != "" {
			v.addStuck(at)
		}
	}
	if d.Wait.Count+d.Run.Count > 0 {
		v.Times = []timesRow{{"wait to be started", d.Wait}, {"run", d.Run}}
	}
	for _, task := range d.Tasks {
		v.Shares = append(v.Shares, share{task, percentText(task.Share / d.Tasks[0].Share)})
	}
	v.Errors = lastErrors(d.Named)
	if v.Many {
		v.Busy = slices.DeleteFunc(slices.Clone(d.Slots), func(at Slot) bool { return at.State == "idle" || at.State == "searching" })
		slices.SortStableFunc(v.Busy, func(a, b Slot) int { return cmp.Compare(b.Age, a.Age) })
		v.Hidden = max(0, len(v.Busy)-maxBusy)
		v.Busy = v.Busy[:len(v.Busy)-v.Hidden]
	}
	slices.SortFunc(v.Stuck, func(a, b stuckTasks) int { return cmp.Compare(b.Age, a.Age) })
	if n := s.Slots + s.Lent; n > len(d.Slots) {
		v.SlotsNote = fmt.Sprintf("%s of %s, those with a task first", numberText(len(d.Slots)), numberText(n))
	}
	if slices.ContainsFunc(d.Slots, func(at Slot) bool { return at.runs() && at.In == "" && at.Age > 5*time.Second }) && runtime.NumGoroutine() > 1000 {
		v.SlotsNote = strings.TrimPrefix(v.SlotsNote+"; ", "; ") + "what tasks that stand still do is not looked at among more than 1,000 goroutines"
	}
	for _, state := range []string{"running", "blocking", "waiting", "searching", "idle"} {
		v.States = append(v.States, stateCount{state, d.States[state]})
	}
	v.Queues = []figure{
		{Label: "shared queue", Value: numberText(s.Queued - s.QueuedLocal)},
		{Label: "oldest task in it", Value: measuredText(s.OldestAge)},
		{Label: "in slots", Value: numberText(s.QueuedLocal)},
		{Label: "submitters that wait for room", Value: numberText(s.Waiting), Bad: s.Waiting > 0},
		{Label: "stolen", Value: numberText(s.Stolen)},
		{Label: "steal attempts", Value: numberText(s.StealAttempts)},
	}
	v.Beside = []figure{
		{Label: "runners, parked", Value: fmt.Sprintf("%d, %d", s.Workers, d.Runners.Parked)},
		{Label: "waiting, yielded, surplus", Value: fmt.Sprintf("%d, %d, %d", d.Runners.Waiting, d.Runners.Yielded, d.Runners.Surplus)},
		{Label: "slots handed over", Value: numberText(s.Handoffs)},
		{Label: "lent for unmarked blocking", Value: numberText(s.Compensated)},
		{Label: "refused for want of a spare", Value: numberText(s.Uncompensated), Bad: d.Window.Uncompensated > 0},
		{Label: "yields", Value: numberText(s.Yields)},
	}
	v.Ended = []figure{
		{Label: "submitted", Value: numberText(s.Submitted)},
		{Label: "completed", Value: numberText(s.Completed)},
		{Label: "of these with an error", Value: numberText(s.Failed)},
		{Label: "panicked", Value: numberText(s.Panicked), Bad: s.Panicked > 0},
		{Label: "canceled", Value: numberText(s.Canceled)},
		{Label: "rejected", Value: numberText(s.Rejected), Bad: d.Window.Rejected > 0},
	}
	return v
}

// queuedOf says how long the queue's oldest task has waited, if it is worth saying.
func queuedOf(s *executor.Stats) string {
	if s.OldestAge >= time.Millisecond {
		return "oldest " + durationText(s.OldestAge)
	}
	return "limit " + numberText(s.QueueLimit)
}

func throttledFigure(d *State) figure {
	f := figure{Label: "Throttled", Value: "–", Of: "no CPU quota"}
	if d.Throttling == nil {
		return f
	}
	f.Value, f.Of = "0 %", "of the time"
	if w := d.Window; w.Periods > 0 {
		f.Value = percentText(float64(w.Throttled)/float64(w.Periods)) + " %"
		f.Of = fmt.Sprintf("of %s periods", numberText(w.Periods))
		f.Bad = w.Throttled*20 > w.Periods
	}
	if quota := d.Sizing.Quota; quota > 0 {
		f.Of = "quota " + strconv.FormatFloat(quota, 'g', 4, 64)
	}
	return f
}

// stuckTasks are tasks of one name that stand still in the same way. What is embedded is of the oldest.
type stuckTasks struct {
	Slot
	Where string // slot 2, or slots 2, 5
}

func (v *section) addStuck(at Slot) {
	for i := range v.Stuck {
		if s := &v.Stuck[i]; s.Task == at.Task && s.In == at.In {
			s.Where = strings.Replace(s.Where, "slot ", "slots ", 1) + ", " + strconv.Itoa(at.Slot)
			if at.Age > s.Age {
				s.Slot = at
			}
			return
		}
	}
	v.Stuck = append(v.Stuck, stuckTasks{at, "slot " + strconv.Itoa(at.Slot)})
}

func sizingText(s *executor.Sizing) string {
	n := numberText(s.Slots) + " " + plural(s.Slots, "slot")
	if s.Fixed {
		return fmt.Sprintf("%s, fixed by %s, GOMAXPROCS=%d", n, s.Reason, s.GOMAXPROCS)
	}
	return n + ": " + s.Reason
}

// Ago says how long ago t was.
func (v *section) Ago(t time.Time) string {
	return agoText(v.Time.Sub(t))
}

// Key tells an event from others when the page is brought up to date: it stays while the event's words change.
func (e Event) Key() string { return cmp.Or(e.place, e.Task+" "+e.What) }

// initial is the letter in a slot's mark, so that its state is not told by colour alone.
func initial(state string) string {
	if state == "idle" {
		return ""
	}
	return strings.ToUpper(state[:1])
}

// shortTask leaves out the path of the package, if a task has no name but its function's.
func shortTask(task string) string {
	host, _, ok := strings.Cut(task, "/")
	if last := task[strings.LastIndexByte(task, '/')+1:]; ok && strings.Contains(host, ".") && strings.Contains(last, ".") && !strings.Contains(task, " ") {
		return last
	}
	return task
}
