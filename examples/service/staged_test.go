//go:build unix

package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/debugpage"
	"github.com/stretchr/testify/require"
)

// shoot writes a picture of what the browser shows to EXECUTOR_SCREENSHOTS, if that is set.
func (b *browser) shoot(name string, width, height int, scheme string) {
	b.t.Helper()
	dir := os.Getenv("EXECUTOR_SCREENSHOTS")
	if dir == "" {
		return
	}
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}, &struct{}{})
	b.call("Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]any{"name": "prefers-color-scheme", "value": scheme}}}, &struct{}{})
	b.waitFor("a frame in these colours", `document.querySelector("#status").textContent`, func(s string) bool { return strings.HasPrefix(s, "live") })
	var shot struct{ Data string }
	b.call("Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": false}, &shot)
	png, err := base64.StdEncoding.DecodeString(shot.Data)
	require.NoError(b.t, err)
	require.NoError(b.t, os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644))
}

// staging is an executor with something wrong.
type staging struct {
	*executor.Executor
	name string
	ctx  context.Context // done at the end
	all  *sync.WaitGroup
}

// stage makes an executor whose tasks have the name, and begins what is wrong.
func stage(t *testing.T, name string, wrong func(s *staging), opts ...executor.Option) *executor.Executor {
	t.Helper()
	e, err := executor.New(append(opts, executor.WithName(name+"s"))...)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	s := &staging{e, name, executor.WithTaskName(ctx, name), new(sync.WaitGroup)}
	wrong(s)
	t.Cleanup(func() {
		cancel()
		_ = e.Close()
		s.all.Wait()
	})
	return e
}

// always calls fn until the end.
func (s *staging) always(fn func()) {
	s.all.Go(func() {
		for s.ctx.Err() == nil {
			fn()
		}
	})
}

func (s *staging) wait(d time.Duration) {
	select {
	case <-s.ctx.Done():
	case <-time.After(d):
	}
}

// Six programs with something wrong, side by side: the page alone says what is wrong and where, in words that name the tasks.
//
// Mutants: a rule is left out; the tasks have no name in it.
func TestDebugPage_StagedProblems(t *testing.T) {
	browser := openBrowser(t)
	problems := []struct {
		name, says string
		wrong      func(s *staging)
		opts       []executor.Option
	}{
		{
			"resize", "The task resize in slot 0 has computed for at least", func(s *staging) { // one long task, and others wait
				_ = s.Go(s.ctx, func(context.Context) {
					for s.ctx.Err() == nil {
					}
				})
				_ = s.Go(s.ctx, func(context.Context) {})
			}, []executor.Option{executor.WithSlots(1)},
		},
		{
			"report", "(chan receive) and keeps its slot", func(s *staging) { // a channel, unmarked
				_ = s.Go(s.ctx, func(context.Context) { <-s.ctx.Done() })
			}, []executor.Option{executor.WithSlots(2)},
		},
		{
			"mail", "refused in the last", func(s *staging) { // more comes than the slots can do
				s.always(func() {
					for range 8 {
						_ = s.TryGo(s.ctx, func(ctx context.Context) { executor.Blocking(ctx, func() { s.wait(100 * time.Millisecond) }) })
					}
					s.wait(10 * time.Millisecond)
				})
			}, []executor.Option{executor.WithSlots(2), executor.WithQueueLimit(4), executor.WithMaxSpares(2)},
		},
		{
			"backup", "The group of tasks named backup has at least", func(s *staging) { // one group fills the queue
				g := s.NewGroup(s.ctx)
				g.KeepGoing()
				for range 2 {
					s.always(func() { g.Go(func(context.Context) error { s.wait(10 * time.Millisecond); return nil }) })
				}
				s.always(func() { _ = s.Go(executor.WithTaskName(s.ctx, "other"), func(context.Context) {}) })
			}, []executor.Option{executor.WithSlots(1), executor.WithQueueLimit(16), executor.WithStallDetection(false)},
		},
		{
			"page", "1 submitter waits for room in the queue. The tasks may wait for what these do next", func(s *staging) { // who submits also takes
				results := make(chan int)
				s.all.Go(func() {
					for i := range 64 {
						_ = s.Go(s.ctx, func(ctx context.Context) { _ = executor.Send(ctx, results, i) })
					}
				})
			}, []executor.Option{executor.WithSlots(2), executor.WithMaxSpares(2), executor.WithQueueLimit(8)},
		},
		{
			"job", "in the lane batch, for", func(s *staging) { // a lane that may not use what is idle
				for range 6 {
					s.always(func() {
						_ = s.Go(executor.WithLane(s.ctx, "batch"), func(context.Context) { s.wait(15 * time.Millisecond) })
					})
				}
			}, []executor.Option{
				executor.WithSlots(4), executor.WithStallDetection(false),
				executor.WithLanes(executor.Lane{Name: "batch", Max: 1, QueueLimit: 3}),
			},
		},
	}
	for _, problem := range problems {
		stage(t, problem.name, problem.wrong, problem.opts...)
	}
	server := httptest.NewServer(debugpage.Handler())
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	browser.call("Page.navigate", map[string]any{"url": server.URL + "/"}, &struct{}{})
	for _, problem := range problems {
		section := `document.querySelector('[data-executor="` + problem.name + `s"]')`
		browser.waitFor("advice about "+problem.name, section+`.querySelector('[data-part="advice"]').textContent`, func(s string) bool {
			return strings.Contains(s, problem.says)
		})
		browser.text(section + `.scrollIntoView()`)
		browser.shoot("staged-"+problem.name, 1200, 1000, "light")
	}
}

