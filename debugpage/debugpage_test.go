package debugpage_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/debugpage"
	"github.com/seed-97bda89a/executor/internal/cgotest"
	"github.com/stretchr/testify/require"
)

// Mutant: */* gets HTML. Mutant: the format of the query loses against Accept.
func TestPage_TheFormatIsWhatTheClientAsksFor(t *testing.T) {
	url := serve(t, debugpage.Handler(debugged(t)))
	for _, c := range []struct{ query, accept, media, has string }{
		{"", "text/html,application/xhtml+xml,*/*;q=0.8", "text/html", "<!DOCTYPE html>"},
		{"", "*/*", "text/plain", " slot"},
		{"", "", "text/plain", " slot"},
		{"", "application/json", "application/json", `"executors"`},
		{"", "text/htmlx", "text/plain", " slot"}, // P8
		{"", "text/html;q=0.3, application/json;q=0.9", "application/json", `"executors"`},
		{"", "text/html;q=0, */*", "text/plain", " slot"},
		{"", "application/json, text/html", "application/json", `"executors"`},
		{"?format=html", "*/*", "text/html", "<!DOCTYPE html>"},
		{"?format=json", "text/html", "application/json", `"executors"`},
		{"?format=text", "text/html", "text/plain", " slot"},
	} {
		res, body := fetch(t, "GET", url+c.query, "Accept", c.accept)
		require.Equal(t, 200, res.StatusCode)
		require.Equal(t, c.media+"; charset=utf-8", res.Header.Get("Content-Type"), "%+v", c)
		require.Contains(t, body, c.has)
		require.Equal(t, "no-store", res.Header.Get("Cache-Control"))
		require.Equal(t, "nosniff", res.Header.Get("X-Content-Type-Options"))
		require.Contains(t, res.Header.Get("Content-Security-Policy"), "default-src 'none'")
	}
}

// Mutant: the page of one executor ignores the name in the request.
func TestPage_TheNameMustFit(t *testing.T) {
	e := debugged(t, executor.WithName("fits"))
	url := serve(t, debugpage.Handler(e))
	for query, want := range map[string]int{"?executor=fits": 200, "?executor=other": 404, "?executor=": 404, "": 200} {
		res, _ := fetch(t, "GET", url+query)
		require.Equal(t, want, res.StatusCode, query)
	}
}

// P8: with more than 16 slots too, tasks, ages and states can be read.
//
// Mutant: there are marks only.
func TestPage_ManySlotsAreReadable(t *testing.T) {
	e := debugged(t, executor.WithSlots(40), executor.WithStallDetection(false))
	stick(t, e, 3)
	url := serve(t, debugpage.Handler(e))
	eventually(t, "the tasks are known", func() bool {
		_, page := fetch(t, "GET", url+"?format=html")
		requireSound(t, page)
		return strings.Count(page, `<td>running, chan receive</td>`) == 3 && strings.Count(page, `aria-hidden="true">R</span>`) == 3 &&
			strings.Count(page, `aria-label="slot `) == 40 && !strings.Contains(page, "<nav")
	})
}

// Mutant: a POST is served. Mutant: an unknown format gets text.
func TestPage_OtherMethodsAndFormatsAreRefused(t *testing.T) {
	e := debugged(t)
	url := serve(t, debugpage.Handler(e))
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS"} {
		res, _ := fetch(t, method, url)
		require.Equal(t, 405, res.StatusCode, method)
		require.Equal(t, "GET, HEAD", res.Header.Get("Allow"))
	}
	for _, format := range []string{"xml", "", "JSON", "<b>"} {
		res, body := fetch(t, "GET", url+"?format="+format)
		require.Equal(t, 400, res.StatusCode, format)
		require.Contains(t, body, "html, json, list, text, events, timeline or perfetto")
		require.Equal(t, "text/plain; charset=utf-8", res.Header.Get("Content-Type"))
	}
	require.Zero(t, debugpage.Lookouts(e), "a refused request is not a viewer")
	for _, format := range []string{"html", "json", "text", "events"} {
		res, body := fetch(t, "HEAD", url+"?format="+format)
		require.Equal(t, 200, res.StatusCode, format)
		require.Empty(t, body)
	}
	require.Zero(t, debugpage.Streams(), "a HEAD does not stream")
}

var (
	voidElements = []string{"meta", "link", "br", "hr", "img", "input"}
	tags         = regexp.MustCompile(`<(/?)([a-zA-Z][a-zA-Z0-9]*)((?:[^>"]|"[^"]*")*)>`)
)

// perfettoPage is opened by a click, and by nothing else.
const perfettoPage = `const target = "https://ui.perfetto.dev", tab = open(target);`

