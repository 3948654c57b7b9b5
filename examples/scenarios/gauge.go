package main

import "sync/atomic"

// gauge counts how many are inside something, and the most that were at once.
type gauge struct{ inside, peak atomic.Int64 }

// enter returns what to call at the end.
func (g *gauge) enter() (leave func()) {
	n := g.inside.Add(1)
	for old := g.peak.Load(); n > old && !g.peak.CompareAndSwap(old, n); old = g.peak.Load() {
	}
	return func() { g.inside.Add(-1) }
}

func (g *gauge) most() int64 { return g.peak.Load() }