// What somebody chose is in the address, and whoever opens that sees it so: order, filter, and a part of the timeline.
//
// Mutants: nothing is put into the address; what is in it is not read; an order is read as that of another table.
func TestDebugPage_AddressesKeepWhatWasChosen(t *testing.T) {
	browser := openBrowser(t)
	e, address := pageOf(t, asItIs)
	keepBusy(t, e)
	browser.call("Page.navigate", map[string]any{"url": address}, &struct{}{})
	names := `[...document.querySelectorAll('[data-part="named"] tbody tr:not([hidden]) th')].map(c => c.textContent).join()`
	browser.waitFor("tasks by name", names, func(s string) bool { return strings.Count(s, ",") == 4 })
	browser.text(`document.querySelector('[data-part="named"] thead th:nth-child(1) button').click()`)
	require.Equal(t, "encode,notify,resize,thumbnail,upload", browser.text(names))
	browser.text(`document.querySelector("details.timeline").open = true`)
	browser.waitFor("the timeline", `document.querySelector(".lines").getAttribute("aria-label")`, func(s string) bool { return strings.Contains(s, "most of the time") })
	for _, key := range []string{"-", "+", "+", "ArrowLeft", "ArrowLeft"} {
		browser.text(`document.querySelector(".lines").dispatchEvent(new KeyboardEvent("keydown", {key: "` + key + `", bubbles: true}))`)
	}
	hash := browser.text(`location.hash`)
	chosen, err := url.ParseQuery(strings.TrimPrefix(hash, "#"))
	require.NoError(t, err)
	require.Equal(t, "0", chosen.Get("sort shown tasks by name"))
	require.Regexp(t, `^\d+-\d+$`, chosen.Get("timeline shown"))

	chosen.Set("find shown tasks by name", "o")
	browser.call("Page.navigate", map[string]any{"url": "about:blank"}, &struct{}{})
	browser.call("Page.navigate", map[string]any{"url": address + "#" + strings.ReplaceAll(chosen.Encode(), "+", "%20")}, &struct{}{})
	browser.waitFor("those with an o, by name", names, func(s string) bool { return s == "encode,notify,upload" })
	require.Equal(t, "o", browser.text(`document.querySelector('[data-part="named"] .find input').value`))
	browser.waitFor("the timeline is open", `document.querySelector(".lines")?.getAttribute("aria-label")`, func(s string) bool { return strings.Contains(s, "most of the time") })
	require.Equal(t, chosen.Get("timeline shown"), browser.text(`(() => {
		document.querySelector(".lines").dispatchEvent(new KeyboardEvent("keydown", {key: "ArrowDown", bubbles: true}));
		return new URLSearchParams(location.hash.slice(1)).get("timeline shown");
	})()`), "it shows the same time")
}

// Pages of large executors. Nothing is wider than the window, and the summary has all slots.
//
// Mutants: of many slots the first ones are shown, idle or not; a table is as wide as its names.
func TestDebugPage_ManySlots(t *testing.T) {
	browser := openBrowser(t)
	for _, slots := range []int{64, 1024} {
		for _, load := range []string{"idle", "overload", "blocked"} {
			t.Run(fmt.Sprint(load, slots), func(t *testing.T) {
				whole := browser.t
				defer func() { browser.t = whole }()
				browser.t = t
				manySlots(t, browser, slots, load)
			})
		}
	}
}

func manySlots(t *testing.T, browser *browser, slots int, load string) {
	e := stage(t, fmt.Sprintf("%s-%d-slot", load, slots), func(s *staging) {
		switch load {
		case "overload":
			s.always(func() {
				for i := range 4 * slots {
					name := []string{"resize", "encode", "upload", "thumbnail"}[i%4]
					_ = s.TryGo(executor.WithTaskName(s.ctx, name), func(ctx context.Context) {
						executor.Blocking(ctx, func() { s.wait(time.Duration(20+i%400) * time.Millisecond) })
					})
				}
				s.wait(50 * time.Millisecond)
			})
		case "blocked":
			for i := range slots / 2 {
				name := []string{"crawl", "mirror", "backup-of-a-customer-with-a-long-name"}[i%3]
				_ = s.Go(executor.WithTaskName(s.ctx, name), func(context.Context) { <-s.ctx.Done() })
			}
		}
	}, executor.WithSlots(slots), executor.WithMaxSpares(slots/4), executor.WithQueueLimit(2*slots))
	server := httptest.NewServer(debugpage.Handler(e))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	browser.call("Page.navigate", map[string]any{"url": server.URL + "/"}, &struct{}{})
	browser.waitFor("a frame", `document.querySelector("#status").textContent`, func(s string) bool { return strings.HasPrefix(s, "live") })
	count := `[...document.querySelectorAll(".legend > span")].map(s => +s.textContent.replace(",", "").match(/\d+/)).reduce((a, b) => a + b, 0)`
	browser.waitFor("all slots", count, func(s string) bool { return number(s) >= slots })
	browser.text(`document.querySelector("details.timeline").open = true`)
	if load != "idle" {
		browser.waitFor("the timeline", `document.querySelector(".lines").getAttribute("aria-label")`, func(s string) bool { return strings.Contains(s, "most of the time") })
	}
	if os.Getenv("EXECUTOR_SCREENSHOTS") != "" {
		time.Sleep(5 * time.Second) // for something to see
	}
	browser.shoot(fmt.Sprintf("slots-%d-%s", slots, load), 1200, 2000, "light")
	browser.shoot(fmt.Sprintf("slots-%d-%s-phone", slots, load), 390, 2400, "dark")
	require.Equal(t, "true", browser.text(`document.documentElement.scrollWidth <= innerWidth`), "nothing is wider than the page")
}
