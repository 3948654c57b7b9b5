package main

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-97bda89a/executor"
)

// config is what the shop is like.
type config struct {
	customers     int
	load          float64
	event, report time.Duration
	delay         time.Duration
	work          func(time.Duration)
}

// shop applies events and makes reports.
type shop struct {
	config
	exec      *executor.Executor
	customers *executor.Keyed[int]

	next    []int // of each customer: the number of the last event that came
	applied []int // and of the last one that was applied; a customer's tasks alone touch it, one at a time
	wrong   atomic.Int64

	events, reports book
}

// hot is how many customers have half of the events.
const hot = 10

// perReport is how many events there are for each report.
const perReport = 50

// open opens a shop. opts are for tests.
func open(c config, opts ...executor.Option) (*shop, error) {
	exec, err := executor.New(append([]executor.Option{
		executor.WithName("orders"),
		executor.WithQueueDelay(c.delay),
		executor.WithLanes(
			executor.Lane{Name: "events", Weight: 9},
			executor.Lane{Name: "reports", Max: 1, QueueLimit: 100}),
	}, opts...)...)
	if err != nil {
		return nil, err
	}
	s := &shop{config: c, exec: exec, customers: executor.NewKeyed[int](exec), next: make([]int, c.customers), applied: make([]int, c.customers)}
	s.events.lane, s.reports.lane = "events", "reports"
	return s, nil
}

// feed has events and reports come until ctx is done, as a network would: whether or not anybody is done with those before.
func (s *shop) feed(ctx context.Context) {
	random := rand.New(rand.NewPCG(1, 2))
	events := executor.WithLane(context.Background(), "events") // what was accepted is done, though ctx ends
	reports := executor.WithLane(context.Background(), "reports")
	every := time.Duration(float64(s.event) / s.load / float64(s.exec.Stats().Slots))
	timer := time.NewTimer(0)
	defer timer.Stop()
	for at, n := time.Now(), 1; ctx.Err() == nil; n++ {
		if wait := time.Until(at); wait > 0 {
			timer.Reset(wait)
			select {
			case <-ctx.Done():
				return
			case <-timer.C:
			}
		}
		at = at.Add(every)
		customer := random.IntN(s.config.customers)
		if n%2 == 0 {
			customer %= hot
		}
		s.order(events, customer)
		if n%perReport == 0 {
			came := time.Now()
			s.reports.note(s.exec.TryGo(reports, func(context.Context) {
				s.reports.begin(came)
				s.work(s.report)
				s.reports.done.Add(1)
			}))
		}
	}
}

// order has one event of a customer applied, after those before it.
func (s *shop) order(ctx context.Context, customer int) {
	s.next[customer]++
	number, came := s.next[customer], time.Now()
	s.events.note(s.customers.TryGo(ctx, customer, func(context.Context) {
		s.events.begin(came)
		s.work(s.event)
		if number <= s.applied[customer] {
			s.wrong.Add(1)
		}
		s.applied[customer] = number
		s.events.done.Add(1)
	}))
}

// book is what is known of a lane's tasks.
type book struct {
	lane          string
	came, refused int // feed's own
	done          atomic.Int64

	mu    sync.Mutex
	waits []time.Duration
}

// note notes how a submission went: it was refused if there is an error, executor.ErrOverloaded as a rule.
func (b *book) note(err error) {
	b.came++
	if err != nil {
		b.refused++
	}
}

// begin notes how long a task has waited.
func (b *book) begin(came time.Time) {
	wait := time.Since(came)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waits = append(b.waits, wait)
}

func (b *book) percentiles() (p50, p99 time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	slices.Sort(b.waits)
	if n := len(b.waits); n > 0 {
		p50, p99 = b.waits[n/2], b.waits[n*99/100]
	}
	return p50.Round(10 * time.Microsecond), p99.Round(10 * time.Microsecond)
}
