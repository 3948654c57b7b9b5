package main

import (
	"fmt"
	"hash/fnv"
	"iter"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// server answers each path after a time of its own, which is the same every time.
type server struct {
	http    http.Server
	address string
	slowest time.Duration

	now, most atomic.Int64 // requests that are being answered
}

func serve(slowest time.Duration) (*server, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &server{address: listener.Addr().String(), slowest: slowest}
	s.http.Handler = s
	go func() { _ = s.http.Serve(listener) }() // until close
	return s, nil
}

func (s *server) close() { _ = s.http.Close() }

// urls gives the first n of the server's URLs.
func (s *server) urls(n int) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range n {
			if !yield(fmt.Sprintf("http://%s/%d", s.address, i)) {
				return
			}
		}
	}
}

// forget makes most start anew.
func (s *server) forget() { s.most.Store(s.now.Load()) }

// latency is between a millisecond and the slowest, spread evenly over the paths.
func (s *server) latency(path string) time.Duration {
	h := fnv.New64a()
	h.Write([]byte(path))
	return time.Millisecond + time.Duration(h.Sum64()%uint64(s.slowest-time.Millisecond+1))
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	now := s.now.Add(1)
	defer s.now.Add(-1)
	for most := s.most.Load(); now > most && !s.most.CompareAndSwap(most, now); most = s.most.Load() {
	}
	select {
	case <-time.After(s.latency(r.URL.Path)):
		fmt.Fprintln(w, "the answer to", r.URL.Path)
	case <-r.Context().Done():
	}
}
