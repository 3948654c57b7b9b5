package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"
)

// answerTime is how long the load mode waits for one answer.
const answerTime = 30 * time.Second

// runLoad sends requests to the service for the time that cfg says, or until ctx is done, waits for the answers that
// are due, and prints a table.
func runLoad(ctx context.Context, cfg loadConfig, stdout io.Writer, stderr *os.File) error {
	l := &loader{cfg: cfg, tally: newTally(), client: &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: cfg.clients, DisableCompression: true},
		Timeout:   answerTime,
	}}
	defer l.client.CloseIdleConnections()
	sending, cancel := context.WithTimeout(ctx, cfg.duration)
	defer cancel()
	line := watch(stderr, cfg.duration, l.tally)
	start := time.Now()
	if cfg.rate > 0 {
		l.atRate(sending)
	} else {
		l.backToBack(sending)
	}
	took := time.Since(start)
	line.finish()
	if err := l.tally.print(stdout, took); err != nil {
		return err
	}
	return l.tally.err()
}

// loader sends requests.
type loader struct {
	cfg    loadConfig
	client *http.Client
	tally  *tally
}

// backToBack lets each client send its next request when the last one is answered. That never asks for much more
// than the service can do.
func (l *loader) backToBack(sending context.Context) {
	var clients sync.WaitGroup
	for client := range l.cfg.clients {
		clients.Go(func() {
			for n := client; sending.Err() == nil; n += l.cfg.clients {
				if status := l.send(n, time.Now()); status != http.StatusOK {
					sleep(sending, l.cfg.pause) // it asked to be left alone
				}
			}
		})
	}
	clients.Wait()
}

// atRate sends at fixed times, whatever becomes of the requests before, as clients do who know nothing of each
// other. The time of an answer counts from when its request was due, so that waiting for a free client is in it.
func (l *loader) atRate(sending context.Context) {
	interval := time.Duration(float64(time.Second) / l.cfg.rate)
	free := make(chan struct{}, l.cfg.clients)
	var clients sync.WaitGroup
	start := time.Now()
	for n := 0; ; n++ {
		due := start.Add(time.Duration(n) * interval)
		sleep(sending, time.Until(due))
		select {
		case <-sending.Done():
		case free <- struct{}{}:
		}
		if sending.Err() != nil {
			clients.Wait()
			return
		}
		clients.Go(func() {
			defer func() { <-free }()
			l.send(n, due)
		})
	}
}

// send makes one request and counts how it ended. It returns the status, 0 if there was none. A request that has
// begun is waited for, even if the time to send is over.
func (l *loader) send(n int, due time.Time) int {
	status, err := l.request(n)
	l.tally.add(status, time.Since(due), err)
	return status
}

// request asks for a picture three times of four, and else for a hash.
func (l *loader) request(n int) (status int, err error) {
	var resp *http.Response
	if n%4 == 3 {
		resp, err = l.client.Post(l.cfg.url+"/hash", "application/octet-stream", bytes.NewReader(hashed))
	} else {
		resp, err = l.client.Get(fmt.Sprintf("%s/thumbnail?seed=%d", l.cfg.url, n))
	}
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return 0, err // half an answer is none
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusServiceUnavailable {
		err = errors.New(resp.Status)
	}
	return resp.StatusCode, err
}

// hashed is what /hash gets.
var hashed = bytes.Repeat([]byte("executor"), 64<<10/8)

// sleep waits for d, or until ctx is done.
func sleep(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
