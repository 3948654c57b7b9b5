package executor

import (
	"context"
	"time"
)

// probe watches one task, from its submission to its end. Most tasks have none: it is made for those
// that are measured, and lives in the closure that wraps the task's function.
type probe struct {
	e         *Executor
	submitted time.Duration // since epoch
	started   time.Duration
}

// probeFor returns the probe of a task that is being submitted, or nil. r is the calling goroutine's
// runner if it is one of this executor, else nil.
func (e *Executor) probeFor(ctx context.Context, r *runner) *probe {
	if r != nil {
		if !r.sampleDue() {
			return nil
		}
	} else if !e.inject.sampleDue() {
		return nil
	}
	return e.newProbe(ctx)
}

func (e *Executor) newProbe(ctx context.Context) *probe {
	if !e.measuring(ctx) {
		return nil
	}
	return &probe{e: e, submitted: time.Since(epoch)}
}

// start is called when the task starts.
func (p *probe) start(ctx context.Context) {
	p.started = time.Since(epoch)
	p.e.waited(ctx, p.started-p.submitted)
}

// end is called when the task has returned, or is on its way out by a panic or a Goexit.
func (p *probe) end(ctx context.Context, returned bool, err error) {
	p.e.ran(ctx, time.Since(epoch)-p.started, returned, err)
}

// The wrappings, one for each kind of task. A nil probe wraps nothing.

func (p *probe) bare(fn func(context.Context)) func(context.Context) {
	if p == nil {
		return fn
	}
	return func(ctx context.Context) {
		returned := false
		p.start(ctx)
		defer func() { p.end(ctx, returned, nil) }()
		fn(ctx)
		returned = true
	}
}

func (p *probe) failing(fn func(context.Context) error) func(context.Context) error {
	if p == nil {
		return fn
	}
	return func(ctx context.Context) (err error) {
		returned := false
		p.start(ctx)
		defer func() { p.end(ctx, returned, err) }()
		err = fn(ctx)
		returned = true
		return err
	}
}

func probeResult[T any](p *probe, fn func(context.Context) (T, error)) func(context.Context) (T, error) {
	if p == nil {
		return fn
	}
	return func(ctx context.Context) (v T, err error) {
		returned := false
		p.start(ctx)
		defer func() { p.end(ctx, returned, err) }()
		v, err = fn(ctx)
		returned = true
		return v, err
	}
}

func probeFork[T any](p *probe, fn func(context.Context) T) func(context.Context) T {
	if p == nil {
		return fn
	}
	return func(ctx context.Context) (v T) {
		returned := false
		p.start(ctx)
		defer func() { p.end(ctx, returned, nil) }()
		v = fn(ctx)
		returned = true
		return v
	}
}