// adviceLink leads to a page about a kind of advice.
const adviceLink = `href="https://github.com/seed-97bda89a/executor/blob/main/docs/advice/`

// requireSound checks that the tags of a page match, and that it asks for nothing elsewhere.
func requireSound(t *testing.T, page string) {
	t.Helper()
	markup := regexp.MustCompile(`(?s)<style>.*?</style>|<script>.*?</script>`).ReplaceAllString(page, "")
	var open []string
	for _, m := range tags.FindAllStringSubmatch(markup, -1) {
		closing, name, attributes := m[1] == "/", m[2], m[3]
		switch {
		case closing:
			require.NotEmpty(t, open, "</%s> closes nothing", name)
			require.Equal(t, open[len(open)-1], name, "in %s", m[0])
			open = open[:len(open)-1]
		case strings.HasSuffix(attributes, "/") || slices.Contains(voidElements, name):
		default:
			open = append(open, name)
		}
		names := regexp.MustCompile(`"[^"]*"`).ReplaceAllString(attributes, "")
		require.NotRegexp(t, `(?i)\s(on[a-z]+|style)\s*=`, names, "the policy forbids it")
		attributes = strings.ReplaceAll(attributes, adviceLink, `href="#`) // followed by a click, and by nothing else
		for _, link := range regexp.MustCompile(`(?i)(?:src|href|action|data)\s*=\s*"([^"]*)"`).FindAllStringSubmatch(attributes, -1) {
			require.Regexp(t, `^(\?|data:,$|#)`, link[1], "an address elsewhere")
		}
	}
	require.Empty(t, open)
	require.LessOrEqual(t, strings.Count(page, perfettoPage), 1)
	require.NotRegexp(t, `(?i)https?://|url\(|@import`, strings.NewReplacer(perfettoPage, "", adviceLink, "").Replace(page))
}

// Mutant: a style attribute, a font or a script from elsewhere. Mutant: the policy allows 'unsafe-inline'.
func TestPage_ThePageIsSoundAndLoadsNothing(t *testing.T) {
	e := debugged(t, executor.WithSlots(3), executor.WithPanicHandler(func(context.Context, *executor.PanicError) {}))
	stick(t, e, 2)
	require.NoError(t, e.Go(context.Background(), func(context.Context) { panic("oh") }))
	url := serve(t, debugpage.Handler(e))
	eventually(t, "everything is on the page", func() bool {
		d := report(t, url)
		return len(d.Panics) == 1 && len(d.Advice) > 0 && len(d.History) > 3
	})
	res, page := fetch(t, "GET", url, "Accept", "text/html")
	requireSound(t, page)
	policy := res.Header.Get("Content-Security-Policy")
	require.NotContains(t, policy, "unsafe")
	for _, element := range []string{"style", "script"} {
		inline := regexp.MustCompile(`(?s)<`+element+`>(.*?)</`+element+`>`).FindAllStringSubmatch(page, -1)
		require.Len(t, inline, 1)
		sum := sha256.Sum256([]byte(inline[0][1]))
		require.Contains(t, policy, element+"-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'", "the browser would ignore the %s", element)
	}
	for _, part := range []string{"head", "figures", "advice", "charts", "slots", "queues", "beside", "ended", "panics"} {
		require.Contains(t, page, `data-part="`+part+`"`)
	}
	require.Contains(t, page, `<noscript><meta http-equiv="refresh"`)
	require.NotContains(t, page, "<p>template")
}

// Mutant: a field loses its JSON name, or is written in another way than it is read.
func TestPage_TheJSONIsWhatTheTypesSay(t *testing.T) {
	e := debugged(t, executor.WithName("json"))
	stick(t, e, 1)
	url := serve(t, debugpage.Handler(e))
	eventually(t, "the slot has an age", func() bool {
		return slices.ContainsFunc(report(t, url).Slots, func(s debugpage.Slot) bool { return s.Age > 50*time.Millisecond })
	})
	_, body := fetch(t, "GET", url+"?format=json")
	var r debugpage.Report
	d := json.NewDecoder(strings.NewReader(body))
	d.DisallowUnknownFields()
	require.NoError(t, d.Decode(&r))
	again, err := json.MarshalIndent(r, "", "  ")
	require.NoError(t, err)
	require.Equal(t, strings.TrimSpace(body), string(again))
	require.NotRegexp(t, `"[A-Z]\w*":`, body, "a field without a JSON name")

	s := r.Executors[0]
	require.Equal(t, "json", s.Name)
	require.Equal(t, "open", s.Lifecycle)
	require.Equal(t, e.Stats().Slots, len(s.Slots))
	require.EqualValues(t, 1, s.Stats.Submitted)
	require.NotEmpty(t, s.History)
}

