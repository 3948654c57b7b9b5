//go:build unix

package main

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// underLoad keeps the service busy until the test ends. It returns when there are answers.
func underLoad(t *testing.T, p *program) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	answered := make(chan struct{})
	var first sync.Once
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for ctx.Err() == nil {
				if status, _, _ := get(p.api + "/thumbnail"); status == http.StatusOK {
					first.Do(func() { close(answered) })
				}
			}
		})
	}
	t.Cleanup(func() {
		stop()
		clients.Wait()
	})
	select {
	case <-answered:
	case <-time.After(patience):
		require.Fail(t, "no answers")
	}
}

// submitted is how many tasks the debug page's JSON knows of.
func submitted(t *testing.T, p *program) int {
	t.Helper()
	status, text, err := get(p.admin + "/debug/executor/?format=json")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status)
	var report struct {
		Executors []struct {
			Name  string
			Stats struct{ Submitted int }
		}
	}
	require.NoError(t, json.Unmarshal([]byte(text), &report), text)
	require.Len(t, report.Executors, 1)
	require.Equal(t, "service", report.Executors[0].Name)
	return report.Executors[0].Stats.Submitted
}

// TestDebugPage_IsLiveInABrowser opens the page in a real browser while the service works. Its numbers are those of
// the service, and move although nobody loads the page again.
func TestDebugPage_IsLiveInABrowser(t *testing.T) {
	browser := openBrowser(t)
	p := start(t, "-slots", "2")
	underLoad(t, p)
	before := submitted(t, p)

	browser.call("Page.navigate", map[string]any{"url": p.admin + "/debug/executor/"}, &struct{}{})
	browser.waitFor("the stream", `document.getElementById("status").textContent`, func(text string) bool { return strings.HasPrefix(text, "live") })
	require.Contains(t, browser.text(`document.querySelector("h1").textContent`), "service")
	require.Equal(t, "2", browser.text(`document.querySelectorAll(".slots li").length`))

	browser.text(`window.loadedOnce = "yes"`)
	const cell = `[...document.querySelectorAll("th")].find(td => td.textContent == "submitted").nextElementSibling.textContent`
	last := before - 1
	for range 3 {
		last = number(browser.waitFor("more tasks", cell, func(text string) bool { return number(text) > last }))
	}
	require.LessOrEqual(t, last, int(exported(t, p)["executor_task_submitted_total"]))
	require.Equal(t, "yes", browser.text(`window.loadedOnce`))
}

// The page must not keep the service from ending: a browser never closes its stream.
func TestDebugPage_DoesNotHoldUpTheEnd(t *testing.T) {
	p := start(t)
	resp, err := client.Get(p.admin + "/debug/executor/?format=events")
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	_, err = resp.Body.Read(make([]byte, 1))
	require.NoError(t, err)
	p.signal(t)
	require.Zero(t, p.end(t).ExitCode())
}
