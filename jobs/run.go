package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/seed-97bda89a/executor"
)

// runner runs deliveries: what Serve and Local share. One per worker.
type runner struct {
	kinds map[string]*kind
	lease time.Duration
	log   *slog.Logger
	tel   *telemetry
	count counts
}

// admit finds out what a delivery is. A reason is that of a dead letter; a pause means that it came too early.
func (r *runner) admit(m *Message, now time.Time) (k *kind, args any, reason string, early time.Duration) {
	k = m.kind
	if k == nil {
		k = r.kinds[m.Kind]
	}
	switch {
	case k == nil:
		return nil, nil, fmt.Sprintf("unknown kind %q", m.Kind), 0
	case len(m.Body) > k.policy.maxBytes:
		return k, nil, fmt.Sprintf("too large: %d bytes, at most %d", len(m.Body), k.policy.maxBytes), 0
	case !m.Until.IsZero() && now.After(m.Until):
		return k, nil, "expired: not started until " + m.Until.UTC().Format(time.RFC3339), 0
	case m.Due.After(now):
		return k, nil, "", m.Due.Sub(now)
	case m.kind != nil && m.Body == nil:
		return k, m.args, "", 0 // Local: never encoded
	}
	args, err := decode(k, m)
	if err != nil {
		return k, nil, "bad payload: " + short(err), 0
	}
	return k, args, "", 0
}

// decode keeps a codec's panic, which bytes of a stranger may cause, from ending the worker.
func decode(k *kind, m *Message) (args any, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the codec panicked: %v", v)
		}
	}()
	return k.decode(m)
}

// deadlineOf returns how long a delivery may be kept alive by a worker that has just got it.
func (r *runner) deadlineOf(m *Message) time.Duration {
	k := m.kind
	if k == nil {
		k = r.kinds[m.Kind]
	}
	if k == nil {
		return time.Minute // to be buried
	}
	return k.policy.deadline
}

// run runs a delivery and settles it, whatever the handler does. ctx is a task's. began is told how long the delivery may be
// kept alive from now.
func (r *runner) run(ctx context.Context, d Delivery, began func(until time.Time)) {
	m, now := d.Message(), time.Now()
	k, args, reason, early := r.admit(m, now)
	if d.Attempt() > 1 {
		r.count.redelivered.Add(1)
	}
	switch {
	case reason != "":
		r.settle(ctx, d, giveUp, 0, reason)
		return
	case early > 0:
		r.settle(ctx, d, giveBack, early, "")
		return
	case d.Attempt() > k.policy.attempts: // the last worker died, or lost it
		r.settle(ctx, d, giveUp, 0, fmt.Sprintf("given to workers %d times, and none settled it", d.Attempt()-1))
		return
	}
	until := now.Add(k.policy.deadline)
	if !m.Until.IsZero() && m.Until.Before(until) {
		until = m.Until
	}
	began(until)
	jctx, cancel := context.WithDeadline(context.WithValue(ctx, infoKey{}, Info{
		Kind: m.Kind, ID: m.ID, Key: m.Key, Ref: m.Ref, Attempt: d.Attempt(), Sequence: m.Sequence, Sent: m.Sent,
	}), until)
	defer cancel()
	jctx, end := r.tel.process(jctx, d)
	err, returned := error(executor.ErrGoexit), false
	defer func() { // also at a panic or a Goexit
		if !returned {
			if v := recover(); v != nil {
				err = panicError(v)
				r.log.LogAttrs(ctx, slog.LevelError, "jobs: a handler panicked", slog.String("kind", m.Kind), slog.String("id", m.ID), slog.Any("panic", err))
			}
		}
		cause := context.Cause(ctx)
		v, after, reason := decide(&k.policy, d.Attempt(), d.Last(), err, cause)
		r.count.ran(time.Since(now), m.Kind)
		end(err, v)
		r.settle(ctx, d, v, after, reason)
	}()
	err = k.handle(jctx, args)
	returned = true
}

func panicError(v any) error {
	if p, ok := v.(*executor.PanicError); ok && p != nil {
		return p
	}
	return &executor.PanicError{Value: v, Stack: debug.Stack()}
}

// settle tells the broker and the books.
func (r *runner) settle(ctx context.Context, d Delivery, v verdict, after time.Duration, reason string) {
	m := d.Message()
	err := settle(ctx, d, r.lease, v, after, reason)
	r.tel.settled(m.Kind, v, err)
	if err != nil {
		r.count.settleErrors.Add(1)
		r.count.note(err)
		r.log.LogAttrs(ctx, slog.LevelWarn, "jobs: the broker was not told, and will deliver again",
			slog.String("kind", m.Kind), slog.String("id", m.ID), slog.String("end", v.String()), slog.Any("error", err))
		return
	}
	r.count.settled(v, m.Kind)
	if v == giveUp {
		r.log.LogAttrs(ctx, slog.LevelWarn, "jobs: dead letter", slog.String("kind", m.Kind), slog.String("id", m.ID), slog.String("reason", reason))
	}
}

// table checks the kinds and makes a map of them.
func table(kinds []AnyKind) (map[string]*kind, error) {
	byName := make(map[string]*kind, len(kinds))
	var errs []error
	for i, any := range kinds {
		if any == nil {
			errs = append(errs, fmt.Errorf("jobs: Serve: kind %d is nil", i))
			continue
		}
		k := any.base()
		switch {
		case k.misuse != nil:
			errs = append(errs, k.misuse)
		case byName[k.name] != nil:
			errs = append(errs, fmt.Errorf("jobs: Serve: two kinds are named %q", k.name))
		default:
			byName[k.name] = k
		}
	}
	return byName, errors.Join(errs...)
}
