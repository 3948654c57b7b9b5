package jetstream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
	"github.com/seed-97bda89a/executor/jobs"
)

// How jobs are fetched. There are several consumers (lanes) and one bound for what comes from all of them. A lane of keys has one job in
// flight for all workers, and a request to a lane that may not deliver waits at the broker, whatever it asks for. So:
//
//   - First each lane is asked for what it has now, in turn, until there is enough: the one without keys without waiting, one with keys
//     for a moment, or beside the others if there is room for all of them. One that had nothing is left alone for a while, longer each time, and so is one whose job this process has.
//   - If none had anything, requests for one job each wait at the broker, at as many lanes as jobs may come. The first that is
//     answered ends Receive. The others wait on, for poll at most: a request can not be taken back without losing a job that is on
//     its way. What they bring is taken by the next Receive. If there is none soon, it goes back, untried. Who ends asks anew for
//     other calls of Receive that wait, so that a request is at the broker as long as one does.
//   - Whoever sends a job with a key tells it on a plain subject. A worker that waits asks that lane at once.

const (
	moment  = 5 * time.Millisecond   // how long a lane of keys is asked while others may have work
	coldest = 2 * time.Second        // how long a lane that is always empty is left alone
	keepFor = 200 * time.Millisecond // how long a job that came unasked waits for a Receive
)

type arrival struct {
	msg natsjs.Msg
	err error // instead of msg; nil: the request had no answer
}

// Lease implements jobs.Source.
func (q *Queue) Lease() time.Duration { return q.cfg.AckWait }

// Receive implements jobs.Source.
func (q *Queue) Receive(ctx context.Context, max int) ([]jobs.Delivery, error) {
	if err := q.ready(ctx); err != nil {
		return nil, err
	}
	list, err := q.fetch(ctx, max)
	if len(list) > 0 {
		return list, nil
	}
	if err == nil {
		list, err = q.await(ctx, max)
	}
	if err != nil && gone(err) {
		if again := q.mend(ctx); again != nil {
			err = fmt.Errorf("%w; %w", err, again)
		}
	}
	if err != nil {
		err = fmt.Errorf("jobs/jetstream: %w", err)
	}
	return list, err
}

