package exechttp_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/exechttp"
)

// raw sends text on a connection of its own.
func raw(t *testing.T, addr, text string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	fmt.Fprint(c, text)
	return c, bufio.NewReader(c)
}

// A client that waits for 100 Continue is told to go on when the handler reads, which lends the slot meanwhile; a refused
// one is told at once, and sends nothing.
func TestHandler_ExpectContinue(t *testing.T) {
	e := newExecutor(t, executor.WithSlots(1), executor.WithStallDetection(false))
	s := serve(t, exechttp.Handler(e, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		fmt.Fprint(w, string(text), err)
	})))
	const head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
	c, in := raw(t, s.Listener.Addr().String(), head)
	line, err := in.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "HTTP/1.1 100 Continue\r\n", line)
	quick, err := http.Get(s.URL) // while that one reads
	require.NoError(t, err)
	require.NoError(t, quick.Body.Close())
	require.Equal(t, http.StatusOK, quick.StatusCode)
	_, err = in.ReadString('\n')
	require.NoError(t, err)
	fmt.Fprint(c, "body")
	answer, err := http.ReadResponse(in, nil)
	require.NoError(t, err)
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.Equal(t, "body<nil>", string(text))

	require.NoError(t, e.Close())
	_, in = raw(t, s.Listener.Addr().String(), head)
	answer, err = http.ReadResponse(in, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusServiceUnavailable, answer.StatusCode)
	require.True(t, answer.Close)
}

// A handler that aborts in the middle of an answer: the client sees that it is cut, the server lives, and the slot is free.
// So for a panic after Hijack, whose connection is the handler's to close.
func TestHandler_AbortsCutTheAnswer(t *testing.T) {
	e := newExecutor(t, executor.WithSlots(1), executor.WithStallDetection(false))
	hijacked := make(chan net.Conn, 1)
	s := serve(t, exechttp.Handler(e, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/cut":
			fmt.Fprint(w, "half")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		case "/hijack":
			c, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
			}
			hijacked <- c
			panic("after hijack")
		}
	})))
	answer, err := http.Get(s.URL + "/cut")
	require.NoError(t, err)
	_, err = io.ReadAll(answer.Body)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	_, in := raw(t, s.Listener.Addr().String(), "GET /hijack HTTP/1.1\r\nHost: x\r\n\r\n")
	c := <-hijacked
	fmt.Fprint(c, "later\n") // outside of the task that it came from
	line, err := in.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "later\n", line)
	require.NoError(t, c.Close())
	answer, err = http.Get(s.URL)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.NoError(t, e.Quiesce(context.Background()))
	require.EqualValues(t, 2, e.Stats().Panicked)
}

// A client that goes away ends the context of its request, also of one that waits for a slot or is inside a read.
func TestHandler_AClientThatLeavesEndsItsRequest(t *testing.T) {
	e := newExecutor(t, executor.WithSlots(1), executor.WithStallDetection(false))
	began, ended := make(chan struct{}, 2), make(chan error, 2)
	s := serve(t, exechttp.Handler(e, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		began <- struct{}{}
		if r.URL.Path == "/read" {
			_, err := io.ReadAll(r.Body)
			ended <- err
			return
		}
		executor.Blocking(r.Context(), func() { <-r.Context().Done() })
		ended <- r.Context().Err()
	})))
	for _, text := range []string{
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbo",
	} {
		c, _ := raw(t, s.Listener.Addr().String(), text)
		<-began
		require.NoError(t, c.Close())
		require.Error(t, <-ended)
	}
	require.NoError(t, e.Quiesce(context.Background()))
}

// A body that nobody reads or closes holds neither a slot nor a place in the Bulkhead, only its connection; a panic of the
// transport below gives both back.
func TestTransport_LeakedBodiesAndPanicsHoldNothing(t *testing.T) {
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.Copy(w, strings.NewReader(strings.Repeat("x", 1<<20)))
	}))
	b, err := executor.NewBulkhead("leaks", 1)
	require.NoError(t, err)
	base := &http.Transport{}
	defer base.CloseIdleConnections()
	client := http.Client{Transport: exechttp.Transport(base, exechttp.WithBulkhead(b))}
	broken := http.Client{Transport: exechttp.Transport(roundTrip(func(*http.Request) (*http.Response, error) { panic("below") }), exechttp.WithBulkhead(b))}
	e := newExecutor(t, executor.WithSlots(1), executor.WithStallDetection(false))
	g := e.NewGroup(context.Background())
	bodies := make(chan io.Closer, 10)
	for range cap(bodies) {
		g.Go(func(ctx context.Context) error {
			r, err := http.NewRequestWithContext(context.WithoutCancel(ctx), "GET", s.URL, nil)
			if err != nil {
				return err
			}
			func() {
				defer func() { _ = recover() }()
				_, _ = broken.Do(r.Clone(r.Context()))
			}()
			answer, err := client.Do(r)
			if err == nil {
				bodies <- answer.Body // not yet
			}
			return err
		})
	}
	require.NoError(t, g.Wait())
	close(bodies)
	for body := range bodies {
		require.NoError(t, body.Close())
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A body that is too large ends its connection, if the bound is around the Handler as its comment says.
func TestHandler_TooLargeBodiesEndTheirConnection(t *testing.T) {
	e := newExecutor(t)
	s := serve(t, http.MaxBytesHandler(exechttp.Handler(e, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil {
			http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		}
	})), 10))
	answer, err := http.Post(s.URL, "text/plain", strings.NewReader(strings.Repeat("x", 11)))
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, http.StatusRequestEntityTooLarge, answer.StatusCode)
	require.True(t, answer.Close)
}
