package jobs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/seed-97bda89a/executor"
)

// What becomes of a job: one pure function, and one place that tells the broker.

type verdict int

const (
	ack      verdict = iota // it is done
	retry                   // another attempt, after a pause
	giveUp                  // a dead letter
	giveBack                // somebody else runs it; this was no attempt
)

func (v verdict) String() string { return [...]string{"ack", "retry", "dead", "return"}[v] }

// decide returns what becomes of a job whose attempt ended with err. cause is why its context ended, or nil.
func decide(p *policy, attempt int, last bool, err, cause error) (v verdict, after time.Duration, reason string) {
	var again retryError
	switch {
	case err == nil:
		return ack, 0, ""
	case errors.Is(cause, ErrDraining) || errors.Is(cause, executor.ErrClosed):
		return giveBack, 0, "" // also when it is the last attempt: it was this worker's end, not the job's fault
	case errors.As(err, new(permanentError)):
		return giveUp, 0, "permanent: " + short(err)
	case errors.As(err, &again) && again.free:
		return giveBack, again.after, ""
	case last || attempt >= p.attempts:
		return giveUp, 0, fmt.Sprintf("attempt %d of %d failed: %s", attempt, max(p.attempts, attempt), short(err))
	case again.error != nil:
		return retry, again.after, ""
	}
	return retry, p.pause(attempt), ""
}

// short is an error as one line for headers and logs.
func short(err error) string {
	text := strings.Join(strings.Fields(strings.ToValidUTF8(err.Error(), "?")), " ")
	if len(text) > 500 {
		text = strings.ToValidUTF8(text[:500], "") + "..."
	}
	return text
}

// settle tells the broker, and tries again until the lease must be over. It must be called in a task, or outside of any.
func settle(ctx context.Context, d Delivery, lease time.Duration, v verdict, after time.Duration, reason string) error {
	tell := func(ctx context.Context) error {
		switch v {
		case ack:
			return d.Ack(ctx)
		case retry:
			return d.Retry(ctx, after)
		case giveBack:
			return d.Return(ctx, after)
		default:
			return d.Dead(ctx, reason)
		}
	}
	if lease <= 0 {
		lease = 30 * time.Second
	}
	// The worker's end must not keep it from telling.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lease)
	defer cancel()
	var err error
	executor.Blocking(ctx, func() {
		for pause := 10 * time.Millisecond; ; pause = min(2*pause, time.Second) {
			if err = tell(ctx); err == nil {
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(pause):
			}
		}
	})
	return err
}
