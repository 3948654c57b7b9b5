//go:build unix

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// asProgram makes the test binary be the program itself.
const asProgram = "SERVICE_TEST_AS_PROGRAM"

// patience is how long a test waits before it takes something for hung.
const patience = time.Minute

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// program is the service as a process.
type program struct {
	cmd        *exec.Cmd
	api, admin string      // URLs
	log        chan record // its log, closed at the end
	stdout     bytes.Buffer
}

// record is a line of the log.
type record struct {
	Msg, Addr, Admin, Error string
	Accepted, Answered      int64
}

// start runs the service on free ports. It is killed when the test ends, if it is still there.
func start(t *testing.T, args ...string) *program {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	return startCommand(t, exec.Command(self, append([]string{"-addr", "127.0.0.1:0", "-admin", "127.0.0.1:0"}, args...)...))
}

func startCommand(t *testing.T, cmd *exec.Cmd) *program {
	t.Helper()
	p := &program{cmd: cmd, log: make(chan record, 1000)}
	p.cmd.Stdout = &p.stdout
	p.cmd.Env = append(os.Environ(), asProgram+"=1", "GORACE=atexit_sleep_ms=0")
	stderr, err := p.cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	})
	go func() {
		defer close(p.log)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			var r record
			if json.Unmarshal(lines.Bytes(), &r) != nil {
				r.Msg = lines.Text() // a crash, for example
			}
			p.log <- r
		}
	}()
	serving := p.waitFor(t, "serving")
	p.api, p.admin = "http://"+serving.Addr, "http://"+serving.Admin
	return p
}

// waitFor reads the log up to a message.
func (p *program) waitFor(t *testing.T, msg string) record {
	t.Helper()
	for hung := time.After(patience); ; {
		select {
		case r, open := <-p.log:
			require.True(t, open, "the program ended before it said %q", msg)
			if r.Msg == msg {
				return r
			}
			t.Logf("log: %+v", r)
		case <-hung:
			require.Fail(t, "hung", "waiting for %q", msg)
		}
	}
}

// end waits for the program and returns its state.
func (p *program) end(t *testing.T) *os.ProcessState {
	t.Helper()
	guard := time.AfterFunc(patience, func() { _ = p.cmd.Process.Kill() })
	defer guard.Stop()
	for r := range p.log {
		t.Logf("log: %+v", r)
	}
	_ = p.cmd.Wait() // its error is in the state
	return p.cmd.ProcessState
}

func (p *program) signal(t *testing.T) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
}

// client makes a connection for each request, so that none is lost with a connection that was idle.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}

// get returns the status and body of an answer that came whole.
func get(url string) (int, string, error) {
	resp, err := client.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if resp.StatusCode == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") == "" {
		err = errors.Join(err, errors.New("503 without Retry-After"))
	}
	return resp.StatusCode, string(body), err
}

// TestProgram_DrainsUnderLoad ends the service in the middle of more requests than it can take. Clients go on until
// nobody listens any more. What the service accepted, they have had an answer to.
func TestProgram_DrainsUnderLoad(t *testing.T) {
	p := start(t, "-slots", "1", "-queue", "4")
	var clients sync.WaitGroup
	var answers, shed atomic.Int64
	var draining atomic.Bool
	wrong := make(chan error, 64)
	busy := make(chan struct{})
	for range cap(wrong) {
		clients.Go(func() {
			for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
				status, _, err := get(p.api + "/thumbnail")
				switch {
				case err == nil && status == http.StatusOK:
				case err == nil && status == http.StatusServiceUnavailable:
					if shed.Add(1) == 50 {
						close(busy)
					}
				case status == 0 && draining.Load():
					return // nobody listens; if a handler has seen it, the count below is wrong
				default:
					wrong <- fmt.Errorf("status %d: %w", status, err)
					return
				}
				answers.Add(1)
			}
			wrong <- errors.New("the service never ended")
		})
	}
	select {
	case <-busy:
	case err := <-wrong:
		require.NoError(t, err)
	}
	draining.Store(true)
	p.signal(t)
	drained := p.waitFor(t, "drained")
	clients.Wait()
	close(wrong)
	for err := range wrong {
		require.NoError(t, err)
	}
	require.Zero(t, p.end(t).ExitCode())
	require.Equal(t, drained.Accepted, drained.Answered)
	require.Equal(t, drained.Accepted, answers.Load())
	t.Logf("%d answers, %d of them 503", answers.Load(), shed.Load())
}

