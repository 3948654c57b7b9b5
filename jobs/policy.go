package jobs

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// Policy is an option of Define: how the jobs of a kind are treated.
type Policy func(*policy) error

type policy struct {
	attempts int
	least    time.Duration // Backoff
	most     time.Duration
	deadline time.Duration
	maxBytes int
	codec    Codec
	keyOf    func(any) (string, error)
}

func defaultPolicy() policy {
	return policy{attempts: 10, least: time.Second, most: 10 * time.Minute, deadline: 10 * time.Minute, maxBytes: 512 << 10, codec: JSON}
}

// Attempts says how often a job is tried before it is a dead letter. The default is 10: with the default Backoff a fault
// of a few minutes passes by.
func Attempts(n int) Policy {
	return func(p *policy) error {
		if n < 1 {
			return fmt.Errorf("jobs: Attempts(%d): must be at least 1", n)
		}
		p.attempts = n
		return nil
	}
}

// Backoff says how long a failed job waits: a random time between nothing and least x 2^(attempt-1), but no more
// than most. That is full jitter: jobs that failed together do not come back together. The default is 1 s to 10 min.
func Backoff(least, most time.Duration) Policy {
	return func(p *policy) error {
		if least <= 0 || most < least {
			return fmt.Errorf("jobs: Backoff(%v, %v): must be above 0, and the second not below the first", least, most)
		}
		p.least, p.most = least, most
		return nil
	}
}

// after returns the pause after the attempt with that number. random is in [0, 1).
func (p *policy) after(attempt int, random float64) time.Duration {
	top := p.most
	if shift := attempt - 1; shift < 40 && p.least<<shift>>shift == p.least && p.least<<shift < top {
		top = p.least << shift
	}
	return time.Duration(random * float64(top))
}

func (p *policy) pause(attempt int) time.Duration { return p.after(attempt, rand.Float64()) }

// Deadline says how long one attempt may take. Then its context ends, it is not kept alive any longer, and the
// broker gives the job to somebody else, whatever the handler does. The default is 10 min. There is no "none": a handler that hangs would keep its
// job for ever.
func Deadline(d time.Duration) Policy {
	return func(p *policy) error {
		if d <= 0 {
			return fmt.Errorf("jobs: Deadline(%v): must be above 0", d)
		}
		p.deadline = d
		return nil
	}
}

// MaxBytes bounds the encoded arguments, for the sender and for the worker. The default is 512 KiB; brokers have a bound of
// their own, often 1 MiB.
func MaxBytes(n int) Policy {
	return func(p *policy) error {
		if n < 1 {
			return fmt.Errorf("jobs: MaxBytes(%d): must be at least 1", n)
		}
		p.maxBytes = n
		return nil
	}
}

// Encoding sets the Codec. The default is JSON.
func Encoding(c Codec) Policy {
	return func(p *policy) error {
		if c == nil {
			return errors.New("jobs: Encoding: the codec must not be nil")
		}
		p.codec = c
		return nil
	}
}

// KeyOf takes the key of each job from its arguments: see Key.
func KeyOf[A any](key func(A) string) Policy {
	return func(p *policy) error {
		if key == nil {
			return errors.New("jobs: KeyOf: the function must not be nil")
		}
		p.keyOf = func(args any) (string, error) {
			a, ok := args.(A)
			if !ok {
				return "", fmt.Errorf("jobs: KeyOf: the kind's arguments are a %T, the function wants another type", args)
			}
			return key(a), nil
		}
		return nil
	}
}

// Send is an option of Go, for one job.
type Send func(*Message) error

// Key makes jobs with the same key run one at a time, in the order in which they were sent, over all workers. One that
// fails holds back those behind it until it is done or dead. A broker may do so for several keys together.
func Key(key string) Send {
	return func(m *Message) error {
		if len(key) > 1024 {
			return fmt.Errorf("jobs: Key of %d bytes: at most 1024", len(key))
		}
		m.Key = key
		return nil
	}
}

// Delay keeps the job back for d, at least.
func Delay(d time.Duration) Send {
	return func(m *Message) error {
		if d < 0 {
			return fmt.Errorf("jobs: Delay(%v): must not be negative", d)
		}
		m.Due = m.Sent.Add(d)
		return nil
	}
}

// At keeps the job back until t. A time that is over is now.
func At(t time.Time) Send {
	return func(m *Message) error {
		m.Due = t
		return nil
	}
}

// Until says when nobody wants the job any more: one that has not been started by then is a dead letter, and the context of
// one that runs ends. A context's deadline does not travel by itself, for a job is meant to outlive the request
// that sent it; to make it travel, pass it here.
func Until(t time.Time) Send {
	return func(m *Message) error {
		m.Until = t
		return nil
	}
}

// Dedupe gives the job an identity: a second job of the kind with that id, within the Sender's window, is accepted and dropped.
func Dedupe(id string) Send {
	return func(m *Message) error {
		if id == "" || len(id) > 512 {
			return fmt.Errorf("jobs: Dedupe: an id of %d bytes: must have 1 to 512", len(id))
		}
		m.ID = m.Kind + "/" + id
		return nil
	}
}