// Mutant: a blocked slot passes for a running one. Mutant: an age starts again with every look.
func TestPage_SlotsShowWhatTheyDo(t *testing.T) {
	e := debugged(t, executor.WithSlots(3), executor.WithMaxSpares(0), executor.WithStallDetection(false))
	url := serve(t, debugpage.Handler(e))
	g := stick(t, e, 1)
	inside := make(chan struct{})
	require.NoError(t, e.Go(context.Background(), func(ctx context.Context) {
		executor.Blocking(ctx, func() { close(inside); g.Wait() })
	}))
	await(t, "the task blocks", inside)
	var states []string
	eventually(t, "one slot runs, one blocks and one is idle", func() bool {
		states = nil
		d := report(t, url)
		for _, s := range d.Slots {
			states = append(states, s.State)
			if s.State == "running" && (s.Age < 200*time.Millisecond || s.In != "chan receive" || !strings.Contains(s.Task, "Stick")) {
				return false
			}
		}
		slices.Sort(states)
		return slices.Equal(states, []string{"blocking", "idle", "running"}) && d.Runners.Blocking == 1
	})
	g.Open()
	quiet(t, e)
	eventually(t, "all are idle", func() bool {
		return !slices.ContainsFunc(report(t, url).Slots, func(s debugpage.Slot) bool { return s.State != "idle" || s.Age != 0 || s.Stack != "" })
	})
}

// advised waits until the page of e gives advice of this kind.
func advised(t *testing.T, e *executor.Executor, kind string) debugpage.Advice {
	t.Helper()
	url := serve(t, debugpage.Handler(e))
	openStream(t, url) // so that the page goes on looking
	var found debugpage.Advice
	eventually(t, "advice of the kind "+kind, func() bool {
		time.Sleep(20 * time.Millisecond) // the stall detection lends nothing while the test keeps the processors busy
		for _, a := range report(t, url).Advice {
			if a.Kind == kind {
				found = a
				return true
			}
		}
		return false
	})
	return found
}

