package executor

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed-97bda89a/executor/internal/testkit"
	"github.com/stretchr/testify/require"
)

// numbered is a job that only has a number, to follow entries through queues.
type numbered struct {
	origin
	id   int
	gone bool
}

func newNumbered(id int) *numbered {
	n := &numbered{id: id}
	n.parent, n.job = context.Background(), n
	return n
}

func (n *numbered) execute(*runner)            {}
func (n *numbered) drop(*Executor, error) bool { return true }
func (n *numbered) dead() bool                 { return n.gone }
func (n *numbered) left(*runner)               {}

func entryOf(id int) entry { return entry{of: &newNumbered(id).origin} }

func idOf(en entry) int { return en.of.job.(*numbered).id }

// dequeStarts are the indices at which tests start: at zero, and where they wrap in the middle.
var dequeStarts = []uint32{0, math.MaxUint32 - dequeCap/2, math.MaxUint32}

func forEachStart(t *testing.T, test func(t *testing.T, d *deque)) {
	for _, start := range dequeStarts {
		t.Run(fmt.Sprintf("start=%d", start), func(t *testing.T) {
			d := &deque{}
			d.startAt(start)
			test(t, d)
		})
	}
}

// requireClean checks that an empty deque is all zero (D3).
func requireClean(t testing.TB, d *deque) {
	t.Helper()
	require.Zero(t, d.len())
	for i := range d.cells {
		require.True(t, d.cells[i].empty(), "cell %d is not empty", i)
	}
}

// takeAlone is take when nobody else is there to lose a race against; chaos pretends that there is.
func takeAlone(d *deque) (en entry, ok, more bool) {
	for range 100 {
		steal, real := unpackHead(d.head.Load())
		if en, ok, more = d.take(); ok || !more || steal != real {
			break
		}
	}
	return en, ok, more
}

func TestDeque_EachEndHasItsOrder(t *testing.T) {
	forEachStart(t, func(t *testing.T, d *deque) {
		_, ok := d.pop()
		require.False(t, ok)
		_, ok = d.popHead()
		require.False(t, ok)
		_, ok, more := takeAlone(d)
		require.False(t, ok || more)

		for i := range dequeCap {
			require.Equal(t, dequeCap-i, d.room())
			d.push(entryOf(i))
			require.Equal(t, i+1, d.len())
		}
		require.Zero(t, d.room())
		for i := range dequeCap / 4 {
			en, ok, _ := takeAlone(d)
			require.True(t, ok)
			require.Equal(t, 2*i, idOf(en), "thieves take the oldest")
			en, ok = d.popHead()
			require.True(t, ok)
			require.Equal(t, 2*i+1, idOf(en), "popHead takes the oldest")
		}
		for i := range dequeCap / 2 {
			en, ok := d.pop()
			require.True(t, ok)
			require.Equal(t, dequeCap-1-i, idOf(en), "pop takes the newest")
		}
		requireClean(t, d)
	})
}

func TestDeque_ABatchIsPushedAtOnce(t *testing.T) {
	forEachStart(t, func(t *testing.T, d *deque) {
		d.push(entryOf(0))
		for i := 3; i >= 0; i-- {
			d.set(uint32(i), entryOf(1+i))
			require.Equal(t, 1, d.len(), "not published yet")
		}
		d.advance(4)
		for i := range 5 {
			en, ok, _ := takeAlone(d)
			require.True(t, ok)
			require.Equal(t, i, idOf(en))
		}
		requireClean(t, d)
	})
}

func TestDeque_ClaimNewestLeavesOne(t *testing.T) {
	forEachStart(t, func(t *testing.T, d *deque) {
		_, n := d.claimNewest(10)
		require.Zero(t, n, "empty")
		d.push(entryOf(0))
		_, n = d.claimNewest(10)
		require.Zero(t, n, "one entry")
		for i := 1; i < 10; i++ {
			d.push(entryOf(i))
		}
		_, n = d.claimNewest(0)
		require.Zero(t, n)
		at, n := d.claimNewest(4)
		require.EqualValues(t, 4, n)
		for i := range n {
			require.EqualValues(t, 6+i, idOf(d.clear(at+i)), "the newest, oldest first")
		}
		at, n = d.claimNewest(100)
		require.EqualValues(t, 5, n)
		for i := range n {
			require.EqualValues(t, 1+i, idOf(d.clear(at+i)))
		}
		en, ok := d.pop()
		require.True(t, ok)
		require.Zero(t, idOf(en))
		requireClean(t, d)
	})
}

// TestDeque_ACellIsNotReusedBeforeItsThiefIsThrough stops a thief between claim and release (D2).
func TestDeque_ACellIsNotReusedBeforeItsThiefIsThrough(t *testing.T) {
	forEachStart(t, func(t *testing.T, d *deque) {
		m := &dequeTwin{t: t, d: d}
		m.push(dequeCap)
		m.claim()
		require.Zero(t, d.room(), "the claimed cell is still in use")
		m.take()
		m.popHead()
		require.Zero(t, d.room(), "and so are those behind it")
		m.release()
		require.Equal(t, 2, d.room())
		m.push(2)
		m.drain()
	})
}

// dequeHammer lets an owner and thieves loose on a deque, and checks that each entry is taken once (D1).
// Mutants that these tests were seen to catch: pop does not lower the tail first; a cell is released before it is
// emptied; the owner moves steal past a thief that is not through; a thief does not wait for another; claimNewest
// does not look at head again.
type dequeHammer struct {
	d       *deque
	entries int
	thieves int
	own     func(h *dequeHammer, rng *rand.Rand) // one step of the owner
	next    int                                  // number of the next entry that the owner pushes
	taken   []atomic.Uint32
	left    atomic.Int64
}

