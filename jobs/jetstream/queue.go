package jetstream

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
	"github.com/seed-97bda89a/executor/jobs"
)

// Queue is a queue of jobs at the broker: a jobs.Sender and a jobs.Source. Its methods may be called from any goroutine.
type Queue struct {
	js  natsjs.JetStream
	cfg Config

	mu       sync.Mutex
	stream   natsjs.Stream
	untried  natsjs.KeyValue
	claims   natsjs.KeyValue
	lanes    []*lane
	schedule bool // the server keeps delayed jobs back
	checked  time.Time
	swept    time.Time
	turn     int
	listens  []*nats.Subscription
	closed   bool

	polls   map[chan struct{}]struct{} // requests that wait at the broker; closed when answered
	waiters int                        // calls of Receive that wait for them
	want    int                        // how many jobs those wait for
	hint    chan struct{}              // a lane has become hot
	arrived chan arrival               // what requests brought that waited at the broker
}

// lane is one consumer.
type lane struct {
	natsjs.Consumer
	name    string
	keys    bool
	cold    time.Time     // it had nothing, and is not asked before
	pause   time.Duration // how long that is
	hot     bool          // somebody sent a job to it
	polling bool          // a request of ours waits at the broker
	mine    int           // jobs of it that this process has not settled
	took    time.Time     // when it got the last one
}

// New makes what the queue needs at the broker, as far as it is not there, and returns the queue. It may be called by any number
// of processes at once. Close ends what belongs to this process; js stays open.
func New(ctx context.Context, js natsjs.JetStream, cfg Config) (*Queue, error) {
	if js == nil {
		return nil, errors.New("jobs/jetstream: New: js must not be nil")
	}
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	q := &Queue{js: js, cfg: cfg, arrived: make(chan arrival, 4*(cfg.Partitions+1)), polls: make(map[chan struct{}]struct{}), hint: make(chan struct{}, 1)}
	if err := q.ensure(ctx); err != nil {
		return nil, fmt.Errorf("jobs/jetstream: %s: %w", cfg.Name, err)
	}
	if err := q.listen(); err != nil {
		return nil, fmt.Errorf("jobs/jetstream: %s: %w", cfg.Name, err)
	}
	return q, nil
}

// Close gives back what has been fetched and not been handed out, and waits until the broker has been told everything. It does not close the connection.
func (q *Queue) Close(ctx context.Context) error {
	q.mu.Lock()
	q.closed = true
	listens := q.listens
	q.listens = nil
	q.mu.Unlock()
	for _, sub := range listens {
		_ = sub.Unsubscribe()
	}
	return q.Drain(ctx)
}

