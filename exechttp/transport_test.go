package exechttp_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/exechttp"
)

// A hundred round trips that wait for each other's answers, on one slot without stall detection: header and body. With
// HTTP/2 too. Mutants: the round trip or the read outside of wait.
func TestTransport_WaitsLendTheSlot(t *testing.T) {
	for _, two := range []bool{false, true} {
		t.Run(fmt.Sprintf("http2 %t", two), func(t *testing.T) {
			t.Parallel()
			const calls = 100
			var header, body sync.WaitGroup
			header.Add(calls)
			body.Add(calls) // calls that have the first line of theirs, and read on
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				header.Done()
				header.Wait() // no header before all calls are there
				fmt.Fprint(w, "first\n")
				_ = http.NewResponseController(w).Flush()
				body.Wait()
				fmt.Fprint(w, r.Proto)
			}))
			s.EnableHTTP2 = two
			if two {
				s.StartTLS()
			} else {
				s.Start()
			}
			defer s.Close()
			client := s.Client()
			client.Transport = exechttp.Transport(client.Transport)
			e := newExecutor(t, executor.WithSlots(1), executor.WithStallDetection(false))
			g := e.NewGroup(context.Background())
			for range calls {
				g.Go(func(ctx context.Context) error {
					r, err := http.NewRequestWithContext(ctx, "GET", s.URL, nil)
					if err != nil {
						return err
					}
					answer, err := client.Do(r)
					if err != nil {
						return err
					}
					first := make([]byte, 6)
					_, err = io.ReadFull(answer.Body, first)
					body.Done()
					text, more := io.ReadAll(answer.Body)
					if err = errors.Join(err, more); err == nil && (len(text) != 8 || two != strings.HasSuffix(string(text), "/2.0")) {
						err = fmt.Errorf("read %q", text)
					}
					_ = answer.Body.Close()
					return err
				})
			}
			require.NoError(t, g.Wait())
			client.CloseIdleConnections()
		})
	}
}

func TestTransport_CancellationAndBulkhead(t *testing.T) {
	arrived, hold := make(chan struct{}, 1), make(chan struct{})
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-hold
	}))
	b, err := executor.NewBulkhead("backend", 1)
	require.NoError(t, err)
	client := http.Client{Transport: exechttp.Transport(nil, exechttp.WithBulkhead(b))}
	first := make(chan error)
	go func() {
		answer, err := client.Get(s.URL)
		if err == nil {
			_ = answer.Body.Close()
		}
		first <- err
	}()
	<-arrived
	ctx, cancel := context.WithCancel(context.Background())
	closed := make(chan struct{})
	r, err := http.NewRequestWithContext(ctx, "POST", s.URL, &closing{strings.NewReader("x"), closed})
	require.NoError(t, err)
	second := make(chan error)
	go func() { _, err := client.Do(r); second <- err }()
	cancel()
	require.ErrorIs(t, <-second, context.Canceled)
	<-closed
	close(hold)
	require.NoError(t, <-first)
}

type closing struct {
	io.Reader
	closed chan struct{}
}

func (c *closing) Close() error {
	close(c.closed)
	return nil
}

// The body of an answer that switched protocols can be written to.
func TestTransport_Upgrade(t *testing.T) {
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, buffers, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = c.Close() }()
		fmt.Fprint(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		line, _ := buffers.ReadString('\n')
		fmt.Fprint(c, line)
	}))
	r, err := http.NewRequest("GET", s.URL, nil)
	require.NoError(t, err)
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "echo")
	answer, err := exechttp.Transport(nil).RoundTrip(r)
	require.NoError(t, err)
	stream := answer.Body.(io.ReadWriteCloser)
	fmt.Fprint(stream, "hello\n")
	line, err := bufio.NewReader(stream).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "hello\n", line)
	require.NoError(t, stream.Close())
}
