package debugpage_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/debugpage"
	"github.com/stretchr/testify/require"
)

// P3: behind a writer that collects, a stream would end, or stay silent, for ever.
//
// Mutant: the stream is begun anyway. Mutant: a writer that wraps one that can flush is refused.
func TestPage_AWriterThatCollectsGetsNoStream(t *testing.T) {
	h := debugpage.Handler(debugged(t))
	for name, wrap := range map[string]http.Handler{
		"TimeoutHandler": http.TimeoutHandler(h, time.Minute, "late"),
		"compressing": http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			h.ServeHTTP(struct{ http.ResponseWriter }{w}, req)
		}),
	} {
		res, body := fetch(t, "GET", serve(t, wrap)+"?format=events")
		require.Equal(t, http.StatusNotImplemented, res.StatusCode, name)
		require.Contains(t, body, "reload")
		res, _ = fetch(t, "GET", serve(t, wrap)+"?format=html")
		require.Equal(t, 200, res.StatusCode, name)
	}
	s := openStream(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { h.ServeHTTP(unwrapping{w}, req) })))
	event, _ := s.next()
	require.Equal(t, "frame", event)
}

type unwrapping struct{ http.ResponseWriter }

func (w unwrapping) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// P6: a stream that comes when the server already shuts down holds up the shutdown for ever, for nobody is told any more.
//
// Mutant: the server is not asked whether it shuts down.
func TestPage_AStreamThatComesAfterShutdownBeganDoesNotHoldItUp(t *testing.T) {
	h := debugpage.Handler(debugged(t))
	arrived, go_ := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		close(arrived)
		<-go_
		h.ServeHTTP(w, req)
	}))
	defer server.Close()
	answered := make(chan int, 1)
	go func() {
		res, err := http.Get(server.URL + "/?format=events")
		if err != nil {
			answered <- 0
			return
		}
		res.Body.Close()
		answered <- res.StatusCode
	}()
	await(t, "the request arrives", arrived)
	down := make(chan struct{})
	server.Config.RegisterOnShutdown(func() { close(down) })
	over := make(chan error, 1)
	go func() { over <- server.Config.Shutdown(context.Background()) }()
	await(t, "the shutdown begins", down)
	close(go_)
	require.Equal(t, http.StatusServiceUnavailable, await(t, "the answer", answered))
	require.NoError(t, await(t, "Shutdown returns", over))
}

// P6: a handler for each request costs the server nothing.
//
// Mutant: each handler has a table of its own.
func TestPage_AServerIsAskedOnce(t *testing.T) {
	e := debugged(t)
	before := debugpage.Servers()
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { debugpage.Handler(e).ServeHTTP(w, req) }))
	for range 20 {
		s := openStream(t, url)
		s.next()
		s.cancel()
	}
	require.LessOrEqual(t, debugpage.Servers(), before+1)
}

// P5: a thousand executors are a list, and nobody looks at each.
//
// Mutant: each gets a lookout. Mutant: the stream of the list sends sections.
func TestPage_ManyExecutorsAreAList(t *testing.T) {
	var all []*executor.Executor
	debugged(t)
	for range 50 {
		all = append(all, newExecutor(t, executor.WithName("one of <many>"), executor.WithSlots(1)))
	}
	url := serve(t, debugpage.Handler(all...))
	_, page := fetch(t, "GET", url+"?format=html")
	requireSound(t, page)
	require.Equal(t, 50, strings.Count(page, `href="?executor=`))
	require.NotContains(t, page, `data-part="slots"`)
	s := openStream(t, url)
	for range 2 {
		event, data := s.next()
		require.Equal(t, "frame", event)
		require.Contains(t, data, `data-executor=""`)
		require.Contains(t, data, "one of &lt;many&gt;-7")
	}
	_, text := fetch(t, "GET", url+"?format=text")
	require.Contains(t, text, "50 executors")
	_, body := fetch(t, "GET", url+"?format=json")
	var r debugpage.Report
	require.NoError(t, json.Unmarshal([]byte(body), &r))
	require.Len(t, r.Executors, 50)
	for _, e := range all {
		require.Zero(t, debugpage.Lookouts(e))
	}
	res, _ := fetch(t, "GET", url+"?format=html&executor=one+of+%3Cmany%3E-7")
	require.Equal(t, 200, res.StatusCode)
	require.LessOrEqual(t, debugpage.Lookouts(all[6]), 1, "it may have ended by now")
}

// P8: an executor that ends leaves an open page of all.
//
// Mutant: it stays as it was last seen.
func TestPage_WhatEndsLeavesAnOpenPageOfAll(t *testing.T) {
	debugged(t, executor.WithName("stays"))
	e := newExecutor(t, executor.WithName("goes"))
	s := openStream(t, serve(t, debugpage.Handler()))
	for seen := map[string]bool{}; len(seen) < 2; {
		_, data := s.next()
		seen[data[:min(len(data), 60)]] = true
	}
	closeNow(t, e)
	within(t, "it is said to be gone", func() {
		for {
			if event, data := s.next(); event == "gone" {
				if data != "goes\n" {
					t.Errorf("%q is gone", data)
				}
				return
			}
		}
	})
}
