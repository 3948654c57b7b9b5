package debugpage_test

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/debugpage"
	"github.com/stretchr/testify/require"
)

// P9: page, text, JSON and stream have the figures of tasks with names, their last errors, and the bulkheads.
//
// Mutants: errors are listed oldest first; bulkheads are in no frame; names are not escaped.
func TestPage_TasksWithNamesAndBulkheads(t *testing.T) {
	e := debugged(t, executor.WithSlots(2), executor.WithHistogramSampling(1))
	url := serve(t, debugpage.Handler(e))
	report(t, url) // from here on tasks are measured
	h, err := executor.NewBulkhead("page <backend>", 1)
	require.NoError(t, err)

	named := executor.WithTaskName(context.Background(), "page <named>")
	for _, fail := range []error{nil, errors.New("first <b>"), errors.New("second")} {
		f, err := executor.Submit(named, e, func(context.Context) (int, error) { return 0, fail })
		require.NoError(t, err)
		require.Equal(t, fail, result(t, f))
	}
	inside := newGate(t)
	require.NoError(t, e.Go(context.Background(), func(ctx context.Context) { _ = h.Blocking(ctx, inside.Wait) }))
	eventually(t, "the bulkhead is full", func() bool { return h.Stats().Inside == 1 })

	var named0 debugpage.Named
	eventually(t, "a look has seen the tasks", func() bool {
		for _, n := range report(t, url).Named {
			named0 = n
		}
		return named0.Count == 3
	})
	require.Equal(t, "page <named>", named0.Name)
	require.EqualValues(t, 2, named0.Failed)
	require.Equal(t, "second", named0.Errors[0].Text)
	require.Positive(t, named0.RunP99)

	_, body := fetch(t, "GET", url+"?format=json")
	var r debugpage.Report
	require.NoError(t, json.Unmarshal([]byte(body), &r))
	held := r.Bulkheads[len(r.Bulkheads)-1]
	require.Equal(t, "page <backend>", held.Name)
	require.Equal(t, 1, held.Inside)

	_, page := fetch(t, "GET", url+"?format=html")
	requireSound(t, page)
	for _, has := range []string{"page &lt;named&gt;", "first &lt;b&gt;", "page &lt;backend&gt;"} {
		require.Contains(t, page, has)
	}
	require.Less(t, strings.Index(page, "second"), strings.Index(page, "first &lt;b"))
	_, text := fetch(t, "GET", url)
	for _, has := range []string{"tasks by name", "page <named>", "second", "page <backend>"} {
		require.Contains(t, text, has)
	}

	s := openStream(t, url)
	within(t, "the stream has a frame with bulkheads", func() {
		for event, data := s.next(); ; event, data = s.next() {
			if event == "" || strings.Contains(data, "page &lt;backend&gt;") {
				require.Equal(t, "frame", event)
				return
			}
		}
	})
	inside.Open()
}

// The first look at an executor that has a history begins with it.
//
// Mutant: the page begins with the first viewer.
func TestPage_HistoryBeforeTheFirstViewer(t *testing.T) {
	e := debugged(t, executor.WithSlots(1), executor.WithHistory())
	f, err := executor.Submit(context.Background(), e, func(context.Context) (int, error) { return 0, nil })
	require.NoError(t, err)
	require.NoError(t, result(t, f))
	eventually(t, "a second has passed", func() bool { return len(e.History()) > 0 })
	url := serve(t, debugpage.Handler(e))
	d := report(t, url)
	require.GreaterOrEqual(t, len(d.Past), 1)
	require.True(t, d.History[0].Time.Equal(d.Past[0].Time))
	require.EqualValues(t, 1, d.Past[0].Submitted)
	_, page := fetch(t, "GET", url+"?format=html")
	requireSound(t, page)
	require.Contains(t, page, "The last 10 minutes")
}

// The overview looks closer where something waits for long, and tells the same kinds as the page.
//
// Mutants: only counters are looked at; the points of the lines are not kept; the lines of all executors are one.
func TestPage_TheOverviewTellsWhoWaitsForWhom(t *testing.T) {
	debugged(t, executor.WithName("overview, well"))
	e := debugged(t, executor.WithName("overview, ill"), executor.WithSlots(1), executor.WithMaxSpares(1), executor.WithQueueLimit(4))
	results, sent := make(chan int), make(chan struct{})
	go func() {
		defer close(sent)
		for i := range 16 {
			_ = e.Go(context.Background(), func(ctx context.Context) { _ = executor.Send(ctx, results, i) })
		}
	}()
	url := serve(t, debugpage.Handler())
	advice := make(map[string][]string)
	eventually(t, "it tells of the submitter", func() bool {
		_, body := fetch(t, "GET", url+"?format=list")
		var o debugpage.Overview
		require.NoError(t, json.Unmarshal([]byte(body), &o))
		for _, b := range o.Executors {
			advice[b.Name] = b.Advice
		}
		return slices.Contains(advice["overview, ill"], debugpage.AdviceSubmitters)
	})
	require.Contains(t, advice["overview, ill"], debugpage.AdviceSpares)
	require.Empty(t, advice["overview, well"])
	for range 16 {
		await(t, "a result", results)
	}
	await(t, "all are submitted", sent)
}

