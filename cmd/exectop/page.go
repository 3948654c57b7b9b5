package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// What is read of the page's JSON. It names what it needs and no more: exectop may be older or newer than the library
// in the process that it looks at, and its module needs no other part of this repository.

type overview struct {
	Executors []brief    `json:"executors"`
	Bulkheads []bulkhead `json:"bulkheads"`
}

type brief struct {
	Name, State     string
	Slots, Running  int
	Queued, Waiting int
	Oldest          time.Duration
	Rate            float64
	Rejected        uint64
	Advice          []string
}

type report struct {
	Executors []state    `json:"executors"`
	Bulkheads []bulkhead `json:"bulkheads"`
}

type state struct {
	Name, Lifecycle string
	MaxSpares       int
	Stats           struct {
		Slots, Lent, Running, Queued, QueueLimit, Waiting, Blocked, Spares int
		OldestAge                                                          time.Duration
		Submitted, Completed, Failed, Panicked, Canceled, Rejected         uint64
		Lanes                                                              []lane
	}
	Sizing  struct{ Reason string }
	Slots   []slot
	Groups  []group
	Wait    times
	Run     times
	Named   []named
	History []point
	Advice  []advice
	Story   []string
}

type slot struct {
	Slot            int
	State, Task, In string
	Age             time.Duration
	Queued          int
	Lent            bool
}

type lane struct {
	Name                                        string
	Running, Share, Queued, QueueLimit, Waiting int
	OldestAge                                   time.Duration
	Taken, Rejected, Shed                       uint64
}

type group struct {
	Name                                                   string
	Active, Started, Limit, Held, Backlog, Waiting, Others int
	Failed                                                 bool
}

type times struct {
	Count         uint64
	P50, P90, P99 time.Duration
}

type point struct{ Submitted, Completed, Rejected float64 }

type named struct {
	Name                             string
	Count, Failed, Panicked          uint64
	Rate                             float64
	WaitP50, WaitP99, RunP50, RunP99 time.Duration
	Errors                           []struct {
		Time  time.Time
		Text  string
		Panic bool
	}
}

type advice struct{ Kind, Problem, Remedy, Call string }

type bulkhead struct {
	Name                   string
	Limit, Inside, Waiting int
	LongestWait            time.Duration
}

// page is a live page somewhere.
type page struct {
	url    url.URL
	client http.Client
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 64 << 20

func newPage(address string) (*page, error) {
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("%q is no address of a page: it looks like http://localhost:8080/debug/executor/", address)
	}
	return &page{url: *u, client: http.Client{Timeout: 30 * time.Second}}, nil
}

// look is one look at the process: at all of its executors, and at one in full if name is given or there is only one.
type look struct {
	all overview
	one *state
	at  time.Time
}

func (p *page) look(ctx context.Context, name string) (look, error) {
	l := look{at: time.Now()}
	if err := p.get(ctx, url.Values{"format": {"list"}}, &l.all); err != nil {
		return l, err
	}
	if name == "" && len(l.all.Executors) == 1 {
		name = l.all.Executors[0].Name
	}
	if name == "" {
		return l, nil
	}
	var r report
	if err := p.get(ctx, url.Values{"format": {"json"}, "executor": {name}}, &r); err != nil {
		return l, err
	}
	if len(r.Executors) != 1 {
		return l, fmt.Errorf("the answer has %d executors named %q", len(r.Executors), name)
	}
	l.one = &r.Executors[0]
	return l, nil
}

func (p *page) get(ctx context.Context, query url.Values, to any) error {
	u := p.url
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return err
	}
	res, err := p.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		text := strings.TrimSpace(string(body[:min(len(body), 200)]))
		return fmt.Errorf("the page answers %s: %s", res.Status, text)
	}
	if err := json.Unmarshal(body, to); err != nil {
		return fmt.Errorf("this is no live page of executors: %w", err)
	}
	return nil
}
