package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/seed-97bda89a/executor"
)

// LocalQueue runs jobs in the process that sends them: see Local.
type LocalQueue struct {
	e      *executor.Executor
	r      *runner
	keyed  *executor.Keyed[string]
	strict bool
	misuse error

	mu   sync.Mutex
	seen map[string]time.Time // IDs given with Dedupe, and when
	next uint64
	dead []DeadLetter
}

// DeadLetter is a job that will not be run again.
type DeadLetter struct {
	Message *Message
	Attempt int
	Reason  string
	At      time.Time
}

// LocalOption is an option of Local.
type LocalOption func(*LocalQueue) error

// Strict makes Local encode and decode the arguments, as every other Sender does. Use it in tests: it finds what would not travel.
func Strict(q *LocalQueue) error {
	q.strict = true
	return nil
}

// LocalLogger sets where Local writes what went wrong. The default is nowhere.
func LocalLogger(l *slog.Logger) LocalOption {
	return func(q *LocalQueue) error {
		if l == nil {
			return errors.New("jobs: LocalLogger: the logger must not be nil")
		}
		q.r.log = l
		return nil
	}
}

const (
	localWindow = 2 * time.Minute // in which Dedupe works
	localDead   = 1000            // dead letters that are kept
)

// Local returns a Sender whose jobs run on e, in this process, with the policies of their kinds. Nothing is kept anywhere: what has
// not run when e ends is lost, and so it is in a crash. A full queue of e holds the sender up, until its context ends.
//
// Jobs run by themselves. It is a Source too, so that a program can change to a broker in one line: Serve with it, which is not needed, only
// waits for its end. A bad option is reported by Send.
func Local(e *executor.Executor, opts ...LocalOption) *LocalQueue {
	q := &LocalQueue{e: e, seen: make(map[string]time.Time), keyed: executor.NewKeyed[string](e)}
	q.r = &runner{log: slog.New(slog.DiscardHandler)}
	if e == nil {
		q.misuse = errors.New("jobs: Local: the executor must not be nil")
	}
	for i, opt := range opts {
		if opt == nil {
			q.misuse = errors.Join(q.misuse, fmt.Errorf("jobs: Local: option %d is nil", i))
		} else if err := opt(q); err != nil {
			q.misuse = errors.Join(q.misuse, err)
		}
	}
	return q
}

// bare is a context without its values: they would not travel either.
type bare struct{ context.Context }

func (bare) Value(any) any { return nil }

// Send starts a job that Kind.Go made.
func (q *LocalQueue) Send(ctx context.Context, m *Message) error {
	switch {
	case q.misuse != nil:
		return q.misuse
	case m == nil || m.kind == nil:
		return errors.New("jobs: Local runs what Kind.Go sends, and nothing else")
	}
	q.mu.Lock()
	now := time.Now()
	if at, ok := q.seen[m.ID]; ok && now.Sub(at) < localWindow {
		q.mu.Unlock()
		return nil
	}
	q.seen[m.ID] = now
	if q.next++; q.next%1024 == 0 {
		for id, at := range q.seen {
			if now.Sub(at) >= localWindow {
				delete(q.seen, id)
			}
		}
	}
	m.Sequence, m.Ref = q.next, fmt.Sprintf("local/%d", q.next)
	q.mu.Unlock()
	err := q.start(executor.Detached(bare{ctx}), &localDelivery{q: q, m: m, attempt: 1}, time.Until(m.Due))
	if err != nil { // it was not accepted: it may be sent again
		q.mu.Lock()
		delete(q.seen, m.ID)
		q.mu.Unlock()
	}
	return err
}

func (q *LocalQueue) start(ctx context.Context, d *localDelivery, after time.Duration) error {
	run := func(ctx context.Context) { q.r.run(ctx, d, func(time.Time) {}) }
	ctx = executor.WithTaskName(ctx, d.m.Kind)
	switch {
	case after > 0 && d.m.Key != "":
		_, err := q.e.After(ctx, after, func(context.Context) { _ = q.start(ctx, d, 0) })
		return err
	case after > 0:
		_, err := q.e.After(ctx, after, run)
		return err
	case d.m.Key == "":
		return q.e.Go(ctx, run)
	}
	// The key keeps its turn while the job waits for its next attempt, as at a broker.
	return q.keyed.Go(ctx, d.m.Key, func(ctx context.Context) {
		d.inPlace = true
		for run(ctx); d.again >= 0; run(ctx) {
			timer := time.NewTimer(d.again)
			_, _, err := executor.Receive(ctx, timer.C)
			timer.Stop()
			if err != nil {
				return // e ends
			}
		}
	})
}

// Receive waits for ctx: Local runs its jobs by itself.
func (q *LocalQueue) Receive(ctx context.Context, max int) ([]Delivery, error) {
	if q.misuse != nil {
		return nil, errors.Join(ErrSourceGone, q.misuse)
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(100 * time.Millisecond): // to see the end of e
		return nil, nil
	}
}

// Lease is 0: nobody takes a local job away.
func (q *LocalQueue) Lease() time.Duration { return 0 }

// Dead returns the last 1,000 dead letters, oldest first.
func (q *LocalQueue) Dead() []DeadLetter {
	q.mu.Lock()
	defer q.mu.Unlock()
	return append([]DeadLetter(nil), q.dead...)
}

// Stats returns what became of the jobs.
func (q *LocalQueue) Stats() Stats {
	var s Stats
	q.r.count.fill(&s)
	return s
}

// localDelivery is one attempt at a local job.
type localDelivery struct {
	q       *LocalQueue
	m       *Message
	attempt int
	inPlace bool          // its key's turn goes on with the next attempt
	again   time.Duration // the pause before that, or -1
}

func (d *localDelivery) Message() *Message            { return d.m }
func (d *localDelivery) Attempt() int                 { return d.attempt }
func (d *localDelivery) Last() bool                   { return false }
func (d *localDelivery) Ack(context.Context) error    { d.again = -1; return nil }
func (d *localDelivery) Extend(context.Context) error { return nil }

func (d *localDelivery) Retry(ctx context.Context, after time.Duration) error {
	return d.comeAgain(after, d.attempt+1)
}

func (d *localDelivery) Return(ctx context.Context, after time.Duration) error {
	return d.comeAgain(after, d.attempt)
}

func (d *localDelivery) comeAgain(after time.Duration, attempt int) error {
	if d.inPlace {
		d.attempt, d.again = attempt, after
		return nil
	}
	err := d.q.start(context.Background(), &localDelivery{q: d.q, m: d.m, attempt: attempt}, max(after, 1))
	if errors.Is(err, executor.ErrClosed) {
		return nil // lost with all the others
	}
	return err
}

func (d *localDelivery) Dead(_ context.Context, reason string) error {
	d.again = -1
	q := d.q
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.dead) == localDead {
		q.dead = append(q.dead[:0], q.dead[1:]...)
	}
	q.dead = append(q.dead, DeadLetter{d.m, d.attempt, reason, time.Now()})
	return nil
}
