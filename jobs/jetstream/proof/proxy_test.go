//go:build unix

package proof

import (
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// proxy is the network between workers and the server, with a hand on the cable.
type proxy struct {
	l      net.Listener
	target string
	delay  atomic.Int64 // of each packet
	dead   atomic.Bool  // nothing comes through, and nothing is closed
	refuse atomic.Bool

	mu    sync.Mutex
	conns map[net.Conn]bool
}

func newProxy(t *testing.T, target string) *proxy {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{l: l, target: target, conns: make(map[net.Conn]bool)}
	t.Cleanup(func() { _ = l.Close(); p.drop(1) })
	go p.accept()
	return p
}

func (p *proxy) url() string { return "nats://" + p.l.Addr().String() }

func (p *proxy) accept() {
	for {
		in, err := p.l.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", p.target)
		if err != nil || p.refuse.Load() {
			_ = in.Close()
			if out != nil {
				_ = out.Close()
			}
			continue
		}
		p.mu.Lock()
		p.conns[in], p.conns[out] = true, true
		p.mu.Unlock()
		go p.copy(in, out)
		go p.copy(out, in)
	}
}

func (p *proxy) copy(from, to net.Conn) {
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		for p.dead.Load() && err == nil {
			time.Sleep(5 * time.Millisecond)
		}
		time.Sleep(time.Duration(p.delay.Load()))
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				break
			}
		}
		if err != nil {
			break
		}
	}
	_ = from.Close()
	_ = to.Close()
	p.mu.Lock()
	delete(p.conns, from)
	delete(p.conns, to)
	p.mu.Unlock()
}

// drop closes that part of the connections; half of them only in one direction first.
func (p *proxy) drop(part float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		if rand.Float64() >= part {
			continue
		}
		if tcp, ok := c.(*net.TCPConn); ok && rand.N(2) == 0 {
			_ = tcp.CloseWrite()
			continue
		}
		_ = c.Close()
	}
}