func (h *dequeHammer) got(en entry) {
	h.taken[idOf(en)].Add(1)
	h.left.Add(-1)
}

func (h *dequeHammer) run(t *testing.T) {
	seed := rand.Uint64()
	h.taken = make([]atomic.Uint32, h.entries)
	h.left.Store(int64(h.entries))
	disorder := make([]int, h.thieves)
	var wg sync.WaitGroup
	for i := range h.thieves {
		wg.Go(func() {
			last := -1
			for h.left.Load() > 0 {
				en, ok, more := h.d.take()
				switch {
				case ok:
					if idOf(en) <= last {
						disorder[i]++
					}
					last = idOf(en)
					h.got(en)
				case !more:
					runtime.Gosched()
				}
			}
		})
	}
	rng := rand.New(rand.NewPCG(seed, 1))
	for h.left.Load() > 0 {
		if h.next == h.entries && h.d.len() == 0 {
			runtime.Gosched() // thieves have the rest
			continue
		}
		h.own(h, rng)
	}
	wg.Wait()
	for id := range h.taken {
		require.EqualValues(t, 1, h.taken[id].Load(), "entry %d, seed %d", id, seed)
	}
	require.Equal(t, make([]int, h.thieves), disorder, "a thief was given an older entry after a newer one, seed %d", seed)
	requireClean(t, h.d)
}

func (h *dequeHammer) push(n int) {
	for ; n > 0 && h.next < h.entries && h.d.room() > 0; n-- {
		h.d.push(entryOf(h.next))
		h.next++
	}
}

func (h *dequeHammer) pop() {
	if en, ok := h.d.pop(); ok {
		h.got(en)
	}
}

func (h *dequeHammer) popHead() {
	if en, ok := h.d.popHead(); ok {
		h.got(en)
	}
}

// many is n, or less where it would take too long.
func many(n int) int {
	if testkit.RaceDetector || testing.Short() {
		return n / 10
	}
	return n
}

func TestDeque_OneProducerOneThief(t *testing.T) {
	forEachStart(t, func(t *testing.T, d *deque) {
		h := &dequeHammer{d: d, entries: many(50_000), thieves: 1}
		h.own = func(h *dequeHammer, _ *rand.Rand) { h.push(1) }
		h.run(t)
	})
}

func TestDeque_Stampede(t *testing.T) {
	forEachStart(t, func(t *testing.T, d *deque) {
		for range many(1000) {
			h := &dequeHammer{d: d, entries: dequeCap, thieves: 4}
			h.push(dequeCap)
			h.own = func(h *dequeHammer, _ *rand.Rand) { h.pop() }
			h.run(t)
		}
	})
}

// TestDeque_TheLastEntryGoesToOne keeps the deque at the edge where owner and thieves meet.
func TestDeque_TheLastEntryGoesToOne(t *testing.T) {
	for _, pop := range []func(*dequeHammer){(*dequeHammer).pop, (*dequeHammer).popHead} {
		forEachStart(t, func(t *testing.T, d *deque) {
			h := &dequeHammer{d: d, entries: many(200_000), thieves: 2}
			h.own = func(h *dequeHammer, rng *rand.Rand) {
				h.push(1 + int(rng.Uint32()%2))
				pop(h)
			}
			h.run(t)
		})
	}
}

func TestDeque_EverythingAtOnce(t *testing.T) {
	for _, procs := range []int{2, 4, 16} {
		t.Run(fmt.Sprintf("GOMAXPROCS=%d", procs), func(t *testing.T) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
			forEachStart(t, func(t *testing.T, d *deque) {
				h := &dequeHammer{d: d, entries: many(150_000), thieves: 3}
				h.own = func(h *dequeHammer, rng *rand.Rand) {
					switch rng.Uint32() % 6 {
					case 0:
						h.push(1)
					case 1:
						h.push(int(rng.Uint32() % dequeCap))
					case 2, 3:
						h.pop()
					case 4:
						h.popHead()
					case 5:
						at, n := h.d.claimNewest(int(rng.Uint32() % dequeCap))
						for i := range n {
							h.got(h.d.clear(at + i))
						}
					}
				}
				h.run(t)
			})
		})
	}
}

// TestInjector_OverflowAndBatchesKeepTheOrder moves entries back and forth between a deque and the injector.
func TestInjector_OverflowAndBatchesKeepTheOrder(t *testing.T) {
	forEachStart(t, func(t *testing.T, d *deque) {
		q := &injector{limit: 1000}
		for i := range dequeCap {
			d.push(entryOf(i))
		}
		require.Equal(t, dequeCap/2, q.overflow(d, dequeCap/2))
		require.Equal(t, dequeCap/2, d.len())
		var got []int
		for {
			en, ok := d.pop()
			if !ok {
				break
			}
			got = append(got, idOf(en))
		}
		slices.Reverse(got)
		for {
			en, ok, _ := q.take(d, 16, 1)
			if !ok {
				break
			}
			for ; ok; en, ok = d.popHead() {
				require.True(t, d.onlyBatch())
				got = append(got, idOf(en))
			}
		}
		require.Len(t, got, dequeCap)
		require.True(t, slices.IsSorted(got), "as they were pushed: %v", got)
		require.Zero(t, q.used)
		requireClean(t, d)
	})
}
