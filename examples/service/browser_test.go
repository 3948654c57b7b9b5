//go:build unix

package main

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// browser is a page in a headless Chromium, steered by the DevTools protocol over two pipes: JSON, and a zero byte
// after each message.
type browser struct {
	t       *testing.T
	to      io.Writer
	from    *bufio.Reader
	calls   int
	session string // of the page
}

// openBrowser starts Chromium with an empty page. It is killed when the test ends, or hangs.
func openBrowser(t *testing.T) *browser {
	t.Helper()
	cmd := exec.Command(tool(t, "chromium"), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--remote-debugging-pipe", "--user-data-dir="+t.TempDir(), "about:blank")
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	hear, to, err := os.Pipe()
	require.NoError(t, err)
	from, say, err := os.Pipe()
	require.NoError(t, err)
	cmd.ExtraFiles = []*os.File{hear, say} // 3 and 4, as Chromium expects
	require.NoError(t, cmd.Start())
	require.NoError(t, hear.Close())
	require.NoError(t, say.Close())
	guard := time.AfterFunc(2*patience, func() { _ = cmd.Process.Kill() })
	t.Cleanup(func() {
		defer guard.Stop()
		to.Close() // it ends by itself, with all of its processes
		from.Close()
		_ = cmd.Wait()
	})

	b := &browser{t: t, to: to, from: bufio.NewReader(from)}
	var made struct{ TargetID string }
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &made)
	var attached struct{ SessionID string }
	b.call("Target.attachToTarget", map[string]any{"targetId": made.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	return b
}

// call sends a command and waits for its result. Events that come before it are dropped.
func (b *browser) call(method string, params map[string]any, result any) {
	b.t.Helper()
	b.calls++
	command := map[string]any{"id": b.calls, "method": method, "params": params}
	if b.session != "" {
		command["sessionId"] = b.session
	}
	text, err := json.Marshal(command)
	require.NoError(b.t, err)
	_, err = b.to.Write(append(text, 0))
	require.NoError(b.t, err)
	for {
		text, err := b.from.ReadBytes(0)
		require.NoError(b.t, err, "Chromium ended during %s", method)
		var answer struct {
			ID     int
			Result json.RawMessage
			Error  *struct{ Message string }
		}
		require.NoError(b.t, json.Unmarshal(text[:len(text)-1], &answer))
		if answer.ID == b.calls {
			require.Nil(b.t, answer.Error, method)
			require.NoError(b.t, json.Unmarshal(answer.Result, result))
			return
		}
	}
}

// text evaluates an expression of JavaScript in the page. What throws is empty: the page may not be there yet.
func (b *browser) text(expression string) string {
	b.t.Helper()
	var answer struct {
		Result struct{ Value any }
	}
	b.call("Runtime.evaluate", map[string]any{"expression": "String(" + expression + ")", "returnByValue": true}, &answer)
	text, _ := answer.Result.Value.(string)
	return text
}

// waitFor polls an expression until it has a value that is right.
func (b *browser) waitFor(what, expression string, right func(string) bool) string {
	b.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		got := b.text(expression)
		if right(got) {
			return got
		}
		require.True(b.t, time.Now().Before(deadline), "waiting for %s, got %q", what, got)
	}
}

// number takes the digits of a text.
func number(text string) int {
	n, _ := strconv.Atoi(strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, text))
	return n
}