// What the program shows beside its executors is in every format, as text and never as markup, until it is hidden.
//
// Mutants: Show is in no frame; a cell is not escaped; hide hides nothing.
func TestPage_Tables(t *testing.T) {
	e := debugged(t, executor.WithSlots(1))
	url := serve(t, debugpage.Handler(e))
	hide := debugpage.Show(func() []debugpage.Table {
		return []debugpage.Table{{Title: "queue <images>", Head: []string{"queue", "waiting"}, Rows: [][]string{{"a<b", "7"}, {"c\x1b[31m", "8"}}, Notes: []string{"too <old>"}}}
	})
	defer hide()
	for format, has := range map[string][]string{
		"html": {"queue &lt;images&gt;", "a&lt;b", "<td>7</td>", "too &lt;old&gt;"},
		"text": {"queue <images>", "a<b", "8", "! too <old>"},
		"json": {`"title": "queue \u003cimages\u003e"`}, "list": {`"title": "queue \u003cimages\u003e"`},
	} {
		_, body := fetch(t, "GET", url+"?format="+format)
		for _, want := range has {
			require.Contains(t, body, want, format)
		}
		switch format {
		case "html":
			requireSound(t, body)
		case "text":
			require.NotContains(t, body, "\x1b", "a terminal would obey it")
		}
	}
	s := openStream(t, url)
	within(t, "the stream has a frame with tables", func() {
		for event, data := s.next(); !strings.Contains(data, "a&lt;b"); event, data = s.next() {
			require.NotEmpty(t, event)
		}
	})
	hide()
	_, body := fetch(t, "GET", url+"?format=html")
	require.False(t, strings.Contains(body, "images"))
	require.PanicsWithValue(t, "debugpage: Show: read must not be nil", func() { debugpage.Show(nil) })
}

// Each lane is a row of page, text and stream; an executor without lanes has no such table. Mutants: names are not escaped; the lane
// without a name has none; a lane's numbers are another one's.
func TestPage_Lanes(t *testing.T) {
	e := debugged(t, executor.WithSlots(1), executor.WithStallDetection(false), executor.WithLanes(executor.Lane{Name: "<batch>", Max: 1, QueueLimit: 41}))
	url := serve(t, debugpage.Handler(e))
	batch, gate, in := executor.WithLane(context.Background(), "<batch>"), newGate(t), make(chan struct{})
	require.NoError(t, e.Go(batch, func(context.Context) { close(in); gate.Wait() }))
	await(t, "it runs", in)
	for range 41 {
		require.NoError(t, e.TryGo(batch, func(context.Context) {}))
	}
	for range 17 {
		require.ErrorIs(t, e.TryGo(batch, func(context.Context) {}), executor.ErrQueueFull)
	}
	page, text := "", ""
	eventually(t, "a look has seen them", func() bool {
		_, page = fetch(t, "GET", url+"?format=html")
		_, text = fetch(t, "GET", url)
		return strings.Contains(page, "<td>41</td><td>41</td>")
	})
	requireSound(t, page)
	require.Regexp(t, `&lt;batch&gt;</th><td>41</td><td>41</td><td[^>]*>[^<]*</td><td>0</td><td>1</td><td></td><td>42</td><td class="bad">17</td><td>0</td>`, page)
	require.Regexp(t, `default</th><td>0</td><td>1,?024</td><td[^>]*>–</td><td>0</td><td></td><td></td><td>0</td><td>0</td><td>0</td>`, page)
	require.Regexp(t, `<batch> +41 +41 +\S+( \S+)? +0 +1 +0 +42 +17 +0\n +default +0 +1024 +–`, text)
	gate.Open()
	_, plain := fetch(t, "GET", serve(t, debugpage.Handler(debugged(t)))+"?format=html")
	require.NotContains(t, plain, "data-key=\"lanes\"")
}

// Groups are a table on the page and in the text, with the numbers of the JSON, and names that can not harm.
//
// Mutants: a table is left out; held and started are swapped; a name is not escaped.
func TestPage_Groups(t *testing.T) {
	e := debugged(t, executor.WithSlots(1), executor.WithStallDetection(false), executor.WithLanes(executor.Lane{Name: "<batch>", Max: 1, QueueLimit: 7}))
	gate := newGate(t)
	g := e.NewGroup(executor.WithTaskName(executor.WithLane(context.Background(), "<batch>"), "<nightly>"))
	g.SetLimit(2)
	for range 5 {
		g.Go(func(context.Context) error { gate.Wait(); return nil })
	}
	url := serve(t, debugpage.Handler(e))
	eventually(t, "one of two that may runs", func() bool {
		d := report(t, url)
		return len(d.Groups) == 1 && d.Groups[0].Started == 2 && d.Groups[0].Held == 3 && d.Stats.Lanes[0].Running == 1 && d.Stats.Lanes[0].Queued == 1
	})
	_, page := fetch(t, "GET", url+"?format=html")
	requireSound(t, page)
	row := func(part string) string {
		_, after, ok := strings.Cut(page, `data-part="`+part+`"`)
		require.True(t, ok)
		_, after, _ = strings.Cut(after, "<tbody>")
		after, _, _ = strings.Cut(after, "</tr>")
		return strings.Join(strings.Fields(regexp.MustCompile("<[^>]*>").ReplaceAllString(after, " ")), " ")
	}
	require.Regexp(t, `^&lt;nightly&gt; 5 2 2 3 [\d,]+ 0 0 open$`, row("groups"))
	_, text := fetch(t, "GET", url)
	require.Regexp(t, `(?m)^  <nightly> +5 +2 +2 +3 +\d+ +0 +0 +open$`, text)
	gate.Open()
	require.NoError(t, g.Wait())
}
