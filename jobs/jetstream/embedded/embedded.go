// Package embedded runs a NATS server with JetStream in this process, for queues of jobs on one machine without anything to
// install: durable, and without a network. Moving to a cluster later changes Open into jetstream.New.
//
//	on, stop, err := embedded.Open(ctx, "/var/lib/myprogram/jobs", jetstream.Config{Name: "images"})
//	defer stop(context.Background())
//
// Every job that Send has accepted is on the disk: the server flushes each write (SyncAlways), which costs about the
// time of an fsync a batch of writes. It opens no port unless Listen says so. It adds about 10 MB to a binary.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
	"github.com/seed-97bda89a/executor/jobs/jetstream"
)

// Option is an option of Start and Open.
type Option func(*server.Options) error

// Listen makes the server reachable at a TCP address, as "127.0.0.1:4222", for workers in other processes. There is no
// authentication: use it on a network that is yours alone, or run a NATS server with its own configuration.
func Listen(addr string) Option {
	return func(o *server.Options) error {
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			return fmt.Errorf("embedded: Listen: %w", err)
		}
		n, err := strconv.Atoi(port)
		if err != nil || n < 0 || n > 65535 {
			return fmt.Errorf("embedded: Listen(%q): the port must be a number from 0 to 65535", addr)
		}
		if n == 0 {
			n = server.RANDOM_PORT
		}
		o.DontListen, o.Host, o.Port = false, host, n
		return nil
	}
}

// MaxStore bounds the bytes on disk. The default is no bound but the disk's.
func MaxStore(bytes int64) Option {
	return func(o *server.Options) error {
		if bytes < 1 {
			return fmt.Errorf("embedded: MaxStore(%d): must be at least 1", bytes)
		}
		o.JetStreamMaxStore = bytes
		return nil
	}
}

// Server is a NATS server in this process.
type Server struct {
	s      *server.Server
	unlock func()
	once   sync.Once
}

// Start starts a server that keeps its data below dir, and makes dir if it is not there. A directory belongs to one server at a time;
// where the system can tell (Unix), a second one is refused.
func Start(ctx context.Context, dir string, opts ...Option) (*Server, error) {
	if dir == "" {
		return nil, errors.New("embedded: Start: the directory must not be empty")
	}
	o := &server.Options{
		ServerName: "embedded", JetStream: true, StoreDir: dir, SyncAlways: true, DontListen: true,
		NoSigs: true, NoLog: true, NoSystemAccount: false,
	}
	for i, opt := range opts {
		if opt == nil {
			return nil, fmt.Errorf("embedded: option %d is nil", i)
		}
		if err := opt(o); err != nil {
			return nil, err
		}
	}
	unlock, err := lock(dir)
	if err != nil {
		return nil, fmt.Errorf("embedded: %s: %w", dir, err)
	}
	s, err := server.NewServer(o)
	if err != nil {
		unlock()
		return nil, fmt.Errorf("embedded: %w", err)
	}
	e := &Server{s: s, unlock: unlock}
	s.Start()
	for !s.ReadyForConnections(50 * time.Millisecond) {
		if ctx.Err() != nil || !s.Running() {
			e.Shutdown()
			return nil, errors.Join(fmt.Errorf("embedded: the server in %s did not start", dir), ctx.Err())
		}
	}
	if !s.JetStreamEnabled() {
		e.Shutdown()
		return nil, fmt.Errorf("embedded: the server could not use %s", dir)
	}
	return e, nil
}

// Addr is where the server listens, or "".
func (s *Server) Addr() string {
	if a := s.s.Addr(); a != nil {
		return a.String()
	}
	return ""
}

// Connect returns a connection that never leaves the process.
func (s *Server) Connect(opts ...nats.Option) (*nats.Conn, error) {
	return nats.Connect("", append([]nats.Option{nats.InProcessServer(s.s), nats.MaxReconnects(-1)}, opts...)...)
}

// Queue opens a queue over a connection of its own, which close ends.
func (s *Server) Queue(ctx context.Context, cfg jetstream.Config) (q *jetstream.Queue, close func(context.Context) error, err error) {
	nc, err := s.Connect()
	if err != nil {
		return nil, nil, fmt.Errorf("embedded: %w", err)
	}
	js, err := natsjs.New(nc)
	if err == nil {
		q, err = jetstream.New(ctx, js, cfg)
	}
	if err != nil {
		nc.Close()
		return nil, nil, err
	}
	return q, func(ctx context.Context) error {
		err := q.Close(ctx)
		nc.Close()
		return err
	}, nil
}

// Shutdown ends the server and waits for its end. Connections are closed; what was accepted is on the disk.
func (s *Server) Shutdown() {
	s.once.Do(func() {
		s.s.Shutdown()
		s.s.WaitForShutdown()
		s.unlock()
	})
}

// Open starts a server in dir and opens a queue on it. stop ends both; call it after Serve has returned.
func Open(ctx context.Context, dir string, cfg jetstream.Config, opts ...Option) (q *jetstream.Queue, stop func(context.Context) error, err error) {
	s, err := Start(ctx, dir, opts...)
	if err != nil {
		return nil, nil, err
	}
	q, end, err := s.Queue(ctx, cfg)
	if err != nil {
		s.Shutdown()
		return nil, nil, err
	}
	return q, func(ctx context.Context) error {
		err := end(ctx)
		s.Shutdown()
		return err
	}, nil
}
