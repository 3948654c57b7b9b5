package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/url"
	"time"
)

// serveConfig is what the flags of the service say.
type serveConfig struct {
	addr, admin string
	slots       int // 0 follows the CPU quota
	queue       int
	bodies      int
	native      int
	timeout     time.Duration // of one request
	lameDuck    time.Duration
	drain       time.Duration
	trace       bool
}

// loadConfig is what the flags of the load mode say.
type loadConfig struct {
	url      string
	duration time.Duration
	clients  int
	rate     float64 // requests a second; 0 is as many as the clients manage
	pause    time.Duration
}

// longestLoad bounds a load run, so that a forgotten one ends.
const longestLoad = 10 * time.Minute

// badFlags are values that the flag package takes and the program does not.
type badFlags struct{ error }

// rules collects what is wrong, so that all of it is told at once.
type rules struct {
	program string
	errs    []error
}

func (r *rules) check(ok bool, format string, args ...any) {
	if !ok {
		r.errs = append(r.errs, fmt.Errorf("%s: %s", r.program, fmt.Sprintf(format, args...)))
	}
}

func (r *rules) err() error {
	if len(r.errs) == 0 {
		return nil
	}
	return badFlags{errors.Join(r.errs...)}
}

func parseServe(args []string, stderr io.Writer) (serveConfig, error) {
	var c serveConfig
	flags := flag.NewFlagSet("service", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&c.addr, "addr", "127.0.0.1:8080", "address of the service; port 0 takes a free one")
	flags.StringVar(&c.admin, "admin", "127.0.0.1:8081", "address for metrics, probes and the debug page; keep it private")
	flags.IntVar(&c.slots, "slots", 0, "tasks that run at once; 0 follows the CPU quota")
	flags.IntVar(&c.queue, "queue", 64, "requests that may wait for a slot; the next ones get 503")
	flags.IntVar(&c.bodies, "bodies", 512, "requests that may still be sending their body; one more takes the place of the oldest")
	flags.IntVar(&c.native, "native", 2, "calls into C at once")
	flags.DurationVar(&c.timeout, "timeout", 5*time.Second, "how long a request may wait for a slot and run")
	flags.DurationVar(&c.lameDuck, "lame-duck", 0, "how long to go on after SIGTERM while /readyz says 503")
	flags.DurationVar(&c.drain, "drain", 20*time.Second, "how long requests may take to end after that")
	flags.BoolVar(&c.trace, "trace", false, "write the spans of all requests to standard output")
	if err := flags.Parse(args); err != nil {
		return c, err
	}
	r := rules{program: "service"}
	r.check(flags.NArg() == 0, "takes flags or the word load, not %q", flags.Args())
	r.check(c.slots >= 0 && c.slots <= 4096, "-slots=%d: must be 0 to 4096", c.slots)
	r.check(c.queue >= 1, "-queue=%d: must be at least 1", c.queue)
	r.check(c.bodies >= 1 && c.bodies <= 10_000, "-bodies=%d: must be 1 to 10000", c.bodies)
	r.check(c.native >= 1, "-native=%d: must be at least 1", c.native)
	r.check(c.timeout > 0, "-timeout=%v: must be more than 0", c.timeout)
	r.check(c.lameDuck >= 0, "-lame-duck=%v: must not be negative", c.lameDuck)
	r.check(c.drain > 0, "-drain=%v: must be more than 0", c.drain)
	return c, r.err()
}

func parseLoad(args []string, stderr io.Writer) (loadConfig, error) {
	var c loadConfig
	flags := flag.NewFlagSet("service load", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&c.url, "url", "http://127.0.0.1:8080", "the service, on this machine")
	flags.DurationVar(&c.duration, "duration", 10*time.Second, "how long to send requests, 10m at most")
	flags.IntVar(&c.clients, "clients", 32, "requests in progress at most")
	flags.Float64Var(&c.rate, "rate", 0, "requests a second; 0: each client sends the next when it has its answer")
	flags.DurationVar(&c.pause, "pause", 50*time.Millisecond, "how long a client waits after a 503, without -rate")
	if err := flags.Parse(args); err != nil {
		return c, err
	}
	r := rules{program: "service load"}
	r.check(flags.NArg() == 0, "takes flags only, not %q", flags.Args())
	r.check(loopback(c.url), "-url=%q: must be http on a loopback address, as http://127.0.0.1:8080", c.url)
	r.check(c.duration > 0 && c.duration <= longestLoad, "-duration=%v: must be more than 0, at most %v", c.duration, longestLoad)
	r.check(c.clients >= 1 && c.clients <= 10_000, "-clients=%d: must be 1 to 10000", c.clients)
	r.check(c.rate >= 0 && c.rate <= 1e6, "-rate=%v: must be 0 to 1000000", c.rate)
	r.check(c.pause >= 0, "-pause=%v: must not be negative", c.pause)
	return c, r.err()
}

// loopback reports whether raw is the URL of a server on this machine: load is not for other people's.
func loopback(raw string) bool {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}