// ensure makes what is not there, and looks at what is.
func (q *Queue) ensure(ctx context.Context) error {
	cfg := q.cfg
	stream, err := q.makeStream(ctx, cfg.stream())
	if err != nil {
		return err
	}
	have := stream.CachedInfo().Config
	if have.Retention != natsjs.WorkQueuePolicy {
		return fmt.Errorf("stream %s is there and no work queue", cfg.Name)
	}
	if len(have.Subjects) == 0 || have.Subjects[0] != cfg.stream().Subjects[0] {
		return fmt.Errorf("stream %s is there and has other subjects: %q", cfg.Name, have.Subjects)
	}
	if _, err = q.makeStream(ctx, cfg.deadStream()); err != nil {
		return err
	}
	untried, err := q.bucket(ctx, natsjs.KeyValueConfig{
		Bucket: cfg.untried(), Description: "deliveries that were no attempts", TTL: 7 * 24 * time.Hour, Storage: cfg.storage(), Replicas: cfg.Replicas,
	})
	if err != nil {
		return err
	}
	var lanes []*lane
	for _, c := range cfg.lanes() {
		consumer, err := stream.CreateConsumer(ctx, c)
		if errors.Is(err, natsjs.ErrConsumerExists) {
			consumer, err = stream.Consumer(ctx, c.Durable)
		}
		if err != nil {
			return fmt.Errorf("consumer %s: %w", c.Durable, err)
		}
		if got := consumer.CachedInfo().Config.MaxAckPending; c.MaxAckPending == 1 && got != 1 {
			return fmt.Errorf("consumer %s has a MaxAckPending of %d: keys would lose their order", c.Durable, got)
		}
		lanes = append(lanes, &lane{Consumer: consumer, name: c.Durable, keys: len(lanes) > 0, pause: coldest, cold: time.Now().Add(coldest)})
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stream, q.untried, q.schedule, q.checked = stream, untried, have.AllowMsgSchedules, time.Now()
	for i, l := range lanes {
		if i < len(q.lanes) {
			l.polling = q.lanes[i].polling
			q.lanes[i].Consumer = l.Consumer // who polls goes on with the old one
			continue
		}
		q.lanes = append(q.lanes, l)
	}
	return nil
}

// makeStream creates a stream, or returns the one that is there.
func (q *Queue) makeStream(ctx context.Context, cfg natsjs.StreamConfig) (natsjs.Stream, error) {
	stream, err := q.js.Stream(ctx, cfg.Name)
	if err == nil {
		return stream, nil
	}
	if errors.Is(err, natsjs.ErrStreamNotFound) {
		stream, err = q.js.CreateStream(ctx, cfg)
		if errors.Is(err, natsjs.ErrStreamNameAlreadyInUse) {
			stream, err = q.js.Stream(ctx, cfg.Name)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", cfg.Name, err)
	}
	return stream, nil
}

func (q *Queue) bucket(ctx context.Context, cfg natsjs.KeyValueConfig) (natsjs.KeyValue, error) {
	kv, err := q.js.KeyValue(ctx, cfg.Bucket)
	if errors.Is(err, natsjs.ErrBucketNotFound) {
		kv, err = q.js.CreateKeyValue(ctx, cfg)
		if errors.Is(err, natsjs.ErrBucketExists) {
			kv, err = q.js.KeyValue(ctx, cfg.Bucket)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("bucket %s: %w", cfg.Bucket, err)
	}
	return kv, nil
}

// mend looks whether everything is still there, at most once a second: somebody may have deleted it.
func (q *Queue) mend(ctx context.Context) error {
	q.mu.Lock()
	recent := time.Since(q.checked) < time.Second
	if !recent {
		q.checked = time.Now()
	}
	q.mu.Unlock()
	if recent {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return q.ensure(ctx)
}

// Send stores a job. While the broker can not be reached it tries again, with the same identity, until ctx or Config.SendWait ends.
func (q *Queue) Send(ctx context.Context, m *jobs.Message) error {
	msg, opts, err := q.encode(m)
	if err != nil {
		return err
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, q.cfg.SendWait)
		defer cancel()
	}
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		once, cancel := context.WithTimeout(ctx, 5*time.Second)
		_, err = q.js.PublishMsg(once, msg, opts...)
		cancel()
		switch {
		case err == nil:
			if m.Key != "" {
				_ = q.js.Conn().Publish(q.cfg.prefix()+"hint."+strconv.Itoa(q.cfg.partition(m.Key)), nil)
			}
			return nil
		case errors.Is(err, nats.ErrMaxPayload):
			return fmt.Errorf("jobs/jetstream: %w: %w", jobs.ErrTooLarge, err)
		case !passes(err):
			return fmt.Errorf("jobs/jetstream: %w", err)
		case errors.Is(err, natsjs.ErrNoStreamResponse):
			_ = q.mend(ctx) // the stream is gone, or nobody leads it
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("jobs/jetstream: not sent: %w: %w", context.Cause(ctx), err)
		case <-time.After(pause):
		}
	}
}

// passes reports whether an error of the broker may be gone a moment later.
func passes(err error) bool {
	var api *natsjs.APIError
	if errors.As(err, &api) {
		const full = 10077                              // the stream's bound: not for waiting here
		return api.Code == 503 && api.ErrorCode != full // no leader now; a server that has just begun
	}
	return !errors.Is(err, nats.ErrConnectionClosed) && !errors.Is(err, nats.ErrBadSubject) && !errors.Is(err, nats.ErrInvalidMsg)
}

// partition is the partition of a key.
func (c Config) partition(key string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(key))
	return int(h.Sum32() % uint32(c.Partitions))
}

// partitionOf is the partition of a subject, or -1.
func (c Config) partitionOf(subject string) int {
	rest, ok := strings.CutPrefix(subject, c.prefix()+"key.")
	if !ok {
		return -1
	}
	number, _, _ := strings.Cut(rest, ".")
	if n, err := strconv.Atoi(number); err == nil && n >= 0 && n < c.Partitions {
		return n
	}
	return -1
}

// subject is where a job of that kind and key goes.
func (c Config) subject(kind, key string) (string, error) {
	switch {
	case key == "":
		return c.prefix() + "any." + kind, nil
	case c.Partitions == 0:
		return "", errors.New("jobs/jetstream: Config.Partitions is -1, and the job has a key")
	}
	return fmt.Sprintf("%skey.%d.%s", c.prefix(), c.partition(key), kind), nil
}

// Depth implements jobs.Gauge. Oldest is the age of the oldest message in the stream, delayed ones included.
func (q *Queue) Depth(ctx context.Context) (d jobs.Depth, err error) {
	q.mu.Lock()
	lanes := append([]*lane(nil), q.lanes...)
	stream := q.stream
	q.mu.Unlock()
	info, err := stream.Info(ctx)
	if err != nil {
		return d, err
	}
	if info.State.Msgs > 0 {
		d.Oldest = time.Since(info.State.FirstTime)
	}
	var states []*natsjs.ConsumerInfo
	for _, l := range lanes {
		c, err := q.consumer(l).Info(ctx)
		if err != nil {
			return d, err
		}
		d.Waiting += c.NumPending
		d.InFlight += uint64(c.NumAckPending)
		states = append(states, c)
	}
	d.Delayed = info.State.Msgs - min(info.State.Msgs, d.Waiting+d.InFlight)
	if d.Delayed > 0 {
		d.Delayed -= min(d.Delayed, q.sweep(ctx, stream, states, info.State))
	}
	if dead, err := q.js.Stream(ctx, q.cfg.dead()); err == nil {
		d.Dead = dead.CachedInfo().State.Msgs
	}
	return d, nil
}

func (q *Queue) consumer(l *lane) natsjs.Consumer {
	q.mu.Lock()
	defer q.mu.Unlock()
	return l.Consumer
}
