package jetstream

import (
	"context"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"
)

// A server that is killed may keep jobs that are done: it has noted the ack of the consumer, and not yet that the message is gone. Such a
// job is never delivered again, and stays. Servers of a cluster look for them now and then; a single one does not (2.15), so
// workers do.

// sweepEvery is how often a process looks.
const sweepEvery = 10 * time.Second

// sweep removes jobs that are done, and returns how many. states were read before. What lies at or below a consumer's ack floor was acked, by
// the server's own rule; not if the floor lies beyond the stream, which has lost its end then, nor with a bound of deliveries,
// which lifts the floor over jobs that were never done (see buryStored).
func (q *Queue) sweep(ctx context.Context, stream natsjs.Stream, states []*natsjs.ConsumerInfo, is natsjs.StreamState) (n uint64) {
	q.mu.Lock()
	soon := time.Since(q.swept) < sweepEvery
	if !soon {
		q.swept = time.Now()
	}
	q.mu.Unlock()
	if soon || q.cfg.MaxDeliver > 0 {
		return 0
	}
	for _, c := range states {
		floor := c.AckFloor.Stream
		if c.Config.MaxDeliver > 0 || floor > is.LastSeq {
			continue
		}
		for at := is.FirstSeq; at <= floor; {
			msg, err := stream.GetMsg(ctx, at, natsjs.WithGetMsgSubject(c.Config.FilterSubject))
			if err != nil || msg.Sequence > floor {
				break
			}
			if stream.DeleteMsg(ctx, msg.Sequence) == nil {
				n++
			}
			at = msg.Sequence + 1
		}
	}
	return n
}
