package exechttp_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/exechttp"
)

func newExecutor(t *testing.T, opts ...executor.Option) *executor.Executor {
	t.Helper()
	e, err := executor.New(opts...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	return e
}

// two is an executor on which blocking that nobody marks is never made up for.
func two(t *testing.T) *executor.Executor {
	return newExecutor(t, executor.WithSlots(2), executor.WithMaxSpares(2000), executor.WithStallDetection(false))
}

func serve(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Start()
	t.Cleanup(s.Close)
	return s
}

func TestHandler_RunsRequestsAsTasks(t *testing.T) {
	e := two(t)
	s := serve(t, exechttp.Handler(e, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		in, ok := executor.FromContext(r.Context())
		text, err := io.ReadAll(r.Body)
		fmt.Fprint(w, ok && in == e, err, string(text))
	})))
	answer, err := http.Post(s.URL, "text/plain", strings.NewReader("body"))
	require.NoError(t, err)
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.Equal(t, "true <nil>body", string(text))
}

// 512 clients whose bodies trickle in, and that read slowly what trickles out, hold nobody up on two slots without stall
// detection. Mutants: the read outside of wait.
func TestHandler_ClientsThatTrickleHoldNobodyUp(t *testing.T) {
	e := two(t)
	const clients = 512
	s := serve(t, exechttp.Handler(e, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/quick" {
			fmt.Fprint(w, "quick")
			return
		}
		_ = http.NewResponseController(w).EnableFullDuplex()
		in := bufio.NewReader(r.Body)
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			fmt.Fprint(w, line)
			w.(http.Flusher).Flush()
		}
	}), exechttp.WithWaiting(clients+1)))
	var open, all sync.WaitGroup
	open.Add(clients)
	release := make(chan struct{})
	for range clients {
		all.Go(func() {
			c, err := net.Dial("tcp", s.Listener.Addr().String())
			if err != nil {
				open.Done()
				t.Error(err)
				return
			}
			defer func() { _ = c.Close() }()
			fmt.Fprint(c, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\na\n\r\n")
			answer, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err == nil {
				_, err = io.ReadFull(answer.Body, make([]byte, 2))
			}
			open.Done() // it runs, and waits for more
			<-release
			fmt.Fprint(c, "2\r\nb\n\r\n0\r\n\r\n")
			if err == nil {
				_, err = io.ReadAll(answer.Body)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	open.Wait()
	for range 10 {
		answer, err := http.Get(s.URL + "/quick")
		require.NoError(t, err)
		text, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		require.Equal(t, "quick", string(text))
	}
	close(release)
	all.Wait()
}

// A client that does not read blocks the handler's writes, and nothing else. Mutant: the write outside of lend.
func TestHandler_ClientThatDoesNotRead(t *testing.T) {
	e := newExecutor(t, executor.WithSlots(1), executor.WithStallDetection(false))
	big := make([]byte, 1<<20)
	s := serve(t, exechttp.Handler(e, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/write":
			for {
				if _, err := w.Write(big); err != nil {
					return
				}
			}
		case "/copy":
			for {
				if _, err := io.Copy(w, bytes.NewReader(big)); err != nil {
					return
				}
			}
		}
	})))
	for _, path := range []string{"/write", "/copy"} {
		c, err := net.Dial("tcp", s.Listener.Addr().String())
		require.NoError(t, err)
		defer func() { _ = c.Close() }()
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
		_, err = io.ReadFull(c, make([]byte, 100))
		require.NoError(t, err)
		answer, err := http.Get(s.URL + "/")
		require.NoError(t, err)
		_ = answer.Body.Close()
	}
}

func TestHandler_StreamsAndUpgradesHoldNobodyUp(t *testing.T) {
	e := newExecutor(t, executor.WithSlots(1), executor.WithStallDetection(false))
	events := make(chan string)
	s := serve(t, exechttp.Handler(e, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/events":
			w.Header().Set("Content-Type", "text/event-stream")
			for {
				var event string
				var ok bool
				executor.Blocking(r.Context(), func() { event, ok = <-events })
				if !ok {
					return
				}
				fmt.Fprintf(w, "data: %s\n\n", event)
				_ = http.NewResponseController(w).Flush()
			}
		case "/upgrade":
			c, buffers, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer func() { _ = c.Close() }()
			fmt.Fprint(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
			for {
				line, err := buffers.ReadString('\n') // through the buffer
				if err != nil {
					return
				}
				_, _ = buffers.WriteString(line)
				_ = buffers.Flush()
			}
		default:
			fmt.Fprint(w, "quick")
		}
	})))
	dial := func(path string) (net.Conn, *bufio.Reader) {
		c, err := net.Dial("tcp", s.Listener.Addr().String())
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close() })
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n", path)
		return c, bufio.NewReader(c)
	}
	_, stream := dial("/events")
	events <- "one"
	answer, err := http.ReadResponse(stream, nil)
	require.NoError(t, err)
	lines := bufio.NewReader(answer.Body)
	event, err := lines.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "data: one\n", event)

	c, upgraded := dial("/upgrade")
	answer, err = http.ReadResponse(upgraded, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusSwitchingProtocols, answer.StatusCode)
	for range 3 {
		fmt.Fprint(c, "echo\n")
		echo, err := upgraded.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "echo\n", echo)
		quick, err := http.Get(s.URL) // while both wait
		require.NoError(t, err)
		_ = quick.Body.Close()
	}
	close(events)
	_, err = io.ReadAll(lines)
	require.NoError(t, err)
}

func TestHandler_TheContextIsTheProgramsChoice(t *testing.T) {
	e := newExecutor(t)
	type key struct{}
	var seen any
	h := exechttp.Handler(e, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = r.Context().Value(key{}) }),
		exechttp.WithContext(func(r *http.Request) context.Context { return context.WithValue(r.Context(), key{}, r.URL.Path) }))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/a", nil))
	require.Equal(t, "/a", seen)
}

// The files of a form are removed by net/http, which looks at its own request.
func TestHandler_LeavesNoFilesOfForms(t *testing.T) {
	e := newExecutor(t)
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	var files int
	s := serve(t, exechttp.Handler(e, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseMultipartForm(1); err != nil {
			t.Error(err)
		}
		list, _ := os.ReadDir(dir)
		files = len(list)
	})))
	var text bytes.Buffer
	form := multipart.NewWriter(&text)
	file, err := form.CreateFormFile("f", "name")
	require.NoError(t, err)
	_, err = file.Write(make([]byte, 1<<20))
	require.NoError(t, err)
	require.NoError(t, form.Close())
	answer, err := http.Post(s.URL, form.FormDataContentType(), &text)
	require.NoError(t, err)
	_ = answer.Body.Close()
	s.Close()
	list, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, list)
	if files == 0 {
		t.Log("this system keeps such files elsewhere")
	}
}
