package executor

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
