package jetstream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
	"github.com/seed-97bda89a/executor/jobs"
)

// delivery is one job that this process has.
type delivery struct {
	q       *Queue
	msg     natsjs.Msg
	meta    *natsjs.MsgMetadata
	m       *jobs.Message
	attempt int
	lane    int         // its partition, or -1
	over    atomic.Bool // it is settled
}

// delivery finds out which attempt a delivery is: the broker counts deliveries, and those that were given back are in a bucket.
func (q *Queue) delivery(ctx context.Context, msg natsjs.Msg) jobs.Delivery {
	meta, err := msg.Metadata()
	if err != nil { // it came from no consumer of ours
		meta = &natsjs.MsgMetadata{NumDelivered: 1, Timestamp: time.Now(), Stream: q.cfg.Name}
	}
	d := &delivery{q: q, msg: msg, meta: meta, m: decode(msg, meta), attempt: int(min(meta.NumDelivered, 1<<30))}
	if d.lane = q.cfg.partitionOf(msg.Subject()); d.lane >= 0 {
		q.mu.Lock()
		l := q.lanes[d.lane+1]
		l.mine++
		l.took = time.Now()
		q.mu.Unlock()
	}
	if meta.NumDelivered > 1 {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		free, _, err := q.freed(ctx, d.counter())
		if err != nil {
			free = d.attempt // not known: rather one attempt too many than a job that is dead too soon
		}
		d.attempt = max(d.attempt-free, 1)
	}
	return d
}

// counter is the key of the deliveries that were no attempts. The time is in it, for a stream that is made anew counts anew.
func (d *delivery) counter() string {
	return fmt.Sprintf("%d-%d", d.meta.Sequence.Stream, d.meta.Timestamp.UnixNano())
}

func (q *Queue) freed(ctx context.Context, key string) (n int, revision uint64, err error) {
	entry, err := q.bucketOfUntried().Get(ctx, key)
	switch {
	case errors.Is(err, natsjs.ErrKeyNotFound):
		return 0, 0, nil
	case err != nil:
		return 0, 0, err
	}
	n, _ = strconv.Atoi(string(entry.Value()))
	return n, entry.Revision(), nil
}

func (q *Queue) bucketOfUntried() natsjs.KeyValue {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.untried
}

func (d *delivery) Message() *jobs.Message { return d.m }
func (d *delivery) Attempt() int           { return d.attempt }
func (d *delivery) Last() bool {
	return d.q.cfg.MaxDeliver > 0 && d.meta.NumDelivered >= uint64(d.q.cfg.MaxDeliver)
}

func (d *delivery) Ack(context.Context) error { return d.settled(d.msg.Ack()) }

func (d *delivery) Extend(context.Context) error { return once(d.msg.InProgress()) }

// settled notes that the broker was told.
func (d *delivery) settled(err error) error {
	err = once(err)
	if err == nil && d.lane >= 0 && !d.over.Swap(true) {
		d.q.mu.Lock()
		d.q.lanes[d.lane+1].mine--
		d.q.mu.Unlock()
		d.q.warm(d.lane) // the next one of the lane may come
	}
	return err
}

// once: what is settled stays so; telling it twice is no error.
func once(err error) error {
	if errors.Is(err, natsjs.ErrMsgAlreadyAckd) || errors.Is(err, nats.ErrMsgAlreadyAckd) {
		return nil
	}
	return err
}

// Retry is never a bare Nak, which would come back at once.
func (d *delivery) Retry(_ context.Context, after time.Duration) error {
	return d.settled(d.msg.NakWithDelay(max(after, time.Millisecond)))
}

// Return notes that the delivery was no attempt, and gives the job back. In this order: if the process dies in between, the job has one
// attempt more, not one less.
func (d *delivery) Return(ctx context.Context, after time.Duration) error {
	if err := d.q.free(ctx, d.counter()); err != nil {
		return err
	}
	if after > 0 {
		return d.settled(d.msg.NakWithDelay(after))
	}
	return d.settled(d.msg.Nak())
}

// free adds one to a counter.
func (q *Queue) free(ctx context.Context, key string) error {
	kv := q.bucketOfUntried()
	for {
		n, revision, err := q.freed(ctx, key)
		if err != nil {
			return err
		}
		value := []byte(strconv.Itoa(n + 1))
		if revision == 0 {
			_, err = kv.Create(ctx, key, value)
		} else {
			_, err = kv.Update(ctx, key, value, revision)
		}
		var api *natsjs.APIError
		if errors.Is(err, natsjs.ErrKeyExists) || errors.As(err, &api) && api.ErrorCode == natsjs.JSErrCodeStreamWrongLastSequence {
			continue // somebody else was faster
		}
		return err
	}
}

// Dead stores the dead letter, and then ends the job: if the process dies in between there is a second letter of the same identity, which
// the broker drops.
func (d *delivery) Dead(ctx context.Context, reason string) error {
	if err := d.q.bury(ctx, d.m, d.msg.Headers(), d.msg.Subject(), d.attempt, reason); err != nil {
		return err
	}
	return d.settled(d.msg.TermWithReason(oneLine(reason)))
}

func (q *Queue) bury(ctx context.Context, m *jobs.Message, h nats.Header, subject string, attempt int, reason string) error {
	kind := m.Kind
	if !plain(kind) {
		kind = "unknown"
	}
	letter := &nats.Msg{Subject: q.cfg.prefix() + "dead." + kind, Header: nats.Header{}, Data: m.Body}
	for name, v := range h {
		if len(name) < 5 || name[:5] != "Nats-" { // the server's own
			letter.Header[name] = v
		}
	}
	letter.Header[HeaderReason] = []string{oneLine(reason)}
	letter.Header[HeaderAttempt] = []string{strconv.Itoa(attempt)}
	letter.Header[HeaderSubject] = []string{subject}
	letter.Header[HeaderRef] = []string{m.Ref}
	_, err := q.js.PublishMsg(ctx, letter, natsjs.WithMsgID("dead/"+m.Ref))
	if errors.Is(err, natsjs.ErrNoStreamResponse) {
		_ = q.mend(ctx)
	}
	return err
}

func plain(name string) bool {
	for _, r := range name {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' {
			return false
		}
	}
	return name != "" && len(name) <= 100
}

// oneLine is fit for a header.
func oneLine(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c < ' ' || c == 0x7f {
			b[i] = ' '
		}
	}
	return string(b)
}
