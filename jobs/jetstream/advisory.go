package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
)

// A job that has reached MaxDeliver stays in a work queue for ever, and nobody gets it. The broker says so once, to whoever
// listens: one of the processes that have the queue open makes it a dead letter.

// listen subscribes to what is told beside the streams.
func (q *Queue) listen() error {
	nc := q.js.Conn()
	if q.cfg.MaxDeliver > 0 {
		subject := "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES." + q.cfg.Name + ".*"
		sub, err := nc.QueueSubscribe(subject, q.cfg.Name+"-max-deliveries", q.exhausted)
		if err != nil {
			return err
		}
		q.listens = append(q.listens, sub)
	}
	if q.cfg.Partitions > 0 {
		prefix := q.cfg.prefix() + "hint."
		sub, err := nc.Subscribe(prefix+"*", func(msg *nats.Msg) {
			if n, err := strconv.Atoi(msg.Subject[len(prefix):]); err == nil && n >= 0 {
				q.warm(n)
			}
		})
		if err != nil {
			return err
		}
		q.listens = append(q.listens, sub)
	}
	return nil
}

func (q *Queue) exhausted(msg *nats.Msg) {
	var event struct {
		Stream     string `json:"stream"`
		Sequence   uint64 `json:"stream_seq"`
		Deliveries int    `json:"deliveries"`
	}
	if json.Unmarshal(msg.Data, &event) != nil || event.Stream != q.cfg.Name {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for pause := 50 * time.Millisecond; ; pause *= 2 {
		if q.buryStored(ctx, event.Sequence, event.Deliveries) == nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

func (q *Queue) buryStored(ctx context.Context, sequence uint64, deliveries int) error {
	q.mu.Lock()
	stream := q.stream
	q.mu.Unlock()
	raw, err := stream.GetMsg(ctx, sequence)
	switch {
	case errors.Is(err, natsjs.ErrMsgNotFound):
		return nil // done after all
	case err != nil:
		return err
	}
	m := decode(rawMsg{raw: raw}, &natsjs.MsgMetadata{Stream: q.cfg.Name, Sequence: natsjs.SequencePair{Stream: sequence}, Timestamp: raw.Time})
	if err := q.bury(ctx, m, raw.Header, raw.Subject, deliveries, fmt.Sprintf("the broker gave it out %d times, and no worker settled it", deliveries)); err != nil {
		return err
	}
	if err := stream.DeleteMsg(ctx, sequence); err != nil && !errors.Is(err, natsjs.ErrMsgNotFound) {
		return err
	}
	return nil
}

// rawMsg is a stored message with the methods that decode needs.
type rawMsg struct {
	natsjs.Msg
	raw *natsjs.RawStreamMsg
}

func (r rawMsg) Data() []byte         { return r.raw.Data }
func (r rawMsg) Headers() nats.Header { return r.raw.Header }
func (r rawMsg) Subject() string      { return r.raw.Subject }
