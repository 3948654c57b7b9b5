package main

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gdamore/tcell/v2"
	"github.com/stretchr/testify/require"
)

const list = `{"executors": [
	{"name": "images", "state": "full", "slots": 4, "running": 4, "queued": 900, "oldest": 4100000000, "waiting": 7, "rate": 12.5, "rejected": 3, "advice": ["rejections"]},
	{"name": "mail", "state": "idle", "slots": 2, "running": 0, "queued": 0, "rate": 0, "advice": []},
	{"name": "reports\u001b[2J", "state": "busy", "slots": 8, "running": 2, "queued": 20, "oldest": 1500000, "rate": 300, "advice": []}],
	"bulkheads": [{"name": "database", "limit": 8, "inside": 8, "waiting": 2, "longestWait": 30000000}]}`

const one = `{"executors": [{"name": "images", "lifecycle": "open", "maxSpares": 256,
	"stats": {"slots": 4, "running": 4, "queued": 900, "queueLimit": 1000, "oldestAge": 4100000000, "waiting": 7, "submitted": 5000, "completed": 4000, "failed": 2},
	"sizing": {"reason": "GOMAXPROCS=4"},
	"slots": [{"slot": 0, "state": "running", "task": "resize", "age": 12000000000, "in": "cgo"}, {"slot": 1, "state": "idle"}],
	"history": [{"submitted": 20, "completed": 12, "rejected": 1}],
	"named": [{"name": "resize", "count": 3000, "failed": 2, "rate": 9, "runP99": 4000000, "errors": [{"time": "2026-01-02T03:04:05Z", "text": "no such file"}]},
		{"name": "thumb", "count": 9, "rate": 3, "errors": []}],
	"advice": [{"kind": "cgo", "problem": "The task resize has been in a C call.", "remedy": "Bound such calls.", "call": "bulkhead.Blocking(ctx, fn)"}]}]}`

// pageServer answers as the live page does.
func pageServer(t *testing.T) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch query := req.URL.Query(); {
		case query.Get("format") == "list":
			_, _ = w.Write([]byte(list))
		case query.Get("format") == "json" && query.Get("executor") == "images":
			_, _ = w.Write([]byte(one))
		default:
			http.Error(w, `no live executor is named "x"`, http.StatusNotFound)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestPlainWhereThereIsNoTerminal(t *testing.T) {
	url := pageServer(t)
	var out, errs bytes.Buffer
	require.Zero(t, run([]string{url}, &out, &errs), errs.String())
	for _, has := range []string{"3 executors", "images", "4.1s", "rejections", "database", "30ms"} {
		require.Contains(t, out.String(), has)
	}
	require.NotContains(t, out.String(), "\x1b", "control characters of a name")

	out.Reset()
	require.Zero(t, run([]string{"-executor", "images", strings.TrimPrefix(url, "http://")}, &out, &errs), errs.String())
	for _, has := range []string{"images: open, 4 slots (GOMAXPROCS=4)", "queued 900 of 1000", "resize", "12s", "no such file", "! The task resize has been in a C call."} {
		require.Contains(t, out.String(), has)
	}
}

func TestWhatIsWrongIsSaid(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }))
	defer other.Close()
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{nil, 2, "usage: exectop"},
		{[]string{"-every", "1ms", "localhost"}, 2, "usage: exectop"},
		{[]string{"ftp://localhost"}, 2, "is no address of a page"},
		{[]string{other.URL}, 1, "this is no live page of executors"},
		{[]string{"-executor", "x", pageServer(t)}, 1, "no live executor is named"},
		{[]string{"-h"}, 0, "keys: "},
	} {
		var out, errs bytes.Buffer
		require.Equal(t, c.code, run(c.args, &out, &errs), c.args)
		require.Contains(t, errs.String(), c.says)
		require.Empty(t, out.String())
	}
}

