package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"sync"
	"text/tabwriter"
	"time"
)

// tally counts answers by how they ended. Its methods may be called by many at once.
type tally struct {
	mu               sync.Mutex
	ok, turned, rest latencies // 200, 503, and everything else
	last             error     // the last of the rest
}

func newTally() *tally { return &tally{} }

func (t *tally) add(status int, took time.Duration, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch status {
	case http.StatusOK:
		t.ok.add(took)
	case http.StatusServiceUnavailable:
		t.turned.add(took)
	default:
		t.rest.add(took)
		t.last = err
	}
}

// counts returns how many of each kind there are.
func (t *tally) counts() (ok, turned, rest int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ok.n, t.turned.n, t.rest.n
}

// err says what went wrong, if nothing else happened.
func (t *tally) err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.ok.n+t.turned.n > 0:
		return nil
	case t.last != nil:
		return fmt.Errorf("no answer: %w", t.last)
	}
	return errors.New("nothing was sent")
}

// print writes the table. took is how long the requests were sent and waited for.
func (t *tally) print(out io.Writer, took time.Duration) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := t.ok.n + t.turned.n + t.rest.n
	fmt.Fprintf(out, "%d requests in %v\n", all, took.Round(10*time.Millisecond))
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "answer\trequests\tper second\tp50\tp99\tlongest\t")
	for _, row := range []struct {
		name string
		*latencies
	}{{"200", &t.ok}, {"503", &t.turned}, {"other", &t.rest}} {
		fmt.Fprintf(table, "%s\t%d\t%.1f\t%v\t%v\t%v\t\n", row.name, row.n, float64(row.n)/took.Seconds(),
			short(row.quantile(0.5)), short(row.quantile(0.99)), short(row.longest))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if t.rest.n > 0 {
		fmt.Fprintln(out, "the last of the others:", t.last)
	}
	return nil
}

// short leaves three digits or so.
func short(d time.Duration) time.Duration {
	switch {
	case d > time.Second:
		return d.Round(10 * time.Millisecond)
	case d > 10*time.Millisecond:
		return d.Round(100 * time.Microsecond)
	}
	return d.Round(10 * time.Microsecond)
}

// latencies is a distribution of durations in little memory: a bucket is 2 % wider than the one before, so
// quantiles are that exact, from a microsecond to twenty minutes.
type latencies struct {
	n       int
	longest time.Duration
	buckets [1100]int
}

var step = math.Log(1.02)

func (l *latencies) add(d time.Duration) {
	at := math.Log(max(1, float64(d)/float64(time.Microsecond))) / step
	l.buckets[min(int(at), len(l.buckets)-1)]++
	l.n++
	l.longest = max(l.longest, d)
}

// quantile returns a duration that a share q of all was not longer than, 0 if there are none.
func (l *latencies) quantile(q float64) time.Duration {
	rank := int(math.Ceil(q * float64(l.n)))
	for i, n := range l.buckets {
		if rank -= n; rank <= 0 && l.n > 0 {
			return min(l.longest, time.Duration(math.Exp(float64(i+1)*step)*float64(time.Microsecond)))
		}
	}
	return 0
}
