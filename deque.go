package executor

import (
	"sync/atomic"

	"github.com/seed-97bda89a/executor/internal/chaos"
)

// dequeCap is the capacity of a slot's deque. It must be a power of two. More lets one task
// start more children before it pays for an overflow; less keeps the working set in the
// first-level cache. 256 is what the Go runtime and tokio use.
const (
	dequeCap  = 256
	dequeMask = dequeCap - 1
)

// deque is a slot's own queue: a Chase-Lev deque with a fixed ring. The owner, which is the
// runner that holds the slot, pushes and pops at the tail; thieves take from the head.
//
//	Chase, Lev: Dynamic Circular Work-Stealing Deque, SPAA 2005.
//	Lê, Pop, Cohen, Nardelli: Correct and Efficient Work-Stealing for Weak Memory Models, PPoPP 2013.
//
// It differs from the paper in one point. head holds two indices, steal and real, and a thief
// claims an entry by moving real before it reads the entry, and releases the cell by moving steal
// after it. (tokio's queue has the same split.) So a cell is only ever touched by the one that
// claimed it: cells are plain memory, and the race detector checks the protocol for real.
//
// Invariants: D1 each entry is taken by exactly one claim. D2 a cell is written only by the owner
// and only while its index is less than dequeCap above steal. D3 cells outside [steal, tail) are
// zero, so the ring keeps nothing alive. D4 only the owner calls the methods marked owner.
type deque struct {
	head atomic.Uint64 // steal<<32 | real. Moved by thieves, and by the owner for the last entry.
	_    [120]byte

	tail atomic.Uint32 // next index to fill. Written by the owner, read by thieves.

	// The owner's own, plain.
	next  uint32 // the true tail; tail lags behind it only inside a pop
	steal uint32 // copy of head's steal half, refreshed when the ring looks full
	batch uint32 // the end of the last batch: what is below is popped as it arrived, see onlyBatch

	buried bool // there may be dead entries below the newest
	_      [111]byte

	cells [dequeCap]entry
}

func packHead(steal, real uint32) uint64 { return uint64(steal)<<32 | uint64(real) }

func unpackHead(h uint64) (steal, real uint32) { return uint32(h >> 32), uint32(h) }

// len returns how many entries can be claimed. Anybody may call it; the answer may be old.
func (d *deque) len() int {
	_, real := unpackHead(d.head.Load())
	return max(0, int(int32(d.tail.Load()-real)))
}

// room returns for how many entries there is room. Owner. It reads the line that thieves write
// only when the owner's copy says that the ring is full.
func (d *deque) room() int {
	if n := dequeCap - int(d.next-d.steal); n > 0 {
		return n
	}
	d.steal, _ = unpackHead(d.head.Load())
	return dequeCap - int(d.next-d.steal)
}

// push adds an entry at the tail. Owner, with room.
func (d *deque) push(en entry) {
	d.cells[d.next&dequeMask] = en
	d.next++
	d.tail.Store(d.next) // publishes the cell; pairs with the tail load in take (D2)
}

// set writes the entry that will be offset places above the tail, and advance publishes the next n
// cells: together they push a batch with one store. Owner; the deque is empty.
func (d *deque) set(offset uint32, en entry) { d.cells[(d.next+offset)&dequeMask] = en }

func (d *deque) advance(n uint32) {
	d.next += n
	d.batch = d.next
	d.tail.Store(d.next)
}

// onlyBatch reports whether nothing is there but entries of the last batch. Owner.
func (d *deque) onlyBatch() bool { return int32(d.next-d.batch) <= 0 }

// forgetBatch is for an owner that asks onlyBatch: once in a while, or the index wraps around. Owner.
func (d *deque) forgetBatch() {
	if _, real := unpackHead(d.head.Load()); int32(real-d.batch) > 0 {
		d.batch = real
	}
}

// pop takes the newest entry. Owner. It costs no CAS unless the entry is the last one, because
// lowering tail first (a sequentially consistent store) keeps thieves away from every index at
// or above it that they have not already claimed.
func (d *deque) pop() (entry, bool) {
	h := d.head.Load()
	if _, real := unpackHead(h); real == d.next {
		return entry{}, false
	}
	t := d.next - 1
	d.tail.Store(t) // pairs with the tail load in take
	chaos.At(chaos.D1Lowered)
	for {
		h = d.head.Load()
		steal, real := unpackHead(h)
		switch left := int32(t - real); {
		case left > 0: // a thief needs real == t to claim t, and would read the lowered tail
			d.next = t
			return d.clear(t), true
		case left < 0: // a thief had claimed it before
			d.tail.Store(d.next)
			return entry{}, false
		}
		// The last entry: whoever moves real past it has it.
		if steal == real {
			steal = t + 1
		}
		if !chaos.Forced(chaos.D1Last) && d.head.CompareAndSwap(h, packHead(steal, t+1)) {
			d.tail.Store(d.next)
			return d.clear(t), true
		}
	}
}

