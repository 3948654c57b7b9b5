// Cluster computes checksums as jobs, on as many machines as there are.
//
//	go run ./examples/cluster                     everything in one process: a server, two workers, a client, the page
//	go run ./examples/cluster -server :4222       only a server, for the others
//	go run ./examples/cluster -worker             a worker; start as many as you like, kill any of them at any time
//	go run ./examples/cluster -send 10000         a client: sends jobs, and watches until they are done
//
// Every job computes the SHA-256 of a block that is made from its number. Nothing has to be installed: the server is in the program.
package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/debugpage"
	"github.com/seed-97bda89a/executor/jobs"
	"github.com/seed-97bda89a/executor/jobs/jetstream"
	"github.com/seed-97bda89a/executor/jobs/jetstream/embedded"
	"github.com/seed-97bda89a/executor/jobs/jobspage"
)

// block is what a job is about: it must be encodable, for it may run elsewhere.
type block struct {
	Seed  int
	Bytes int
}

var checksum = jobs.Define("checksum", func(ctx context.Context, b block) error {
	h := sha256.New()
	line := fmt.Appendf(nil, "block %d\n", b.Seed)
	for n := 0; n < b.Bytes; n += len(line) {
		h.Write(line)
		if err := executor.Checkpoint(ctx); err != nil {
			return err
		}
	}
	// Storing the result somewhere else is waiting: it is marked, and frees the slot for the next job.
	executor.Blocking(ctx, func() { time.Sleep(time.Millisecond) })
	return nil
}, jobs.Attempts(5), jobs.Deadline(time.Minute))

var queue = jetstream.Config{Name: "checksums", AckWait: 5 * time.Second}

func main() {
	listen := flag.String("server", "", "only run a server, at this address")
	worker := flag.Bool("worker", false, "only run a worker")
	send := flag.Int("send", 0, "only send so many jobs")
	url := flag.String("nats", "nats://127.0.0.1:4222", "the server, for -worker and -send")
	dir := flag.String("dir", "", "where the server keeps its data; empty: with -server executor-cluster below the user's cache, else a new directory, removed at the end")
	page := flag.String("page", "127.0.0.1:0", "where workers show the page")
	n := flag.Int("n", 2000, "how many jobs, if everything is in one process")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	switch {
	case flag.NArg() > 0:
		err = fmt.Errorf("unknown argument %q", flag.Arg(0))
	case *listen != "":
		err = serveOnly(ctx, *listen, *dir)
	case *worker:
		err = connected(*url, func(on *jetstream.Queue) error { return work(ctx, on, *page, 1) })
	case *send > 0:
		err = connected(*url, func(on *jetstream.Queue) error { return client(ctx, on, *send) })
	default:
		err = everything(ctx, *dir, *page, *n)
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

// place returns the directory of a server, and what removes it if it is only for this run.
func place(dir string) (string, func(), error) {
	if dir != "" {
		return dir, func() {}, nil
	}
	dir, err := os.MkdirTemp("", "cluster")
	return dir, func() { _ = os.RemoveAll(dir) }, err
}

// serveOnly keeps its data: what was accepted is there when the server starts again.
func serveOnly(ctx context.Context, addr, dir string) error {
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return err
		}
		dir = filepath.Join(cache, "executor-cluster")
	}
	s, err := embedded.Start(ctx, dir, embedded.Listen(addr))
	if err != nil {
		return err
	}
	defer s.Shutdown()
	fmt.Printf("server at %s, data in %s\n", s.Addr(), dir)
	<-ctx.Done()
	return nil
}

func connected(url string, fn func(*jetstream.Queue) error) error {
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.RetryOnFailedConnect(true), nats.ReconnectWait(200*time.Millisecond))
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := natsjs.New(nc)
	if err != nil {
		return err
	}
	on, err := open(js)
	if err != nil {
		return err
	}
	defer on.Close(context.Background())
	return fn(on)
}

// open waits for a server that is not there yet.
func open(js natsjs.JetStream) (on *jetstream.Queue, err error) {
	for range 60 {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		on, err = jetstream.New(ctx, js, queue)
		cancel()
		if err == nil {
			return on, nil
		}
		time.Sleep(500 * time.Millisecond)
	}
	return nil, err
}

// everything is a cluster in one process.
func everything(ctx context.Context, dir, page string, n int) error {
	dir, remove, err := place(dir)
	if err != nil {
		return err
	}
	defer remove()
	on, stop, err := embedded.Open(ctx, dir, queue)
	if err != nil {
		return err
	}
	defer stop(context.Background())
	ctx, cancel := context.WithCancel(ctx)
	workers := make(chan error, 1)
	go func() { workers <- work(ctx, on, page, 2) }()
	err = client(ctx, on, n)
	cancel()
	return errors.Join(err, <-workers)
}

// work runs workers, each with an executor of its own, until ctx ends, and shows them.
func work(ctx context.Context, on *jetstream.Queue, page string, n int) error {
	l, err := net.Listen("tcp", page)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	server := &http.Server{Handler: mux}
	defer server.Close()
	var entries []jobspage.Entry
	ends := make(chan error, n)
	for i := range n {
		exec, err := executor.New(executor.WithName(fmt.Sprintf("worker-%d", i+1)))
		if err != nil {
			return err
		}
		defer exec.Close()
		w, err := jobs.NewWorker(exec, on, jobs.Kinds(checksum), jobs.WithLogger(slog.Default()))
		if err != nil {
			return err
		}
		entries = append(entries, jobspage.Entry{Name: exec.Name(), Worker: w})
		go func() { ends <- w.Serve(ctx) }()
	}
	mux.Handle("/jobs", jobspage.Handler(entries...))
	mux.Handle("/", debugpage.Handler())
	defer jobspage.Show(entries...)()
	go func() { _ = server.Serve(l) }()
	fmt.Printf("workers: http://%s/jobs and http://%s/\n", l.Addr(), l.Addr())
	for range n {
		err = errors.Join(err, <-ends)
	}
	for _, e := range entries {
		s := e.Worker.Stats()
		fmt.Printf("%s: %d done, %d retried, %d given back, %d dead\n", e.Name, s.Done, s.Retried, s.Returned, s.Dead)
	}
	return err
}

// client sends jobs, and watches the queue until it is empty.
func client(ctx context.Context, on *jetstream.Queue, n int) error {
	began := time.Now()
	var sent atomic.Int64
	go func() {
		for i := range n {
			// However long the server is away. The job may be there in spite of an error: it keeps its identity.
			once := jobs.Dedupe(fmt.Sprintf("%d/%d", began.UnixNano(), i))
			for err := errors.New("not yet"); err != nil && ctx.Err() == nil; {
				err = checksum.Go(ctx, on, block{Seed: i, Bytes: 256 << 10}, once)
			}
			sent.Add(1)
		}
	}()
	for {
		select {
		case <-ctx.Done():
			fmt.Println()
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
		count := int(sent.Load())
		d, err := on.Depth(ctx)
		if err != nil {
			fmt.Printf("\r%-78s", "waiting for the server")
			continue
		}
		left := int(d.Waiting + d.InFlight + d.Delayed)
		done := max(count-left, 0)
		bar := strings.Repeat("#", 30*done/n) + strings.Repeat("-", 30-30*done/n)
		fmt.Printf("\r[%s] sent %d  done %d  in flight %d  oldest %-8v", bar, count, done, d.InFlight, d.Oldest.Round(100*time.Millisecond))
		if count == n && left == 0 {
			fmt.Printf("\n%d jobs in %v, %d dead\n", n, time.Since(began).Round(10*time.Millisecond), d.Dead)
			return nil
		}
	}
}
