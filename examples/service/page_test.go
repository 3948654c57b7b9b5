//go:build unix

package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/debugpage"
	"github.com/stretchr/testify/require"
)

// The live page in a real browser, beside the one of the service: what can go wrong between the two.

func pageOf(t *testing.T, wrap func(http.Handler) http.Handler) (e *executor.Executor, url string) {
	t.Helper()
	e, err := executor.New(executor.WithName("shown"), executor.WithSlots(2))
	require.NoError(t, err)
	server := httptest.NewServer(wrap(debugpage.Handler(e)))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		_ = e.Close()
	})
	return e, server.URL + "/"
}

func asItIs(h http.Handler) http.Handler { return h }

// standStill blocks a task without saying so, until the test ends.
func standStill(t *testing.T, e *executor.Executor) {
	t.Helper()
	release, started := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(release) })
	require.NoError(t, e.Go(context.Background(), func(context.Context) {
		deeply(40, func() { close(started); <-release })
	}))
	<-started
}

// deeply makes a stack that has to be scrolled.
func deeply(n int, fn func()) {
	if n == 0 {
		fn()
		return
	}
	deeply(n-1, fn)
	runtime.KeepAlive(n)
}

const firstStack = `document.querySelector('[data-part="stuck"] details')`

// P2: a stack that is open and scrolled stays so, however often the page changes beside it, and so does a selection.
//
// Mutant: a part whose text has changed is replaced. Mutant: the key of a task that stands still holds its age.
func TestDebugPage_WhatIsReadStays(t *testing.T) {
	browser := openBrowser(t)
	e, url := pageOf(t, asItIs)
	standStill(t, e)
	browser.call("Page.navigate", map[string]any{"url": url}, &struct{}{})
	browser.waitFor("a stack", `String(`+firstStack+` != null)`, func(s string) bool { return s == "true" })
	browser.text(`(() => { const d = ` + firstStack + `; d.open = true; const pre = d.querySelector("pre"); window.pre = pre; pre.scrollTop = 100;
		getSelection().selectAllChildren(pre); return "" })()`)
	selected := browser.text(`getSelection().toString()`)
	require.Contains(t, selected, "deeply")
	age := browser.text(firstStack + `.querySelector("summary").textContent`)
	for range 3 {
		last := age
		age = browser.waitFor("a new age", firstStack+`.querySelector("summary").textContent`, func(s string) bool { return s != last })
	}
	require.Equal(t, "true", browser.text(`String(`+firstStack+`.open)`))
	require.Equal(t, "true", browser.text(`String(`+firstStack+`.querySelector("pre") === window.pre)`), "the stack was replaced")
	require.Equal(t, "100", browser.text(`String(window.pre.scrollTop)`))
	require.Equal(t, selected, browser.text(`getSelection().toString()`))
}

// P3: behind a writer that collects there is no stream, so the page loads itself again and again, and says when.
//
// Mutant: it goes on connecting for ever.
func TestDebugPage_LoadsItselfWhereItCanNotStream(t *testing.T) {
	browser := openBrowser(t)
	e, url := pageOf(t, func(h http.Handler) http.Handler { return http.TimeoutHandler(h, time.Minute, "late") })
	browser.call("Page.navigate", map[string]any{"url": url}, &struct{}{})
	const status = `document.getElementById("status").textContent`
	browser.waitFor("no stream", status, func(s string) bool { return strings.HasPrefix(s, "not live, as of ") })
	require.NoError(t, e.Go(context.Background(), func(context.Context) {}))
	browser.waitFor("the page loads itself", status, func(s string) bool { return strings.HasPrefix(s, "loaded every 5 s, as of ") })
	const cell = `[...document.querySelectorAll("th")].find(th => th.textContent == "submitted").nextElementSibling.textContent`
	browser.waitFor("its numbers are new", cell, func(s string) bool { return s == "1" })
}

// P3: behind a proxy that collects, the stream is open and silent. The page notices.
//
// Mutant: it says that it is live for ever.
func TestDebugPage_NoticesASilentStream(t *testing.T) {
	browser := openBrowser(t)
	_, url := pageOf(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if req.URL.Query().Get("format") != "events" {
				h.ServeHTTP(w, req)
				return
			}
			w.Header().Set("Content-Type", "text/event-stream")
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
			<-req.Context().Done()
		})
	})
	browser.call("Page.navigate", map[string]any{"url": url}, &struct{}{})
	browser.waitFor("the page loads itself", `document.getElementById("status").textContent`, func(s string) bool { return strings.HasPrefix(s, "loaded every 5 s") })
}