// popHead takes the oldest entry. Owner.
func (d *deque) popHead() (entry, bool) {
	for {
		h := d.head.Load()
		steal, real := unpackHead(h)
		if real == d.next {
			return entry{}, false
		}
		next := real + 1
		if steal == real { // no thief is between claim and release
			steal = next
		}
		if !chaos.Forced(chaos.D1Oldest) && d.head.CompareAndSwap(h, packHead(steal, next)) {
			return d.clear(real), true
		}
	}
}

// claimNewest claims up to most of the newest entries, leaving at least one, and returns the index
// of the oldest of them and their number; the caller clears them. Owner. One store and one load
// claim them all: see pop for why indices at or above the lowered tail are out of reach while real
// is below it.
func (d *deque) claimNewest(most int) (at, n uint32) {
	most = min(most, d.len()-1)
	if most <= 0 {
		return 0, 0
	}
	at = d.next - uint32(most)
	d.tail.Store(at)
	chaos.At(chaos.D1Lowered)
	if _, real := unpackHead(d.head.Load()); int32(at-real) <= 0 {
		d.tail.Store(d.next) // thieves came close, so there is room without this
		return 0, 0
	}
	d.next = at
	return at, uint32(most)
}

// clear empties a cell that the caller has claimed and returns what was in it (D3).
func (d *deque) clear(index uint32) entry {
	cell := &d.cells[index&dequeMask]
	en := *cell
	*cell = entry{}
	return en
}

// take is the thief's side: it claims the oldest entry, reads it, and releases the cell. It fails
// if the deque is empty, if another thief is between claim and release, or if it lost the race
// for the entry; more tells that looking again may help. Any goroutine.
//
// A thief takes one entry per claim. Claiming several with one CAS is unsound against an owner
// that pops without one: it could pop an entry that is already claimed.
func (d *deque) take() (en entry, ok, more bool) {
	h := d.head.Load()
	steal, real := unpackHead(h)
	if int32(d.tail.Load()-real) <= 0 {
		return entry{}, false, false
	}
	if steal != real {
		return entry{}, false, true
	}
	chaos.At(chaos.D1Looked)
	if chaos.Forced(chaos.D1Claim) || !d.head.CompareAndSwap(h, packHead(steal, real+1)) { // claim (D1)
		return entry{}, false, true
	}
	chaos.At(chaos.D2Claimed)
	en = d.clear(real)
	chaos.At(chaos.D3Read)
	for { // release: everything below real is read by now, by us or by the owner
		h = d.head.Load()
		_, real = unpackHead(h)
		if !chaos.Forced(chaos.D3Release) && d.head.CompareAndSwap(h, packHead(real, real)) {
			return en, true, false
		}
	}
}

// fifo is a queue of entries in chunks, so that a queued task costs the size of its entry and a
// long queue never has to be copied to grow.
type fifo struct {
	first, last *chunk
	head, tail  int // next to take in first, next to fill in last
	len         int
	pushed      uint64 // how many ever
	spare       *chunk // emptied chunks, kept for reuse
	spares      int
}

const (
	chunkCap   = 64
	idleSpares = 8 // emptied chunks kept by an idle executor, 8 KB
)

type chunk struct {
	cells [chunkCap]entry
	next  *chunk
}

func (f *fifo) push(en entry) {
	if f.last == nil || f.tail == chunkCap {
		f.grow()
	}
	f.last.cells[f.tail] = en
	f.tail++
	f.len++
	f.pushed++
}

// grow adds a chunk.
func (f *fifo) grow() {
	c := f.spare
	if c != nil {
		f.spare, c.next = c.next, nil
		f.spares--
	} else {
		c = new(chunk)
	}
	if f.last == nil {
		f.first, f.head = c, 0
	} else {
		f.last.next = c
	}
	f.last, f.tail = c, 0
}

// peek returns the oldest entry of a queue that is not empty.
func (f *fifo) peek() *entry { return &f.first.cells[f.head] }

// pop removes the oldest entry of a queue that is not empty.
func (f *fifo) pop() entry {
	cell := f.peek()
	en := *cell
	*cell = entry{}
	f.head++
	f.len--
	if f.len == 0 { // start over in the same chunk
		f.head, f.tail = 0, 0
		return en
	}
	if f.head == chunkCap {
		c := f.first
		f.first, f.head = c.next, 0
		c.next = nil
		c.next, f.spare = f.spare, c // a queue that fills and drains allocates nothing
		f.spares++
	}
	return en
}

// trim lets go of emptied chunks beyond idleSpares.
func (f *fifo) trim() {
	for f.spares > idleSpares {
		f.spare = f.spare.next
		f.spares--
	}
}

// filter keeps the entries for which keep is true, in order.
func (f *fifo) filter(keep func(entry) bool) {
	pushed := f.pushed
	for range f.len {
		if en := f.pop(); keep(en) {
			f.push(en)
		}
	}
	f.pushed = pushed
}