func TestProgram_IsNotReadyWhileItDrains(t *testing.T) {
	p := start(t, "-lame-duck", "1h")
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/metrics": 200, "/nonsense": 404} {
		status, _, err := get(p.admin + path)
		require.NoError(t, err)
		require.Equal(t, want, status, path)
	}
	p.signal(t)
	p.waitFor(t, "draining")
	resp, err := client.Get(p.admin + "/readyz")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
	for _, url := range []string{p.admin + "/healthz", p.api + "/thumbnail"} {
		status, _, err := get(url)
		require.NoError(t, err, "those that have not looked yet")
		require.Equal(t, http.StatusOK, status, url)
	}

	p.signal(t)
	state := p.end(t)
	ended, ok := state.Sys().(syscall.WaitStatus)
	require.True(t, ok)
	require.Equal(t, syscall.SIGTERM, ended.Signal(), "the second signal ends it at once: %v", state)
}

// TestProgram_EndsWhenTheDrainTakesTooLong has a client that never finishes its request.
func TestProgram_EndsWhenTheDrainTakesTooLong(t *testing.T) {
	p := start(t, "-drain", "50ms")
	body, rest := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.api+"/hash", body)
	require.NoError(t, err)
	// The body is not begun before the handler asks for it.
	req.Header.Set("Expect", "100-continue")
	slow := http.Client{Transport: &http.Transport{ExpectContinueTimeout: patience}}
	answer := make(chan error, 1)
	go func() {
		resp, err := slow.Do(req)
		if err == nil {
			resp.Body.Close()
		}
		answer <- err
	}()
	_, err = rest.Write([]byte("half"))
	require.NoError(t, err)
	p.signal(t)
	require.Contains(t, p.waitFor(t, "service ends").Error, "still in progress")
	require.Equal(t, exitFailed, p.end(t).ExitCode())
	require.NoError(t, rest.CloseWithError(io.ErrUnexpectedEOF))
	require.Error(t, <-answer)
}

func TestProgram_TellsThatAnAddressIsTaken(t *testing.T) {
	p := start(t)
	for _, flag := range []string{"-addr", "-admin"} {
		args := map[string]string{"-addr": "127.0.0.1:0", "-admin": "127.0.0.1:0"}
		args[flag] = p.api[len("http://"):]
		status, _, stderr := runHere(t, t.Context(), "-addr", args["-addr"], "-admin", args["-admin"])
		require.Equal(t, exitFailed, status)
		require.Contains(t, stderr, "address already in use")
	}
}

// TestProgram_LoadsAProgram has both halves as they are used.
func TestProgram_LoadsAProgram(t *testing.T) {
	p := start(t, "-queue", "2", "-slots", "1")
	status, stdout, stderr := runHere(t, t.Context(), "load", "-url", p.api, "-duration", "1s")
	require.Zero(t, status, stderr)
	table := rows(t, stdout)
	require.NotEqual(t, "0", table["200"][0], stdout)
	require.NotEqual(t, "0", table["503"][0], "32 clients and room for two: %s", stdout)
	require.Equal(t, "0", table["other"][0], stdout)
	p.signal(t)
	require.Zero(t, p.end(t).ExitCode())
}

func TestProgram_WritesSpans(t *testing.T) {
	p := start(t, "-trace")
	status, _, err := get(p.api + "/thumbnail")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status)
	p.signal(t)
	require.Zero(t, p.end(t).ExitCode())
	ids, parents := map[string]string{}, map[string]string{} // by the name of a span
	for line := range strings.Lines(p.stdout.String()) {
		var span struct {
			Name                string
			SpanContext, Parent struct{ SpanID string }
		}
		require.NoError(t, json.Unmarshal([]byte(line), &span), line)
		ids[span.Name], parents[span.Name] = span.SpanContext.SpanID, span.Parent.SpanID
	}
	require.NotEmpty(t, ids["GET /thumbnail"], &p.stdout)
	require.Equal(t, ids["GET /thumbnail"], parents["/thumbnail"], "the task is part of the request: %s", &p.stdout)
}
