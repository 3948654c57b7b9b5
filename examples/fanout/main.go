// Fanout fetches 2,000 URLs and shows what it takes to choose how many at once, and what it costs not to:
//
//	go run ./examples/fanout
//
// The server is its own, on the loopback interface; each answer takes it between 1 and 200 ms. The executor is made
// by executor.New() without arguments. Nobody tells it that tasks wait for a network, or how many requests there
// should be at once: while tasks wait and the processors have nothing to do it lends slots, and when Blocking says
// so it need not even find out. What is in flight is bounded all the same, by the default of WithMaxSpares.
//
// Beside it the same requests are made by errgroup with a limit and by as many goroutines as there are URLs. Two at
// once, as many as a small machine has processors, takes a hundred seconds and comes last; interrupt it, and the
// table shows the others. The exit status is then 128 plus the number of the signal, as a shell says it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"text/tabwriter"
	"time"
)

func main() {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		s := <-signals
		signal.Stop(signals) // a second one ends the program at once
		cancel(ended{s.(syscall.Signal)})
	}()
	os.Exit(status(ctx, run(ctx, os.Args[1:], os.Stdout, os.Stderr), os.Stderr))
}

// ended is the cause of a context that a signal ended.
type ended struct{ by syscall.Signal }

func (e ended) Error() string { return e.by.String() }

// status tells how the program ended, and returns its exit status.
func status(ctx context.Context, err error, stderr io.Writer) int {
	var signaled ended
	switch {
	case errors.As(context.Cause(ctx), &signaled):
		fmt.Fprintf(stderr, "fanout: %v, the table ends early\n", signaled)
		return 128 + int(signaled.by)
	case err != nil && !errors.Is(err, flag.ErrHelp):
		fmt.Fprintln(stderr, "fanout:", err)
		return 1
	}
	return 0
}

// run is the program but for the process around it.
func run(ctx context.Context, args []string, stdout io.Writer, stderr *os.File) error {
	flags := flag.NewFlagSet("fanout", flag.ContinueOnError)
	flags.SetOutput(stderr)
	urls := flags.Int("urls", 2000, "how many URLs to fetch, in each way")
	slowest := flags.Duration("slowest", 200*time.Millisecond, "how long the slowest answer takes")
	switch err := flags.Parse(args); {
	case err != nil:
		return err
	case flags.NArg() > 0 || *urls < 1 || *slowest < time.Millisecond:
		flags.Usage()
		return errors.New("no arguments, at least one URL, and a millisecond at least")
	}

	srv, err := serve(*slowest)
	if err != nil {
		return err
	}
	defer srv.close()
	bar := newBar(stderr, *urls*len(ways))
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "way\twall time\tmost at once\tmost memory")
	for _, w := range ways {
		r, err := measure(ctx, w, srv, *urls, bar)
		if ctx.Err() != nil {
			err = nil // the user has seen enough
			break
		}
		if err != nil {
			bar.finish()
			return fmt.Errorf("%s: %w", w.name, err)
		}
		fmt.Fprintf(table, "%s\t%v\t%d\t%d KiB\n", w.name, r.wall.Round(time.Millisecond), r.atOnce, r.memory>>10)
	}
	bar.finish()
	return table.Flush()
}

// result is what one way has cost.
type result struct {
	wall   time.Duration
	atOnce int64  // requests that the server was answering
	memory uint64 // heap and stacks beyond what there was before
}

// measure fetches all URLs in one way.
func measure(ctx context.Context, w way, srv *server, n int, bar *bar) (result, error) {
	client := &http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone()}
	defer client.CloseIdleConnections()
	srv.forget()
	memory := watchMemory()
	start := time.Now()
	err := w.fetch(ctx, srv.urls(n), func(ctx context.Context, url string) error {
		defer bar.step()
		return get(ctx, client, url)
	})
	return result{time.Since(start), srv.most.Load(), memory()}, err
}

// get fetches one URL. The body is read and counted for nothing, so that memory is bounded whatever it is.
func get(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}
