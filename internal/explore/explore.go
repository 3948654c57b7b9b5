// Package explore checks the protocols of the executor. Each is written once more as a small program, one access to
// shared memory per step, and every interleaving of its threads is tried. Go's atomics are sequentially consistent,
// so interleavings are all there is, as long as nothing plain is shared; clocks checks that. The models are the
// tests of this package; they read the source of the root to see whether they are in step with it.
//
// An explorer is worth the mutants that it catches: each model has switches that break the protocol in
// one place, and a test that wants every one of them found.
package explore

import (
	"fmt"
	"hash/maphash"
	"slices"
)

// model is a program of threads that share a state. S is plain data: comparable, and copied freely.
type model[S comparable] struct {
	name    string
	start   S
	threads int

	// step runs a thread up to and with its next access to something shared. It reports false if the
	// thread waits or has ended; what it did to the state is then forgotten.
	step func(s *S, thread int, m *move) bool

	always func(s *S) string             // what is wrong with a state, or ""
	atRest func(s *S) string             // the same for one in which no thread can go on
	show   func(s *S, thread int) string // for traces: where a thread is, and what it sees
}

// move is what a step tells the explorer.
type move struct {
	choice int
	more   bool
	fault  string
}

// pick returns each of 0..n-1 in one branch of the exploration. At most once in a step.
func (m *move) pick(n int) int {
	m.more = m.choice+1 < n
	return m.choice
}

// fail says what must not happen.
func (m *move) fail(format string, args ...any) {
	if m.fault == "" {
		m.fault = fmt.Sprintf(format, args...)
	}
}

// finding is the result of an exploration.
type finding struct {
	states, steps, rests int
	unfinished           bool // there are more states than maxStates
	fault                string
	trace                []string
}

// maxStates bounds an exploration. A model that needs more is too large to be run on every change.
const maxStates = 2 << 20

// explore tries all interleavings, depth first, until something is wrong. Of the states it has seen it
// keeps 64 bits of a seeded hash: with a million states, the chance that it misses one is 1 in 10^7, and
// another run misses another.
func explore[S comparable](m *model[S], most int) finding {
	type level struct {
		state          S
		thread, choice int
		moved          bool
	}
	var f finding
	seed := maphash.MakeSeed()
	seen := newHashSet()
	seen.add(maphash.Comparable(seed, m.start))
	path := []level{{state: m.start}}
	f.states = 1
	for len(path) > 0 && f.fault == "" && !f.unfinished {
		at := &path[len(path)-1]
		if at.thread == m.threads {
			if !at.moved {
				f.rests++
				f.fault = m.atRest(&at.state)
			}
			if f.fault == "" {
				path = path[:len(path)-1]
			}
			continue
		}
		next, mv := at.state, move{choice: at.choice}
		ok := m.step(&next, at.thread, &mv)
		if ok && mv.more {
			at.choice++
		} else {
			at.thread, at.choice = at.thread+1, 0
		}
		if !ok {
			continue
		}
		at.moved = true
		f.steps++
		if f.fault = mv.fault; f.fault == "" {
			f.fault = m.always(&next)
		}
		if f.fault == "" && !seen.add(maphash.Comparable(seed, next)) {
			continue
		}
		f.states++
		f.unfinished = f.states > most
		path = append(path, level{state: next})
	}
	return f
}

// shorten looks for a shortest way to something wrong, breadth first, and prints it.
func shorten[S comparable](m *model[S], most int) finding {
	type node struct {
		state          S
		parent         int
		thread, choice int
	}
	var f finding
	seed := maphash.MakeSeed()
	seen := newHashSet()
	nodes := []node{{state: m.start, parent: -1}}
	trace := func(at int) {
		var way []node
		for ; at >= 0; at = nodes[at].parent {
			way = append(way, nodes[at])
		}
		slices.Reverse(way)
		for i, n := range way[1:] {
			f.trace = append(f.trace, fmt.Sprintf("%3d  thread %d: %s", i+1, n.thread, m.show(&way[i].state, n.thread)))
		}
	}
	for at := 0; at < len(nodes) && len(nodes) < most; at++ {
		moved := false
		for thread := range m.threads {
			for choice, more := 0, true; more; choice++ {
				next, mv := nodes[at].state, move{choice: choice}
				ok := m.step(&next, thread, &mv)
				more = ok && mv.more
				if !ok {
					break
				}
				moved = true
				if f.fault = mv.fault; f.fault == "" {
					f.fault = m.always(&next)
				}
				if f.fault == "" && !seen.add(maphash.Comparable(seed, next)) {
					continue
				}
				nodes = append(nodes, node{next, at, thread, choice})
				if f.fault != "" {
					trace(len(nodes) - 1)
					return f
				}
			}
		}
		if !moved {
			if f.fault = m.atRest(&nodes[at].state); f.fault != "" {
				trace(at)
				return f
			}
		}
	}
	return f
}

// hashSet is a set of hashes: open addressing, no deletion.
type hashSet struct {
	cells []uint64
	len   int
}

func newHashSet() *hashSet { return &hashSet{cells: make([]uint64, 1<<12)} }

// add reports whether h was new.
func (s *hashSet) add(h uint64) bool {
	if h == 0 {
		h = 1
	}
	if 2*s.len >= len(s.cells) {
		old := s.cells
		s.cells = make([]uint64, 4*len(old))
		for _, h := range old {
			if h != 0 {
				*s.place(h) = h
			}
		}
	}
	cell := s.place(h)
	if *cell == h {
		return false
	}
	*cell = h
	s.len++
	return true
}

func (s *hashSet) place(h uint64) *uint64 {
	mask := uint64(len(s.cells) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		if s.cells[i] == 0 || s.cells[i] == h {
			return &s.cells[i]
		}
	}
}

// clocks is a race check by vector clocks, reduced to what is asked of them: for each plain cell, the
// set of those that know of the last access to it. Its members are threads and, from bit objects on,
// what they synchronize by. An access by a thread that does not know of the one before is a race.
type clocks uint32

const objects = 8 // the bit of the first object; the threads come before it

// touch is a plain access to the cell by a thread. It reports false if that is a race.
func (c *clocks) touch(thread int) bool {
	ok := *c == 0 || *c>>thread&1 != 0
	*c = 1 << thread
	return ok
}

// acquire is an atomic load, or the first half of a read-modify-write; release is an atomic store, or
// the second half. As in Go's memory model, a thread learns what the one knew whose write it sees.
func acquire(cells []clocks, thread, object int) {
	for i, c := range cells {
		cells[i] |= c >> (objects + object) & 1 << thread
	}
}

func release(cells []clocks, thread, object int) {
	for i, c := range cells {
		bit := clocks(1) << (objects + object)
		cells[i] = c&^bit | c>>thread&1*bit
	}
}
