//go:build executor_chaos

package executor

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor/internal/chaos"
	"github.com/seed-97bda89a/executor/internal/seam"
	"github.com/seed-97bda89a/executor/internal/testkit"
	"github.com/stretchr/testify/require"
)

// Tests that need the points of chaos.go: some stop a protocol where it hurts, others leave it to chance.

func init() {
	if os.Getenv("EXECUTOR_TEST_CHILD") == "" {
		fmt.Fprintf(os.Stderr, "chaos: EXECUTOR_CHAOS_SEED=%d\n", chaos.Seed)
	}
	harass = harassAtRandom
}

// harassAtRandom does what others might do at the same moment, only more often: it wakes parked runners for
// nothing, borrows spares, and looks for work and for quiescence where there may be none.
func harassAtRandom(e *Executor, stop <-chan struct{}) {
	defer chaos.Refuse()()
	rng := rand.New(rand.NewPCG(chaos.Seed, 1))
	repeat(stop, 50*time.Microsecond, func() {
		switch rng.IntN(6) {
		case 0, 1: // as the keeper does after a resize
			e.thin()
		case 2, 3: // as a blocked task does
			lent := 0
			for range 1 + rng.IntN(8) {
				if e.credits.TryAcquire(1) {
					lent++
				}
			}
			for range rng.IntN(64) {
				runtime.Gosched()
			}
			for range lent {
				e.returnCredit()
			}
		case 4:
			e.notify()
		case 5:
			e.checkQuiet()
		}
	})
}

// Programs of FuzzTree from random numbers, with the points on and slow ways forced.
func TestChaos_Programs(t *testing.T) {
	defer chaos.Refuse()()
	rng := rand.New(rand.NewPCG(chaos.Seed, 0))
	t.Log(soakAlone(t, rng, soakTime(t)), "programs")
}

// stopped is a goroutine that a test stopped at a point.
type stopped struct {
	t       *testing.T
	arrived chan struct{}
	resume  chan struct{}
	once    sync.Once
}

// stopAt stops the first goroutine that passes a point and that who accepts (nil: any). No other point does
// anything until the test ends. Tests that call it are not parallel.
func stopAt(t *testing.T, at chaos.Point, who func() bool) *stopped {
	h := &stopped{t: t, arrived: make(chan struct{}), resume: make(chan struct{})}
	var taken atomic.Bool
	hook := func(p chaos.Point) {
		if p == at && !taken.Load() && (who == nil || who()) && taken.CompareAndSwap(false, true) {
			close(h.arrived)
			<-h.resume
		}
	}
	t.Cleanup(chaos.Hook(hook))
	t.Cleanup(h.release) // comes first
	return h
}

func (h *stopped) await() {
	h.t.Helper()
	testkit.Await(h.t, "the runner stops there", h.arrived)
}

func (h *stopped) release() { h.once.Do(func() { close(h.resume) }) }
func onRunner() bool        { return currentRunner(context.Background()) != nil }

// A runner finds that all is quiet, and before it says so, a task is submitted and somebody else asks.
//
// Mutant: whoever waits is told, whenever they came.
func TestChaos_QuiesceIsNotAnsweredWithAnEarlierMoment(t *testing.T) {
	e, err := New(WithSlots(1), WithStallDetection(false))
	require.NoError(t, err)
	defer func() { require.NoError(t, e.Close()) }()
	h := stopAt(t, chaos.L1Summed, onRunner)
	ctx := context.Background()
	gates := [2]chan struct{}{make(chan struct{}), make(chan struct{})}
	open := [2]func(){sync.OnceFunc(func() { close(gates[0]) }), sync.OnceFunc(func() { close(gates[1]) })}
	defer func() {
		h.release()
		open[0]()
		open[1]()
	}()
	var ended [2]atomic.Bool
	submit := func(i int) {
		require.NoError(t, e.Go(ctx, func(context.Context) {
			<-gates[i]
			ended[i].Store(true)
		}))
	}
	quiesce := func(i int) chan bool {
		waiting, answer := int(e.quiet.wanted.Load()), make(chan bool, 1)
		go func() { answer <- e.Quiesce(ctx) == nil && ended[i].Load() }()
		require.Eventually(t, func() bool {
			e.quiet.mu.Lock()
			defer e.quiet.mu.Unlock()
			return len(e.quiet.waiters) > waiting
		}, 30*time.Second, time.Millisecond)
		return answer
	}
	submit(0)
	first := quiesce(0)
	open[0]()
	h.await()
	submit(1)
	second := quiesce(1)
	h.release()
	require.True(t, testkit.Await(t, "it happens", first))
	select {
	case <-second:
		t.Fatal("Quiesce returns while a task that was submitted before it runs")
	case <-time.After(20 * time.Millisecond):
	}
	open[1]()
	require.True(t, testkit.Await(t, "it happens", second))
}

