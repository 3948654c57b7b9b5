// Orders applies a stream of events of many customers: those of one customer in order, one at a time, those of different customers
// at the same time, and refuses early what it can not do in time.
//
//	go run ./examples/orders
//
// Half of the events are of ten customers. A Keyed keeps the order of each; events wait in one lane and reports, which take longer
// and run one at a time, in another, so neither has the other wait for long. The load is half as much again as the slots can do: with
// WithQueueDelay what is accepted waits for some 20 ms, and the rest is told so at once. The page that it prints shows all of that.
// Try -load 0.5, where nothing is refused. It ends after -for, or when interrupted, with a table; if an event was applied out of order
// it says so, and the exit status is 1.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/seed-97bda89a/executor/debugpage"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "orders:", err)
		os.Exit(1)
	}
}

// run is the program but for the process around it.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	c := config{work: compute}
	flags := flag.NewFlagSet("orders", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&c.customers, "customers", 1000, "how many customers there are")
	flags.Float64Var(&c.load, "load", 1.5, "how many events come, as a share of what the slots can do")
	flags.DurationVar(&c.event, "event", time.Millisecond, "how long an event takes")
	flags.DurationVar(&c.report, "report", 5*time.Millisecond, "how long a report takes")
	flags.DurationVar(&c.delay, "delay", 20*time.Millisecond, "how long what is accepted may wait")
	length := flags.Duration("for", 10*time.Second, "when to end")
	page := flags.String("page", "127.0.0.1:0", "where the page is; empty: nowhere")
	switch err := flags.Parse(args); {
	case err != nil:
		return err
	case flags.NArg() > 0 || c.customers < 1 || c.load <= 0 || c.event < time.Microsecond || c.report < 0 || *length <= 0:
		flags.Usage()
		return errors.New("no arguments, at least one customer, some load, and a microsecond for an event")
	}
	s, err := open(c)
	if err != nil {
		return err
	}
	defer s.exec.Close()
	if *page != "" {
		listener, err := net.Listen("tcp", *page)
		if err != nil {
			return err
		}
		server := &http.Server{Handler: debugpage.Handler(s.exec), ReadHeaderTimeout: 10 * time.Second}
		go func() { _ = server.Serve(listener) }() // until Close
		defer server.Close()
		fmt.Fprintf(stdout, "watch http://%s/ for %v\n", listener.Addr(), *length)
	}
	ctx, cancel := context.WithTimeout(ctx, *length)
	defer cancel()
	s.feed(ctx)
	if err := s.exec.Shutdown(context.Background()); err != nil { // what was accepted is done
		return err
	}
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "lane\tcame\tdone\trefused\twaited p50\tp99\t")
	for _, b := range []*book{&s.events, &s.reports} {
		p50, p99 := b.percentiles()
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%v\t%v\t\n", b.lane, b.came, b.done.Load(), b.refused, p50, p99)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if n := s.wrong.Load(); n > 0 {
		return fmt.Errorf("%d events were applied out of order", n)
	}
	fmt.Fprintf(stdout, "all events of %d customers were applied in order\n", c.customers)
	return nil
}

// compute takes a processor for so long.
func compute(d time.Duration) {
	for began := time.Now(); time.Since(began) < d; {
	}
}
