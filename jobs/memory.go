package jobs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// MemoryQueue is a broker in memory: see Memory.
type MemoryQueue struct {
	lease  time.Duration
	misuse error

	mu      sync.Mutex
	changed chan struct{} // closed and made anew when a job may have become ready
	seq     uint64
	jobs    []*stored // in order of arrival
	seen    map[string]time.Time
	dead    []DeadLetter
	pulled  int // by Receive, for tests of workers
}

type stored struct {
	m       *Message
	ready   time.Time // not before
	out     uint64    // the delivery that holds it; 0 is none
	until   time.Time // its lease
	given   uint64    // deliveries
	attempt int
}

// Memory returns a queue in the memory of this process, with leases, attempts, keys and dead letters as a broker has them: for tests
// of workers, and for programs that need no more. A delivery whose lease has ended is given to the next who asks.
func Memory(lease time.Duration) *MemoryQueue {
	q := &MemoryQueue{lease: lease, changed: make(chan struct{}), seen: make(map[string]time.Time)}
	if lease <= 0 {
		q.misuse = fmt.Errorf("jobs: Memory(%v): the lease must be above 0", lease)
	}
	return q
}

// Send stores a copy of the message.
func (q *MemoryQueue) Send(ctx context.Context, m *Message) error {
	switch {
	case q.misuse != nil:
		return q.misuse
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case m == nil || m.ID == "":
		return errors.New("jobs: Memory: a message needs an ID")
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	if at, ok := q.seen[m.ID]; ok && now.Sub(at) < localWindow {
		return nil
	}
	q.seen[m.ID] = now
	q.seq++
	c := *m
	c.kind, c.args = nil, nil
	c.Sequence, c.Ref = q.seq, fmt.Sprintf("memory/%d", q.seq)
	q.jobs = append(q.jobs, &stored{m: &c, ready: c.Due, attempt: 1})
	q.tell()
	return nil
}

func (q *MemoryQueue) tell() {
	close(q.changed)
	q.changed = make(chan struct{})
}

// Receive implements Source.
func (q *MemoryQueue) Receive(ctx context.Context, max int) ([]Delivery, error) {
	if q.misuse != nil {
		return nil, errors.Join(ErrSourceGone, q.misuse)
	}
	for {
		list, next, changed := q.take(max)
		if len(list) > 0 {
			return list, nil
		}
		var timer <-chan time.Time
		if !next.IsZero() {
			timer = time.After(time.Until(next))
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-changed:
		case <-timer:
		}
	}
}

// take gives out what is ready, and says when to look again.
func (q *MemoryQueue) take(max int) (list []Delivery, next time.Time, changed chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	busy := make(map[string]bool) // keys whose oldest job is not done
	later := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	for _, s := range q.jobs {
		key := s.m.Key
		if key != "" && busy[key] || len(list) == max {
			continue
		}
		if key != "" && (s.given > 0 || !now.Before(s.ready)) { // one that waits for its Due holds nobody back
			busy[key] = true
		}
		switch {
		case s.out != 0 && now.Before(s.until):
			later(s.until)
		case now.Before(s.ready):
			later(s.ready)
		default:
			if s.out != 0 { // its holder lost it
				s.attempt++
			}
			s.given++
			s.out, s.until = s.given, now.Add(q.lease)
			list = append(list, &memoryDelivery{q: q, s: s, id: s.given, attempt: s.attempt})
		}
	}
	q.pulled += len(list)
	return list, next, q.changed
}

// Lease implements Source.
func (q *MemoryQueue) Lease() time.Duration { return q.lease }

// Depth implements Gauge.
func (q *MemoryQueue) Depth(context.Context) (Depth, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	d := Depth{Dead: uint64(len(q.dead))}
	now := time.Now()
	for _, s := range q.jobs {
		d.Oldest = max(d.Oldest, now.Sub(s.m.Sent))
		switch {
		case s.out != 0 && now.Before(s.until):
			d.InFlight++
		case now.Before(s.ready):
			d.Delayed++
		default:
			d.Waiting++
		}
	}
	return d, nil
}

// Dead returns the dead letters, oldest first.
func (q *MemoryQueue) Dead() []DeadLetter {
	q.mu.Lock()
	defer q.mu.Unlock()
	return append([]DeadLetter(nil), q.dead...)
}

type memoryDelivery struct {
	q       *MemoryQueue
	s       *stored
	id      uint64
	attempt int
}

func (d *memoryDelivery) Message() *Message { return d.s.m }
func (d *memoryDelivery) Attempt() int      { return d.attempt }
func (d *memoryDelivery) Last() bool        { return false }

// end ends the delivery with what then does. Somebody who has lost the job changes nothing, except that it is done.
func (d *memoryDelivery) end(then func(), done bool) error {
	d.q.mu.Lock()
	defer d.q.mu.Unlock()
	if d.s.out != d.id && !done {
		return nil
	}
	then()
	d.q.tell()
	return nil
}

func (d *memoryDelivery) remove() {
	for i, s := range d.q.jobs {
		if s == d.s {
			d.q.jobs = append(d.q.jobs[:i], d.q.jobs[i+1:]...)
			return
		}
	}
}

func (d *memoryDelivery) Ack(context.Context) error { return d.end(d.remove, true) }

func (d *memoryDelivery) Retry(_ context.Context, after time.Duration) error {
	return d.end(func() { d.s.out, d.s.ready, d.s.attempt = 0, time.Now().Add(after), d.s.attempt+1 }, false)
}

func (d *memoryDelivery) Return(_ context.Context, after time.Duration) error {
	return d.end(func() { d.s.out, d.s.ready = 0, time.Now().Add(after) }, false)
}

func (d *memoryDelivery) Dead(_ context.Context, reason string) error {
	return d.end(func() {
		d.remove()
		d.q.dead = append(d.q.dead, DeadLetter{d.s.m, d.attempt, reason, time.Now()})
	}, false)
}

func (d *memoryDelivery) Extend(context.Context) error {
	d.q.mu.Lock()
	defer d.q.mu.Unlock()
	if d.s.out == d.id {
		d.s.until = time.Now().Add(d.q.lease)
	}
	return nil
}
