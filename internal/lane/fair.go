package lane

import "time"

// Fair is a queue whose tenants get the same run time. It is start-time fair queueing with measured times: each tenant
// has a clock that runs while its tasks do, and the one whose clock is behind goes next. A task is charged the mean of the
// tasks before it when it starts, and the rest when it has ended. A tenant that comes back begins where the others are.
//
//	N4 An entry of a tenant with nothing queued or charged waits for no more than one entry of each other tenant,
//	   beside what has started.
type Fair[T any] struct {
	tenants map[string]*Tenant[T]
	heap    []*Tenant[T] // those with entries, by clock, then by when they came there
	now     time.Duration
	mean    time.Duration
	order   uint64
	len     int
	fresh   int // tenants made since forget
}

// Tenant is one of a Fair.
type Tenant[T any] struct {
	name    string
	clock   time.Duration
	order   uint64
	at      int // in the heap; -1: not there
	running int
	entries []T
	head    int
}

const leastCharge = time.Microsecond

// Len returns how many entries there are.
func (f *Fair[T]) Len() int { return f.len }

// Push queues an entry of a tenant.
func (f *Fair[T]) Push(name string, v T) {
	t := f.tenants[name]
	if t == nil {
		if f.tenants == nil {
			f.tenants = make(map[string]*Tenant[T])
		}
		if f.fresh++; f.fresh > 64 && f.fresh > len(f.tenants)/2 {
			f.forget()
		}
		t = &Tenant[T]{name: name, clock: f.now, at: -1}
		f.tenants[name] = t
	}
	t.entries = append(t.entries, v)
	f.len++
	if t.at < 0 {
		t.clock = max(t.clock, f.now)
		f.enter(t)
	}
}

// Peek returns the entry that goes next, of a queue that is not empty.
func (f *Fair[T]) Peek() T { return f.heap[0].entries[f.heap[0].head] }

// Pop removes the entry that goes next, of a queue that is not empty. Ended is to be called with the tenant when its
// task has ended.
func (f *Fair[T]) Pop() (T, *Tenant[T]) {
	t := f.heap[0]
	v := t.entries[t.head]
	var zero T
	t.entries[t.head] = zero
	t.head++
	f.len--
	switch {
	case t.head == len(t.entries):
		t.entries, t.head = nil, 0
	case t.head >= 64 && t.head >= len(t.entries)/2:
		n := copy(t.entries, t.entries[t.head:])
		clear(t.entries[n:])
		t.entries, t.head = t.entries[:n], 0
	}
	f.now = max(f.now, t.clock)
	t.running++
	t.clock += max(f.mean, leastCharge)
	f.leave(t)
	if len(t.entries) > 0 {
		f.enter(t)
	}
	if len(f.heap) == 0 { // nobody waits, so nobody has to be paid
		f.now = max(f.now, t.clock)
	}
	return v, t
}

// Ended says that a task has ended that was charged charged when it started, and how long it ran: 0 if it did not.
func (f *Fair[T]) Ended(t *Tenant[T], charged, ran time.Duration) {
	t.running--
	t.clock += ran - charged
	if ran > 0 {
		f.mean += (ran - f.mean) / 16
	}
	if t.at >= 0 {
		f.up(t.at)
		f.down(t.at)
	}
}

// Charge returns what the next task is charged when it starts.
func (f *Fair[T]) Charge() time.Duration { return max(f.mean, leastCharge) }

// Filter keeps the entries for which keep is true, in order, and returns how many have gone.
func (f *Fair[T]) Filter(keep func(T) bool) (gone int) {
	for _, t := range f.tenants {
		if t.at < 0 {
			continue
		}
		kept := t.entries[:0]
		for _, v := range t.entries[t.head:] {
			if keep(v) {
				kept = append(kept, v)
			}
		}
		gone += len(t.entries) - t.head - len(kept)
		clear(t.entries[len(kept):])
		t.entries, t.head = kept, 0
		if len(kept) == 0 {
			t.entries = nil
			f.leave(t)
		}
	}
	f.len -= gone
	return gone
}

// forget lets go of tenants that have nothing here and whose clock is behind.
func (f *Fair[T]) forget() {
	f.fresh = 0
	for name, t := range f.tenants {
		if t.at < 0 && t.running == 0 && t.clock <= f.now {
			delete(f.tenants, name)
		}
	}
}

// The heap. Each tenant knows its index.

func (t *Tenant[T]) before(o *Tenant[T]) bool {
	return t.clock < o.clock || t.clock == o.clock && t.order < o.order
}

func (f *Fair[T]) enter(t *Tenant[T]) {
	f.order++
	t.order = f.order
	t.at = len(f.heap)
	f.heap = append(f.heap, t)
	f.up(t.at)
}

func (f *Fair[T]) leave(t *Tenant[T]) {
	i, last := t.at, len(f.heap)-1
	f.swap(i, last)
	f.heap[last] = nil
	f.heap = f.heap[:last]
	t.at = -1
	if i < last {
		f.up(i)
		f.down(i)
	}
}

func (f *Fair[T]) swap(i, j int) {
	f.heap[i], f.heap[j] = f.heap[j], f.heap[i]
	f.heap[i].at, f.heap[j].at = i, j
}

func (f *Fair[T]) up(i int) {
	for i > 0 && f.heap[i].before(f.heap[(i-1)/2]) {
		f.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
}

func (f *Fair[T]) down(i int) {
	for {
		least := i
		for _, c := range [2]int{2*i + 1, 2*i + 2} {
			if c < len(f.heap) && f.heap[c].before(f.heap[least]) {
				least = c
			}
		}
		if least == i {
			return
		}
		f.swap(i, least)
		i = least
	}
}