// The rules have tests with invented states; these are real tasks.
func TestPage_AdviceAboutRealTasks(t *testing.T) {
	t.Run("blocked", func(t *testing.T) {
		e := debugged(t, executor.WithSlots(1))
		stick(t, e, 1)
		require.Contains(t, advised(t, e, debugpage.AdviceBlocked).Problem, "Stick")
	})
	t.Run("cgo", func(t *testing.T) {
		needC(t)
		e := debugged(t, executor.WithSlots(1))
		stop := make(chan struct{})
		defer close(stop)
		require.NoError(t, e.Go(context.Background(), func(context.Context) {
			for {
				select {
				case <-stop:
					return
				default:
					cgotest.Sleep(200)
				}
			}
		}))
		advised(t, e, debugpage.AdviceCgo)
	})
	t.Run("checkpoint", func(t *testing.T) {
		e := debugged(t, executor.WithSlots(1))
		var stop atomic.Bool
		defer stop.Store(true)
		require.NoError(t, e.Go(context.Background(), func(context.Context) {
			for n := 0; !stop.Load(); n++ {
			}
		}))
		require.NoError(t, e.Go(context.Background(), func(context.Context) {}))
		advised(t, e, debugpage.AdviceCheckpoint)
	})
	t.Run("spares", func(t *testing.T) {
		e := debugged(t, executor.WithSlots(1), executor.WithMaxSpares(1))
		openStream(t, serve(t, debugpage.Handler(e))).next() // what happened before is not advice
		g := newGate(t)
		for range 4 {
			require.NoError(t, e.Go(context.Background(), func(ctx context.Context) { executor.Blocking(ctx, g.Wait) }))
		}
		advised(t, e, debugpage.AdviceSpares)
	})
	t.Run("rejections", func(t *testing.T) {
		e := debugged(t, executor.WithSlots(1), executor.WithQueueLimit(1), executor.WithStallDetection(false))
		openStream(t, serve(t, debugpage.Handler(e))).next()
		stick(t, e, 1)
		for range 5 {
			_ = e.TryGo(context.Background(), func(context.Context) {})
		}
		require.Contains(t, advised(t, e, debugpage.AdviceRejections).Problem, "4 submissions were refused in the last")
	})
	// The tasks wait for who submits, in a queue of 4 and a spare.
	t.Run("submitters", func(t *testing.T) {
		e := debugged(t, executor.WithSlots(1), executor.WithMaxSpares(1), executor.WithQueueLimit(4))
		results, sent := make(chan int), make(chan struct{})
		go func() {
			defer close(sent)
			for i := range 16 {
				_ = e.Go(context.Background(), func(ctx context.Context) { _ = executor.Send(ctx, results, i) })
			}
		}()
		require.Contains(t, advised(t, e, debugpage.AdviceSubmitters).Problem, "1 submitter waits for room")
		for range 16 { // the cure: somebody else takes them
			await(t, "a result", results)
		}
		await(t, "all are submitted", sent)
	})
	// A barrier of one more than slots and spares.
	t.Run("waiters", func(t *testing.T) {
		e := debugged(t, executor.WithSlots(1), executor.WithMaxSpares(1))
		g := newGate(t)
		for range 3 {
			require.NoError(t, e.Go(context.Background(), func(ctx context.Context) { executor.Blocking(ctx, g.Wait) }))
		}
		require.Contains(t, advised(t, e, debugpage.AdviceWaiters).Problem, "1 task waits in the queue")
	})
	t.Run("group", func(t *testing.T) {
		e := debugged(t, executor.WithSlots(1), executor.WithQueueLimit(4), executor.WithStallDetection(false))
		gate := stick(t, e, 1)
		g := e.NewGroup(executor.WithTaskName(context.Background(), "backup"))
		for range 4 {
			g.Go(func(context.Context) error { return nil })
		}
		went := make(chan struct{})
		go func() { defer close(went); _ = e.Go(context.Background(), func(context.Context) {}) }()
		require.Contains(t, advised(t, e, debugpage.AdviceGroup).Problem, "backup has at least 3 of the queue's 4 places, and with other tasks 1 submitter waits")
		gate.Open()
		await(t, "the other task is accepted", went)
		require.NoError(t, g.Wait())
	})
	// A lane that may use one slot of two, and is full.
	t.Run("idle", func(t *testing.T) {
		e := debugged(t, executor.WithSlots(2), executor.WithStallDetection(false), executor.WithLanes(executor.Lane{Name: "batch", Max: 1, QueueLimit: 2}))
		gate, batch := newGate(t), executor.WithLane(context.Background(), "batch")
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				_ = e.Go(batch, func(context.Context) { gate.Wait() })
			})
		}
		require.Contains(t, advised(t, e, debugpage.AdviceIdle).Problem, "1 submitter waits for room in the lane batch")
		gate.Open()
		all.Wait()
	})
	// Each round of the pipeline stands still until a slot is lent for the one who waits.
	t.Run("loans", func(t *testing.T) {
		e := debugged(t, executor.WithSlots(1))
		openStream(t, serve(t, debugpage.Handler(e))).next()
		stop := make(chan struct{})
		var pairs sync.WaitGroup
		pairs.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				ch := make(chan int)
				for range 12 {
					_ = e.Go(context.Background(), func(context.Context) { <-ch })
				}
				for range 12 {
					_ = e.Go(context.Background(), func(context.Context) { ch <- 1 })
				}
				_ = e.Quiesce(context.Background())
			}
		})
		// While others keep the processors busy nothing is lent (S1), and there is nothing to advise.
		url := serve(t, debugpage.Handler(e))
		openStream(t, url)
		eventually(t, "advice of the kind loans, or processors that are busy all the time", func() bool {
			time.Sleep(20 * time.Millisecond)
			return e.Stats().StallsBusy > 100 || slices.ContainsFunc(report(t, url).Advice, func(a debugpage.Advice) bool { return a.Kind == debugpage.AdviceLoans })
		})
		close(stop)
		pairs.Wait()
	})
}

// Mutant: the groups of a report are not in the JSON.
func TestPage_GroupsAreInTheJSON(t *testing.T) {
	e := debugged(t, executor.WithName("with groups"), executor.WithSlots(1))
	url := serve(t, debugpage.Handler(e))
	require.Empty(t, report(t, url).Groups)
	g, gate := e.NewGroup(executor.WithTaskName(context.Background(), "<thumbnails>")), newGate(t)
	g.SetLimit(1)
	for range 3 {
		g.Go(func(context.Context) error { gate.Wait(); return nil })
	}
	var groups []executor.GroupInfo
	eventually(t, "the next look sees it", func() bool { groups = report(t, url).Groups; return len(groups) > 0 })
	require.Len(t, groups, 1)
	groups[0].Backlog = 0
	require.Equal(t, executor.GroupInfo{Name: "<thumbnails>", Limit: 1, Active: 3, Started: 1, Held: 2}, groups[0])
	gate.Open()
	require.NoError(t, g.Wait())
}
