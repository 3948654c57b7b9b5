//go:build unix

package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
)

// axeCore is the script of axe-core, which looks for what keeps people from using a page.
func axeCore(t *testing.T) string {
	t.Helper()
	cmd := exec.Command(tool(t, "npm"), "pack", "--silent", "axe-core@4.14.1")
	cmd.Dir = t.TempDir()
	if text, err := cmd.CombinedOutput(); err != nil {
		if os.Getenv("EXECUTOR_TEST_TOOLS_REQUIRED") != "" {
			t.Fatalf("npm pack axe-core: %v\n%s", err, text)
		}
		t.Skipf("axe-core can not be had from npm: %v", err)
	}
	file, err := os.Open(filepath.Join(cmd.Dir, "axe-core-4.14.1.tgz"))
	require.NoError(t, err)
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	require.NoError(t, err)
	for archive := tar.NewReader(unzipped); ; {
		head, err := archive.Next()
		require.NoError(t, err)
		if head.Name == "package/axe.min.js" {
			script, err := io.ReadAll(archive)
			require.NoError(t, err)
			return string(script)
		}
	}
}

// await evaluates an expression that is a promise.
func (b *browser) await(expression string) string {
	b.t.Helper()
	var answer struct {
		Result           struct{ Value any }
		ExceptionDetails any
	}
	b.call("Runtime.evaluate", map[string]any{"expression": expression, "awaitPromise": true, "returnByValue": true}, &answer)
	require.Nil(b.t, answer.ExceptionDetails)
	text, _ := answer.Result.Value.(string)
	return text
}

// keepBusy gives the page something of everything.
func keepBusy(t *testing.T, e *executor.Executor) {
	t.Helper()
	bulkhead, err := executor.NewBulkhead("database", 1)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	go func() {
		for ctx.Err() == nil {
			var round []*executor.Future[int]
			for _, name := range []string{"resize", "encode", "thumbnail", "upload"} {
				f, err := executor.Submit(executor.WithTaskName(ctx, name), e, func(ctx context.Context) (int, error) {
					for end := time.Now().Add(time.Duration(len(name)) * 10 * time.Millisecond); time.Now().Before(end) && name != "upload"; {
					}
					if name == "upload" {
						_ = bulkhead.Blocking(ctx, func() { time.Sleep(20 * time.Millisecond) })
						_, _ = executor.Submit(executor.WithTaskName(ctx, "notify"), e, func(context.Context) (int, error) { return 0, nil })
						return 0, errors.New("the connection was closed")
					}
					return 0, nil
				})
				if err == nil {
					round = append(round, f)
				}
			}
			for _, f := range round {
				_, _ = f.Wait(ctx)
			}
		}
	}()
}

// In a browser, on a desk and on a phone, in the light and in the dark: axe-core finds nothing serious, and the timeline, the
// tables that sort and what they say can be used with the keyboard alone.
//
// Mutants: the canvas has no name; a table's headings are no buttons; a frame empties the timeline.
func TestDebugPage_CanBeUsedByEverybody(t *testing.T) {
	axe := axeCore(t)
	browser := openBrowser(t)
	e, url := pageOf(t, asItIs)
	standStill(t, e)
	keepBusy(t, e)
	browser.call("Page.navigate", map[string]any{"url": url}, &struct{}{})
	browser.waitFor("tasks by name", `document.querySelectorAll('[data-part="named"] tbody tr').length`, func(s string) bool { return s == "5" })
	browser.text(`document.querySelector("details.timeline").open = true`)
	browser.waitFor("the timeline", `document.querySelector(".lines").getAttribute("aria-label")`, func(s string) bool { return strings.Contains(s, "most of the time") })
	key := func(name string) {
		browser.text(`document.querySelector(".lines").dispatchEvent(new KeyboardEvent("keydown", {key: "` + name + `", bubbles: true}))`)
	}
	key("ArrowDown")
	require.Contains(t, browser.text(`document.querySelector(".say").textContent`), "slot 1: ")
	key("+")
	key("[")
	require.Regexp(t, `slot 1: .* for .* from \d\d:\d\d:\d\d`, browser.text(`document.querySelector(".say").textContent`))
	browser.waitFor("it stays when the page goes on", `document.querySelector(".timeline .note").textContent`, func(s string) bool { return strings.Contains(s, "measured") })

	ended := `document.querySelector('[data-part="named"] thead th:nth-child(3) button')`
	browser.text(ended + `.click()`)
	require.Equal(t, "descending", browser.text(ended+`.parentElement.getAttribute("aria-sort")`))
	column := `JSON.stringify([...document.querySelectorAll('[data-part="named"] tbody td:nth-child(3)')].map(c => +c.textContent.replaceAll(",", "")))`
	for range 3 { // frames come meanwhile
		var sorted []int
		require.NoError(t, json.Unmarshal([]byte(browser.text(column)), &sorted))
		for i := 1; i < len(sorted); i++ {
			require.GreaterOrEqual(t, sorted[i-1], sorted[i])
		}
		last := browser.text(column)
		browser.waitFor("a new frame", column, func(s string) bool { return s != last })
	}

	browser.await(axe + `;""`)
	for _, look := range []struct {
		name, scheme  string
		width, height int
	}{{"desk", "light", 1200, 1500}, {"phone", "light", 390, 1600}, {"dark", "dark", 1200, 1500}} {
		browser.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": look.width, "height": look.height, "deviceScaleFactor": 1, "mobile": look.width < 500}, &struct{}{})
		browser.call("Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]any{"name": "prefers-color-scheme", "value": look.scheme}}}, &struct{}{})
		browser.waitFor("a frame in these colours", `document.querySelector("#status").textContent`, func(s string) bool { return strings.HasPrefix(s, "live") })
		found := browser.await(`axe.run(document, {resultTypes: ["violations"]}).then(r => JSON.stringify(r.violations.filter(v => ["serious", "critical"].includes(v.impact))
			.map(v => [v.id, v.help, v.nodes.slice(0, 3).map(n => n.html.slice(0, 200) + " " + n.failureSummary)])))`)
		require.Equal(t, "[]", found, look.name)
		require.Equal(t, "true", browser.text(`document.documentElement.scrollWidth <= innerWidth`), "%s: nothing is wider than the page", look.name)
		if dir := os.Getenv("EXECUTOR_SCREENSHOTS"); dir != "" {
			browser.text(`scrollTo(0, 0)`)
			var shot struct{ Data string }
			browser.call("Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": false}, &shot)
			png, err := base64.StdEncoding.DecodeString(shot.Data)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(dir, "page-"+look.name+".png"), png, 0o644))
		}
	}
}