// endedLater makes an executor that is closed when the test ends, after what was held has been released.
func endedLater(t *testing.T, opts ...Option) *Executor {
	e, err := New(append(opts, WithStallDetection(false))...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	return e
}

// A task comes when the last searcher has looked everywhere and still counts as searching: nobody is woken for
// it, so the searcher has to look again once it has parked (P2).
//
// Mutant: it does not.
func TestChaos_ATaskComesWhileTheLastSearcherParks(t *testing.T) {
	e := endedLater(t, WithSlots(2))
	stuck, leave := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(leave) })
	require.NoError(t, e.Go(context.Background(), func(context.Context) { close(stuck); <-leave }))
	testkit.Await(t, "it happens", stuck) // there is somebody to steal from, so the other one searches before it parks
	ran := make(chan struct{}, 2)
	task := func(context.Context) { ran <- struct{}{} }
	h := stopAt(t, chaos.P2Parks, func() bool { return onRunner() && searching(e.word.Load()) == 1 })
	require.NoError(t, e.Go(context.Background(), task))
	testkit.Await(t, "it happens", ran)
	h.await()
	require.NoError(t, e.Go(context.Background(), task))
	h.release()
	testkit.Await(t, "it happens", ran)
}

// A submitter is about to take the slot of a blocked task, with the only spare. The task comes back, goes on, and
// blocks again: that is another visit, with another epoch, so the submitter must fail (B3), and give the spare back.
//
// Mutant: the submitter keeps the spare.
func TestChaos_ARetakerIsLateForABlockedTask(t *testing.T) {
	e := endedLater(t, WithSlots(1), WithMaxSpares(1))
	in, out := make(chan struct{}), make(chan struct{})
	in2, out2 := make(chan struct{}), make(chan struct{})
	leave := sync.OnceFunc(func() { close(out2) })
	t.Cleanup(leave)
	ended := make(chan struct{})
	require.NoError(t, e.Go(context.Background(), func(ctx context.Context) {
		Blocking(ctx, func() { close(in); <-out })
		Blocking(ctx, func() { close(in2); <-out2 })
		close(ended)
	}))
	testkit.Await(t, "it happens", in)
	h := stopAt(t, chaos.B3Held, func() bool { return !onRunner() })
	ran := make(chan struct{})
	go func() { _ = e.Go(context.Background(), func(context.Context) { close(ran) }) }()
	h.await()
	close(out)
	testkit.Await(t, "it happens", in2)
	h.release()
	testkit.Await(t, "it happens", ran) // while the first task is still inside
	leave()
	testkit.Await(t, "it happens", ended)
	require.NoError(t, settled(e, patience))
}

// A thief has claimed a cell and not read it. The owner fills its deque meanwhile, more than once: that one cell is
// not its own (D2), and what does not fit goes to the injector.
//
// Mutant: room counts from real.
func TestChaos_AnOwnerFillsItsDequeAroundAThief(t *testing.T) {
	e := endedLater(t, WithSlots(2))
	h := stopAt(t, chaos.D2Claimed, onRunner)
	const n = 3 * dequeCap
	var ran [n + 1]atomic.Int32
	filled := make(chan struct{})
	require.NoError(t, e.Go(context.Background(), func(ctx context.Context) {
		defer close(filled)
		child := func(i int) {
			if err := e.Go(ctx, func(context.Context) { ran[i].Add(1) }); err != nil {
				t.Error(err)
			}
		}
		child(n)
		h.await()
		for i := range n {
			child(i)
		}
	}))
	testkit.Await(t, "it happens", filled)
	h.release()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(t, e.Quiesce(ctx))
	for i := range ran {
		require.EqualValues(t, 1, ran[i].Load(), "task %d", i)
	}
	require.NoError(t, settled(e, patience))
}

