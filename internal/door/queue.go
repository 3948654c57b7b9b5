package door

// Queue is a queue in a ring that grows as needed, and shrinks when it is a quarter full. The zero value is empty.
type Queue[T any] struct {
	ring []T // its length is a power of two
	head int
	n    int
}

const smallestRing = 16

// Len returns how many elements there are.
func (q *Queue[T]) Len() int { return q.n }

// Push adds v at the end.
func (q *Queue[T]) Push(v T) {
	if q.n == len(q.ring) {
		q.resize(max(smallestRing, 2*len(q.ring)))
	}
	q.ring[(q.head+q.n)&(len(q.ring)-1)] = v
	q.n++
}

// Pop removes the first element, which there must be.
func (q *Queue[T]) Pop() T {
	v := q.ring[q.head]
	clear(q.ring[q.head : q.head+1])
	q.head = (q.head + 1) & (len(q.ring) - 1)
	q.n--
	if len(q.ring) > smallestRing && q.n <= len(q.ring)/4 {
		q.resize(len(q.ring) / 2)
	}
	return v
}

func (q *Queue[T]) resize(size int) {
	ring := make([]T, size)
	for i := range q.n {
		ring[i] = q.ring[(q.head+i)&(len(q.ring)-1)]
	}
	q.ring, q.head = ring, 0
}