// ready waits a little for the connection.
func (q *Queue) ready(ctx context.Context) error {
	q.mu.Lock()
	closed := q.closed
	q.mu.Unlock()
	nc := q.js.Conn()
	if closed || nc.IsClosed() {
		return fmt.Errorf("jobs/jetstream: closed: %w", jobs.ErrSourceGone)
	}
	for began := time.Now(); !nc.IsConnected(); {
		if time.Since(began) > 2*time.Second {
			return errors.New("jobs/jetstream: not connected")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	return ctx.Err()
}

// gone reports whether an error may mean that somebody deleted a consumer or the stream.
func gone(err error) bool {
	for _, e := range []error{natsjs.ErrConsumerDeleted, natsjs.ErrConsumerNotFound, natsjs.ErrConsumerDoesNotExist, natsjs.ErrStreamNotFound, natsjs.ErrNoStreamResponse, nats.ErrNoResponders} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// order returns the lanes to ask, each of them first in its turn.
func (q *Queue) order() []*lane {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := len(q.lanes)
	list := make([]*lane, 0, n)
	now := time.Now()
	for i := range n {
		if l := q.lanes[(q.turn+i)%n]; !l.keys || !q.has(l) && !l.polling && now.After(l.cold) {
			list = append(list, l)
		}
	}
	q.turn++
	return list
}

// has reports whether this process has the one job that a lane of keys may have in flight. After a while it is not sure any more: the
// lease may be lost, and the broker may not have been told. Under q.mu.
func (q *Queue) has(l *lane) bool {
	return l.keys && l.mine > 0 && time.Since(l.took) < 2*q.cfg.AckWait
}

// fetch takes what is there.
func (q *Queue) fetch(ctx context.Context, max int) (list []jobs.Delivery, err error) {
	for len(list) < max {
		select {
		case a := <-q.arrived:
			if a.msg != nil {
				list = append(list, q.delivery(ctx, a.msg))
			}
			continue
		default:
		}
		break
	}
	lanes := q.order()
	if max-len(list) > len(lanes) {
		lanes = q.besides(lanes)
	}
	for len(lanes) > 0 && len(list) < max {
		// Lanes of keys that follow each other are asked at the same time, for one job each.
		asked := 1
		for lanes[0].keys && asked < min(len(lanes), max-len(list)) && lanes[asked].keys {
			asked++
		}
		batches := make([]natsjs.MessageBatch, asked)
		for i, l := range lanes[:asked] {
			var e error
			if l.keys {
				batches[i], e = q.consumer(l).Fetch(1, natsjs.FetchMaxWait(moment))
			} else {
				batches[i], e = q.consumer(l).FetchNoWait(max - len(list))
			}
			if e != nil {
				err = e
			}
		}
		for i, batch := range batches {
			if batch == nil {
				continue
			}
			n := len(list)
			for msg := range batch.Messages() {
				list = append(list, q.delivery(ctx, msg))
			}
			if e := batch.Error(); e != nil {
				err = e
			}
			q.found(lanes[i], len(list) > n)
		}
		lanes = lanes[asked:]
	}
	return list, err
}

// besides asks the lanes of keys without waiting for them, where there is room for what they have: the next Receive takes
// that. It returns the others.
func (q *Queue) besides(lanes []*lane) (others []*lane) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, l := range lanes {
		if l.keys {
			q.send(l, moment)
		} else {
			others = append(others, l)
		}
	}
	return others
}

// send makes a request wait at the broker. Under q.mu.
func (q *Queue) send(l *lane, wait time.Duration) {
	l.polling, l.hot = true, false
	done := make(chan struct{})
	q.polls[done] = struct{}{}
	go q.poll(l, l.Consumer, wait, done)
}

// found notes whether a lane had something.
func (q *Queue) found(l *lane, something bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if something {
		l.pause, l.cold = 0, time.Time{}
		return
	}
	l.pause = min(max(2*l.pause, moment), coldest)
	l.cold = time.Now().Add(l.pause)
}

// warm says that a lane of keys may have something.
func (q *Queue) warm(partition int) {
	q.mu.Lock()
	if partition < len(q.lanes)-1 {
		l := q.lanes[partition+1]
		l.pause, l.cold, l.hot = 0, time.Time{}, true
	}
	q.mu.Unlock()
	select {
	case q.hint <- struct{}{}:
	default:
	}
}

// await waits at the broker.
func (q *Queue) await(ctx context.Context, max int) ([]jobs.Delivery, error) {
	q.mu.Lock()
	q.waiters++
	q.want += max
	q.mu.Unlock()
	defer func() {
		q.mu.Lock()
		q.waiters--
		q.want -= max
		others := q.waiters > 0
		q.mu.Unlock()
		if others { // the request that was answered may have been theirs
			q.ask()
		}
	}()
	for {
		if !q.ask() {
			return nil, nil
		}
		var a arrival
		select {
		case a = <-q.arrived:
		case <-q.hint:
			continue
		case <-ctx.Done():
			// A request that waits can not be taken back: its answer would be lost.
			select {
			case a = <-q.arrived:
			case <-time.After(2 * poll):
				return nil, ctx.Err()
			}
		}
		if a.msg == nil {
			return nil, a.err
		}
		return []jobs.Delivery{q.delivery(ctx, a.msg)}, nil
	}
}

// ask makes requests wait at the broker, and reports whether one does.
func (q *Queue) ask() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	waiting, n, max := 0, len(q.lanes), q.want
	for _, l := range q.lanes {
		if l.polling {
			waiting++
		}
	}
	wait := poll
	if max < n { // not all at once: go round faster
		wait = poll / 5
	}
	for i := range n {
		l := q.lanes[0] // always: most jobs have no key, and nobody tells of them
		if i > 0 {
			l = q.lanes[1+(q.turn+i)%(n-1)]
		}
		if l.polling || q.has(l) || waiting >= max && !l.hot && i > 0 {
			continue
		}
		q.send(l, wait)
		waiting++
	}
	q.turn++
	return waiting > 0
}

// poll waits for one job at the broker. It never waits for somebody to take it: a drain waits for polls.
func (q *Queue) poll(l *lane, consumer natsjs.Consumer, wait time.Duration, done chan struct{}) {
	var a arrival
	batch, err := consumer.Fetch(1, natsjs.FetchMaxWait(wait))
	if err != nil {
		a.err = err
	} else {
		for a.msg = range batch.Messages() {
			break
		}
		a.err = batch.Error()
	}
	brief := wait == moment
	if brief {
		q.found(l, a.msg != nil)
	}
	q.mu.Lock()
	l.polling = false // before somebody takes the answer, who asks anew for those that wait on
	q.mu.Unlock()
	taken := !brief || a.msg != nil // nobody waits for a brief one
	if taken {
		select {
		case q.arrived <- a:
		default: // there is enough to wake whoever waits
			taken = false
		}
	}
	if a.msg != nil && !taken {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		_ = q.delivery(ctx, a.msg).Return(ctx, 0)
		cancel()
	}
	q.mu.Lock()
	delete(q.polls, done)
	q.mu.Unlock()
	close(done)
	if a.msg != nil && taken {
		time.AfterFunc(keepFor, q.untaken)
	}
}

// untaken gives back what nobody took.
func (q *Queue) untaken() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	q.give(ctx)
}

// Drain implements jobs.Drainer: it waits until the requests of this process that wait at the broker are answered, gives back what
// they brought, unless another worker of this Queue waits for it, and waits until the broker has everything that it was told.
func (q *Queue) Drain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, max(q.cfg.AckWait, 10*time.Second)+2*poll)
	defer cancel()
	q.mu.Lock()
	var polls []chan struct{}
	for done := range q.polls {
		polls = append(polls, done)
	}
	q.mu.Unlock()
	for _, done := range polls {
		select {
		case <-done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for q.give(ctx) {
	}
	if nc := q.js.Conn(); !nc.IsClosed() {
		return nc.FlushWithContext(ctx)
	}
	return nil
}

// give gives back one job that nobody waits for.
func (q *Queue) give(ctx context.Context) bool {
	q.mu.Lock()
	waiters := q.waiters
	q.mu.Unlock()
	if waiters > 0 {
		return false
	}
	select {
	case a := <-q.arrived:
		if a.msg != nil {
			_ = q.delivery(ctx, a.msg).Return(ctx, 0) // if it fails, the lease ends
		}
		return true
	default:
		return false
	}
}
