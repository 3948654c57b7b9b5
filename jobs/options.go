package jobs

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// ServeOption is an option of Serve.
type ServeOption func(*serveConfig) error

type serveConfig struct {
	maxInFlight int // 0: 4 x slots
	prefetch    int
	grace       time.Duration
	log         *slog.Logger
	tp          trace.TracerProvider
	mp          metric.MeterProvider
}

// MaxInFlight bounds how many jobs the worker holds, those that run and those inside executor.Blocking together. The default is four for
// each slot. Raise it for handlers that mostly wait.
func MaxInFlight(n int) ServeOption {
	return func(c *serveConfig) error {
		if n < 1 {
			return fmt.Errorf("jobs: MaxInFlight(%d): must be at least 1", n)
		}
		c.maxInFlight = n
		return nil
	}
}

// Prefetch lets the worker fetch up to n jobs before it could start them. The default is 0: what one worker holds and can not start,
// another one could have. With tiny jobs a larger n saves a round trip for each. Keep n x mean run time / slots below a third of
// the broker's ack wait; Advise tells when it is not. The worker holds no more than MaxInFlight, which is raised to n + 4 for each
// slot if it is not set.
func Prefetch(n int) ServeOption {
	return func(c *serveConfig) error {
		if n < 0 {
			return fmt.Errorf("jobs: Prefetch(%d): must not be negative", n)
		}
		c.prefetch = n
		return nil
	}
}

// Grace says how long a drain waits for running handlers before it ends their contexts, with the cause ErrDraining. The default is 20 s. A
// handler that returns an error then is given back, and that was no attempt. The drain goes on until they return, or until their
// deadlines have passed.
func Grace(d time.Duration) ServeOption {
	return func(c *serveConfig) error {
		if d < 0 {
			return fmt.Errorf("jobs: Grace(%v): must not be negative", d)
		}
		c.grace = d
		return nil
	}
}

// WithLogger sets where the worker writes what went wrong. The default is nowhere.
func WithLogger(l *slog.Logger) ServeOption {
	return func(c *serveConfig) error {
		if l == nil {
			return errors.New("jobs: WithLogger: the logger must not be nil")
		}
		c.log = l
		return nil
	}
}

// WithTracerProvider makes a span of each attempt: "process <kind>", a trace of its own with a link to the sender's.
func WithTracerProvider(tp trace.TracerProvider) ServeOption {
	return func(c *serveConfig) error {
		if tp == nil {
			return errors.New("jobs: WithTracerProvider: the provider must not be nil")
		}
		c.tp = tp
		return nil
	}
}

// WithMeterProvider reports messaging.process.duration and executor.jobs.*: see docs/CLUSTER.md.
func WithMeterProvider(mp metric.MeterProvider) ServeOption {
	return func(c *serveConfig) error {
		if mp == nil {
			return errors.New("jobs: WithMeterProvider: the provider must not be nil")
		}
		c.mp = mp
		return nil
	}
}
