package suite

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/seed-97bda89a/executor"

	"github.com/seed-97bda89a/executor/benchmarks/internal/contend"
	"github.com/seed-97bda89a/executor/benchmarks/internal/meter"
	"github.com/seed-97bda89a/executor/benchmarks/internal/work"
)

// service is an HTTP server on loopback that computes its answers on a pool.
// The client is in the same process and shares the cores with it.
func service() Row {
	l := load{light: 300 * time.Microsecond, share: 0.45}
	var entries []Entry
	for _, c := range contend.Named(contend.Executor, "channel", "ants", "pond", "errgroup", "semaphore", "workerpool") {
		entries = append(entries, Entry{Name: c.Name, Run: func(m *meter.Meter) error {
			return withPool(m, c, contend.Config{Slots: m.Slots}, func(p contend.Pool) error {
				return serve(m, l, func(ctx context.Context, fn func()) error { return runAndWait(ctx, p, fn) })
			})
		}})
	}
	entries = append(entries, Entry{Name: contend.Executor + "-do", Run: func(m *meter.Meter) error {
		p, err := contend.OpenExecutor(executor.WithSlots(m.Slots))
		if err != nil {
			return err
		}
		defer p.Close()
		return serve(m, l, func(ctx context.Context, fn func()) error {
			return p.E.Do(ctx, func(context.Context) error { fn(); return nil })
		})
	}})
	entries = append(entries, Entry{Name: "net/http", Run: func(m *meter.Meter) error {
		return serve(m, l, func(_ context.Context, fn func()) error {
			fn()
			return nil
		})
	}})
	return Row{
		Group: "Service", Scenario: "http", Title: "an HTTP service under an open loop, 5 % of the requests 20 times as heavy", Op: "request",
		Unit: "response-p99-ns", Size: 2500, QuickSize: 800, Whole: true, QuickRounds: 1,
		Entries: entries,
		Note: "Requests need 0.3 or 6 ms of processor time, 45 % of the cores in all; HTTP on both ends comes on top. `net/http` computes in the " +
			"handler's own goroutine, with no bound; `executor-do` does so under Do, with the bound and without another goroutine. The response is counted from the planned time, the wait from the handler's submit.",
		Plot: true,
	}
}

// runAndWait runs fn as a task and waits for it, as a handler does.
func runAndWait(ctx context.Context, p contend.Pool, fn func()) error {
	done := make(chan struct{})
	err := p.Submit(ctx, contend.TaskOf(func(context.Context) {
		defer close(done)
		fn()
	}))
	if err != nil {
		return err
	}
	<-done
	return nil
}

// serve starts the server, plays the arrivals against it, and stops it.
func serve(m *meter.Meter, l load, run func(context.Context, func()) error) error {
	arrivals, _ := l.arrivals(m)
	waits := make([]time.Duration, len(arrivals))
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var i int
		if _, err := fmt.Sscan(r.URL.Query().Get("i"), &i); err != nil || i < 0 || i >= len(arrivals) {
			http.Error(w, "which request?", http.StatusBadRequest)
			return
		}
		came := time.Now()
		err := run(r.Context(), func() {
			waits[i] = time.Since(came)
			work.Spin(l.units(arrivals[i]))
		})
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintf(w, "%d", i)
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	gone := make(chan error, 1)
	go func() { gone <- server.Serve(listener) }()
	defer func() {
		_ = server.Close() // every request has been answered
		<-gone
	}()
	client := &http.Client{
		Timeout:   30 * time.Second,
		Transport: &http.Transport{MaxIdleConnsPerHost: 256, MaxConnsPerHost: 256},
	}
	defer client.CloseIdleConnections()
	return ask(m, client, "http://"+listener.Addr().String(), arrivals, waits)
}

// ask sends every request at its time and waits for all answers.
func ask(m *meter.Meter, client *http.Client, url string, arrivals []work.Arrival, waits []time.Duration) error {
	seen := make([]taken, len(arrivals))
	errs := make(chan error, 1)
	var answered sync.WaitGroup
	m.Start()
	work.Play(arrivals, func(i int, _ work.Arrival, planned time.Time) {
		seen[i].late = time.Since(planned)
		answered.Go(func() {
			if err := get(client, fmt.Sprintf("%s/?i=%d", url, i), fmt.Sprint(i)); err != nil {
				select {
				case errs <- err:
				default: // the first one is enough
				}
			}
			seen[i].response = time.Since(planned)
		})
	})
	answered.Wait()
	m.Stop()
	select {
	case err := <-errs:
		return err
	default:
	}
	for i := range seen {
		seen[i].wait = waits[i]
	}
	setTaken(m, seen)
	return nil
}

func get(client *http.Client, url, want string) error {
	resp, err := client.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || string(body) != want {
		return fmt.Errorf("status %d, answer %q, want %q", resp.StatusCode, body, want)
	}
	return nil
}