// A slot that a resize takes away was the last whose holder ran: the holders of the others wait at the bounds of their groups, with no
// spare, and have to be told. Mutant: dropSlot does not set lent.
func TestChaos_ASlotLeavesWhileTheOthersWait(t *testing.T) {
	defer chaos.Refuse()()
	program := []byte{
		0x14, 0xd4, 0xd9, 0x2f, 0x7, 0xbd, 0x8, 0x49, 0xb, 0xf4, 0xf, 0x28, 0x9, 0xd6, 0x11, 0x41, 0x2, 0xa0, 0xa, 0x5b, 0x9, 0x7a, 0x4,
		0x55, 0x2, 0x7d, 0x14, 0x8d, 0x12, 0x7, 0x0, 0x5, 0xec, 0x16, 0x91, 0xb, 0xe3, 0x4, 0x1e, 0x8, 0x80, 0x9, 0x61, 0x5, 0xf6, 0x4,
		0xf3, 0x9, 0x34, 0xb, 0x8c, 0xa, 0xbe, 0x9, 0x51, 0x2, 0xed, 0x0, 0x18, 0xf4, 0x14, 0x37, 0x8, 0xd7, 0x9, 0x6c, 0xc, 0xd7, 0x0,
		0x0, 0x0, 0x0, 0x0,
	}
	for range 3000 {
		require.Empty(t, runTree(program))
	}
}

// The keeper has seen for a while that nothing waits, and is about to stop watching. Before it does, the only slot is held by a task
// that blocks without a mark, and another one is queued: its submitter sees that the keeper watches, and goes away.
//
// Mutant: the keeper does not look again.
func TestChaos_ATaskComesWhileTheKeeperStops(t *testing.T) {
	if seam.Tickless {
		t.Skip("the keeper does not watch")
	}
	e, err := New(WithSlots(1))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	h := stopAt(t, chaos.P1Calm, func() bool { return e.word.Load()&watched != 0 })
	leave := [2]chan struct{}{make(chan struct{}), make(chan struct{})}
	stick := func(i int) {
		started := make(chan struct{})
		require.NoError(t, e.Go(context.Background(), func(context.Context) { close(started); <-leave[i] }))
		testkit.Await(t, "it happens", started)
	}
	stick(0)
	require.NoError(t, e.Go(context.Background(), func(context.Context) {}))
	close(leave[0]) // perhaps the keeper has lent a slot meanwhile, and perhaps not
	h.await()
	require.NoError(t, e.Quiesce(context.Background()))
	stick(1)
	ran := make(chan struct{})
	require.NoError(t, e.Go(context.Background(), func(context.Context) { close(ran) }))
	h.release()
	testkit.Await(t, "it happens", ran)
	close(leave[1])
}

// A task of a Serial is counted before it is looked whether the executor is closed (Q3): so a Shutdown that comes in between waits, and
// then the task is refused.
//
// Mutant: it is looked first.
func TestChaos_ATaskOfASerialComesWithTheEnd(t *testing.T) {
	e, err := New(WithSlots(1))
	require.NoError(t, err)
	s := NewSerial(e)
	h := stopAt(t, chaos.Q3Accepted, nil)
	refused, down, ran := make(chan error, 1), make(chan error, 1), make(chan struct{})
	go func() { refused <- s.Go(context.Background(), func(context.Context) { close(ran) }) }()
	h.await()
	go func() { down <- e.Shutdown(context.Background()) }()
	require.Eventually(t, func() bool { return e.word.Load()&draining != 0 }, patience, time.Millisecond)
	select {
	case <-down:
		t.Error("Shutdown returns while a task is about to be accepted")
	case <-time.After(20 * time.Millisecond):
	}
	h.release()
	require.ErrorIs(t, testkit.Await(t, "it happens", refused), ErrClosed)
	require.NoError(t, testkit.Await(t, "it happens", down))
	require.False(t, closed(ran))
}

