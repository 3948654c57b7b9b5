package door

// fifo is a queue in a ring that grows as needed, and shrinks when it is a quarter full.
type fifo struct {
	ring []Job // its length is a power of two
	head int
	n    int
}

const smallestRing = 16

func (q *fifo) len() int { return q.n }

func (q *fifo) push(j Job) {
	if q.n == len(q.ring) {
		q.resize(max(smallestRing, 2*len(q.ring)))
	}
	q.ring[(q.head+q.n)&(len(q.ring)-1)] = j
	q.n++
}

func (q *fifo) pop() Job {
	j := q.ring[q.head]
	q.ring[q.head] = nil
	q.head = (q.head + 1) & (len(q.ring) - 1)
	q.n--
	if len(q.ring) > smallestRing && q.n <= len(q.ring)/4 {
		q.resize(len(q.ring) / 2)
	}
	return j
}

func (q *fifo) resize(size int) {
	ring := make([]Job, size)
	for i := range q.n {
		ring[i] = q.ring[(q.head+i)&(len(q.ring)-1)]
	}
	q.ring, q.head = ring, 0
}
