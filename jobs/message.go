package jobs

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"
)

// Message is a job on its way: what a Sender stores and a Source gives back.
type Message struct {
	Kind   string            // the name given to Define
	ID     string            // identity of the job, for the broker's dedupe: random, unless Dedupe was given
	Key    string            // jobs with the same key run one at a time, in order; "" is no key
	Due    time.Time         // not to be started before; zero is at once
	Until  time.Time         // not to be started after; zero is never too late
	Sent   time.Time         // when it was sent
	Header map[string]string // the trace, and the codec's name; adapters carry it as it is
	Body   []byte            // the encoded arguments

	// A Source fills these in. Ref names the stored message for ever: it is the same at each delivery, and no other
	// message has it. Sequence grows with the order in which the queue stored its messages: a fencing number.
	Ref      string
	Sequence uint64

	kind *kind // for Local, which needs no bytes
	args any
}

// Sender is where jobs go. Send returns when the job is safe there. A message with the ID of one that was
// sent a short time ago (how short is the Sender's) is accepted and dropped. It may be called from any goroutine.
type Sender interface {
	Send(ctx context.Context, m *Message) error
}

// Source is where jobs come from: what an adapter implements. Its methods may be called from any goroutine.
type Source interface {
	// Receive waits for jobs, and returns at least one or an error, and never more than max. When ctx is done it returns soon,
	// with ctx's error or with jobs that had been taken already. It may return nothing and no error when it has
	// waited for long. An error that matches ErrSourceGone is final; after any other one Receive is called again, later.
	Receive(ctx context.Context, max int) ([]Delivery, error)
	// Lease is how long a delivery belongs to this worker without Extend. 0: for ever.
	Lease() time.Duration
}

// Delivery is one job, held by this worker. Exactly one of Ack, Retry, Return and Dead ends it; Extend may be called until
// then, from another goroutine.
type Delivery interface {
	Message() *Message
	Attempt() int // 1 for the first. Deliveries that were given back with Return do not count.
	Last() bool   // the broker delivers it no more after this

	Ack(ctx context.Context) error
	Retry(ctx context.Context, after time.Duration) error  // deliver it again, as the next attempt
	Return(ctx context.Context, after time.Duration) error // deliver it again, as the same attempt: it was not tried
	Dead(ctx context.Context, reason string) error         // keep it as a dead letter; deliver it no more
	Extend(ctx context.Context) error                      // the lease begins anew
}

// Depth is what a queue holds, as a Source that can tell it tells it.
type Depth struct {
	Waiting  uint64        // not delivered yet
	Delayed  uint64        // waiting for their time, as far as they are counted apart
	InFlight uint64        // delivered to workers, anywhere, and not settled
	Dead     uint64        // dead letters that are kept
	Oldest   time.Duration // age of the oldest that is not settled
}

// Gauge is implemented by Sources that know how deep their queue is. It may cost a call to the broker.
type Gauge interface {
	Depth(ctx context.Context) (Depth, error)
}

// Drainer is implemented by Sources that fetch on their own. Serve calls Drain when it asks for no more: what was fetched and not
// handed out is given back, and the broker has got what it was told when Drain returns.
type Drainer interface {
	Drain(ctx context.Context) error
}

// Info is what a handler may ask about its job.
type Info struct {
	Kind, ID, Key, Ref string
	Attempt            int
	Sequence           uint64 // see Message
	Sent               time.Time
}

type infoKey struct{}

// InfoOf returns the job that ctx belongs to.
func InfoOf(ctx context.Context) (Info, bool) {
	info, ok := ctx.Value(infoKey{}).(Info)
	return info, ok
}

func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// checkName refuses what a broker could not use as part of a subject, a topic or a table's name.
func checkName(what, name string) error {
	if name == "" {
		return fmt.Errorf("jobs: %s: must not be empty", what)
	}
	for _, c := range name {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
		default:
			return fmt.Errorf("jobs: %s %q: only letters, digits, - and _", what, name)
		}
	}
	if len(name) > 100 {
		return fmt.Errorf("jobs: %s of %d bytes: at most 100", what, len(name))
	}
	return nil
}