// The first error of a group comes when another task has been accepted, and the group has not heard of that yet. It is dropped at
// once all the same, not when a slot is free.
//
// Mutant: what comes after the others were dropped is left to whoever comes to it.
func TestChaos_ATaskOfAGroupComesWithTheFirstError(t *testing.T) {
	e := endedLater(t, WithSlots(1))
	g := e.NewGroup(context.Background())
	fail, leave := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(leave) })
	started := make(chan struct{})
	g.Go(func(context.Context) error { close(started); <-fail; return errTree })
	testkit.Await(t, "it happens", started)
	ctx := g.Context()
	next := make(chan struct{})
	require.NoError(t, e.Go(context.Background(), func(context.Context) { close(next); <-leave }))
	h := stopAt(t, chaos.P1Published, func() bool { return !onRunner() })
	added := make(chan struct{})
	go func() { defer close(added); g.Go(func(context.Context) error { t.Error("it runs"); return nil }) }()
	h.await()
	close(fail)
	testkit.Await(t, "it happens", ctx.Done())
	testkit.Await(t, "the others have been dropped", next)
	h.release()
	testkit.Await(t, "it happens", added)
	require.EqualValues(t, 1, e.Stats().Canceled)
}

// A task that has no slot drains a Serial up to what it waits for, and blocks. Another one, which has the only slot, waits for what
// comes next: it saw that somebody drains. The entry of the Serial is queued all the time, and nobody is left to take it. Found by
// TestChaos_Programs.
//
// Mutant: the end of a drain tells nobody if the entry is queued.
func TestChaos_ADrainEndsWhileAnotherWaits(t *testing.T) {
	e := endedLater(t, WithSlots(1), WithMaxSpares(1))
	s, bg := NewSerial(e), context.Background()
	var gate, at [3]chan struct{}
	for i := range gate {
		gate[i], at[i] = make(chan struct{}), make(chan struct{})
	}
	var first, second *Future[int]
	ran, ended := make(chan struct{}), make(chan struct{}, 2)
	require.NoError(t, e.Go(bg, func(ctx context.Context) {
		Blocking(ctx, func() { close(at[0]); <-gate[0] })
		_, _ = first.Wait(ctx)
		Blocking(ctx, func() { <-ran })
		ended <- struct{}{}
	}))
	testkit.Await(t, "a task blocks", at[0])
	var holder atomic.Pointer[runner]
	require.NoError(t, e.Go(bg, func(ctx context.Context) {
		holder.Store(currentRunner(ctx))
		close(at[1])
		<-gate[1]
		_, _ = second.Wait(ctx)
		ended <- struct{}{}
	}))
	testkit.Await(t, "another has its slot", at[1])
	var err error
	first, err = SubmitOn(bg, s, func(context.Context) (int, error) { close(at[2]); <-gate[2]; return 1, nil })
	require.NoError(t, err)
	second, err = SubmitOn(bg, s, func(context.Context) (int, error) { close(ran); return 2, nil })
	require.NoError(t, err)
	h := stopAt(t, chaos.W1Waits, func() bool { return currentRunner(bg) == holder.Load() })
	close(gate[0])
	testkit.Eventually(t, "the first one waits", func() bool {
		b := e.orders().(*orderBooks)
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.waits) == 1
	})
	close(gate[1])
	h.await()
	testkit.Await(t, "the first one drains", at[2])
	h.release()
	testkit.Eventually(t, "the other one waits", func() bool {
		return strings.Contains(stackOf(holder.Load().goid.Load()), "[select")
	})
	e.notify() // a submitter has looked in vain for a slot to take
	require.Zero(t, e.word.Load()&lent)
	close(gate[2])
	testkit.Await(t, "both end", ended)
	testkit.Await(t, "both end", ended)
}