// On a terminal: choose, sort, filter, open, go back, end.
//
// Mutants: a sorted table opens the row that was there before; Escape leaves the table of the other executor.
func TestKeys(t *testing.T) {
	screen := tcell.NewSimulationScreen("UTF-8")
	require.NoError(t, screen.Init())
	screen.SetSize(140, 30)
	p, err := newPage(pageServer(t))
	require.NoError(t, err)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		watch(context.Background(), screen, p, new(model), 100*time.Millisecond)
	}()
	text := func() string {
		cells, width, _ := screen.GetContents()
		var b strings.Builder
		for i, c := range cells {
			if i%width == 0 {
				b.WriteByte('\n')
			}
			if len(c.Runes) > 0 {
				b.WriteRune(c.Runes[0])
			}
		}
		return b.String()
	}
	see := func(what string, ok func(string) bool) {
		t.Helper()
		require.Eventually(t, func() bool { return ok(text()) }, 30*time.Second, 5*time.Millisecond, "%s\n%s", what, text())
	}
	has := func(all ...string) func(string) bool {
		return func(screen string) bool {
			for _, one := range all {
				if !strings.Contains(screen, one) {
					return false
				}
			}
			return true
		}
	}
	before := func(a, b string) func(string) bool {
		return func(screen string) bool {
			_, screen, _ = strings.Cut(screen, " as of ") // the table
			i, j := strings.Index(screen, a), strings.Index(screen, b)
			return i >= 0 && i < j
		}
	}
	key := func(k tcell.Key, r rune) { screen.InjectKey(k, r, tcell.ModNone) }

	see("the overview", has("executors (3)", "as of", "4.1s"))
	see("in the order of names", before("images", "mail"))
	key(tcell.KeyRight, 0) // by name
	key(tcell.KeyRune, 'r')
	see("and the other way round", before("reports", "images"))
	key(tcell.KeyRune, '/')
	for _, r := range "mag" {
		key(tcell.KeyRune, r)
	}
	key(tcell.KeyEnter, 0)
	see("what has the text", has("executors (1)", "filter: mag"))
	key(tcell.KeyEnter, 0) // the only row
	see("one executor", has("images: open", "slots (2)", "resize", "12s", "! The task resize"))
	key(tcell.KeyTab, 0)
	see("its tasks", has("tasks by name (2)", "thumb"))
	key(tcell.KeyRight, 0)
	key(tcell.KeyRight, 0) // per second
	see("the fastest first", before("resize ", "thumb "))
	key(tcell.KeyRune, 'r')
	see("the slowest first", before("thumb ", "resize "))
	key(tcell.KeyTab, 0)
	see("its errors", has("errors (1)", "no such file"))
	key(tcell.KeyTab, 0)
	see("bulkheads", has("bulkheads (1)", "database", "30ms"))
	key(tcell.KeyEscape, 0)
	see("the overview", has("executors (3)"))
	screen.SetSize(20, 5) // must not matter
	key(tcell.KeyRune, 'p')
	see("paused", func(string) bool { return true })
	key(tcell.KeyRune, 'q')
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		t.Fatal("q does not end it")
	}
	screen.Fini()
}

func TestThePageIsAwayForAWhile(t *testing.T) {
	m := new(model)
	p, err := newPage(pageServer(t))
	require.NoError(t, err)
	m.put(p.look(t.Context(), ""))
	require.NoError(t, m.err)
	gone, err := newPage("127.0.0.1:1")
	require.NoError(t, err)
	m.put(gone.look(t.Context(), ""))
	require.ErrorContains(t, m.err, "refused")
	require.Contains(t, m.head()[0].text, "refused; what follows is as of ")
	require.Contains(t, m.head()[1].text, "3 executors")
	never := new(model)
	require.Equal(t, "asking ...", never.head()[0].text)
	never.put(gone.look(t.Context(), ""))
	require.Contains(t, never.head()[0].text, "refused")
	require.Len(t, m.shown().rows, 3, "what was seen last stays")
}

// Mutants: a line is cut off; a wide rune is half in.
func TestWrap(t *testing.T) {
	for _, c := range []struct {
		text  string
		width int
		want  []string
	}{
		{"", 10, []string{""}},
		{"short", 10, []string{"short"}},
		{"the task resize has computed", 12, []string{"the task", "resize has", "computed"}},
		{"0123456789abcdef", 7, []string{"0123456", "789abcd", "ef"}},
		{"漢字漢字", 5, []string{"漢字", "漢字"}},
		{"漢字", 1, []string{"漢", "字"}},
		{"abc", 0, []string{"a", "b", "c"}},
	} {
		require.Equal(t, c.want, wrap(c.text, c.width), c.text)
	}
}
