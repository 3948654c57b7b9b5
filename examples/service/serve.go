package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/debugpage"
)

// readTime is how long a client may take to send its request.
const readTime = 15 * time.Second

// serve runs the service until ctx is done, and then drains it. It returns nil if every request was answered.
func serve(ctx context.Context, cfg serveConfig, log *slog.Logger, stdout io.Writer) error {
	tel, err := newTelemetry(cfg.trace, stdout)
	if err != nil {
		return err
	}
	options := []executor.Option{
		executor.WithName("service"),
		executor.WithQueueLimit(cfg.queue),
		executor.WithMaxSpares(256 + cfg.bodies), // the default, and one for each body that is waited for
		executor.WithHistogramSampling(1),        // tasks of milliseconds can be timed all
		executor.WithLogger(log),
		executor.WithMeterProvider(tel.meters),
		executor.WithTracerProvider(tel.tracers),
	}
	if cfg.slots > 0 {
		options = append(options, executor.WithSlots(cfg.slots))
	}
	exec, err := executor.New(options...)
	if err != nil {
		return err
	}
	defer exec.Close() // after Shutdown it does nothing
	native, err := executor.NewBulkhead("shrink", cfg.native)
	if err != nil {
		return err
	}

	svc := &service{exec: exec, native: native, bodies: bodies{most: cfg.bodies}, timeout: cfg.timeout, log: log}
	var ready atomic.Bool
	api, err := listen(cfg.addr, log, otelhttp.NewHandler(svc.onExecutor(svc.routes()), "http", otelhttp.WithServerName("service"),
		otelhttp.WithMeterProvider(tel.meters), otelhttp.WithTracerProvider(tel.tracers)))
	if err != nil {
		return err
	}
	defer api.Close()
	api.WriteTimeout = readTime + cfg.timeout + 10*time.Second // it counts from the request's header
	admin, err := listen(cfg.admin, log, adminRoutes(tel.metrics, &ready))
	if err != nil {
		return err
	}
	defer admin.Close() // last, so that a drain can be watched

	failed := make(chan error, 2)
	go func() { failed <- api.serve() }()
	go func() { failed <- admin.serve() }()
	ready.Store(true)
	log.Info("serving", "addr", api.Addr, "admin", admin.Addr, "sizing", exec.Sizing().String(), "shrink", shrinkBy)
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}

	// Balancers stop sending when readiness is gone, which takes them a moment; meanwhile all goes on.
	ready.Store(false)
	log.Info("draining", "lame_duck", cfg.lameDuck.String(), "deadline", cfg.drain.String())
	time.Sleep(cfg.lameDuck)
	err = drain(cfg.drain, api, exec)
	log.Info("drained", "accepted", svc.accepted.Load(), "answered", svc.answered.Load(), "tasks", exec.Stats().Submitted)
	flush, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return errors.Join(err, tel.shutdown(flush))
}

// drain takes no new requests, waits for those that are there, and ends the executor. When the time is over it
// cuts the connections, which ends the contexts of their tasks.
func drain(patience time.Duration, api *server, exec *executor.Executor) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := api.Shutdown(ctx)
	if err != nil {
		err = fmt.Errorf("requests were still in progress after %v: %w", patience, err)
		_ = api.Close() // the listener is closed already; there is nothing else to tell
	}
	return errors.Join(err, exec.Shutdown(ctx))
}

// adminRoutes are for operators: nothing of it is for the clients of the service.
func adminRoutes(metrics http.Handler, ready *atomic.Bool) *http.ServeMux {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	mux.Handle("/debug/executor/", debugpage.Handler()) // a page for browsers, text for curl
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !ready.Load() {
			http.Error(w, "draining", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
	})
	return mux
}

// server is an http.Server with its listener: an address that is taken is known before anything starts.
type server struct {
	http.Server // Addr is where it listens, with the port that was taken
	listener    net.Listener
}

// listen takes the address. The limits are for clients that are slow on purpose, or gone.
func listen(addr string, log *slog.Logger, handler http.Handler) (*server, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &server{http.Server{
		Addr:              listener.Addr().String(),
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       readTime,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}, listener}, nil
}

// serve returns nil after Shutdown and Close.
func (s *server) serve() error {
	if err := s.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("%s: %w", s.Addr, err)
	}
	return nil
}
