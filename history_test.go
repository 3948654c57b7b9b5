package executor

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/seed-97bda89a/executor/internal/testkit"
	"github.com/stretchr/testify/require"
)

// TestHistories_Record writes what the injector and the deque answered to goroutines that used them at once, to the
// file that EXECUTOR_TEST_HISTORIES names. The module in internal/lincheck runs it, and checks that there is an
// order in which the answers are right. It is a module of its own, so that porcupine is not required of those who
// import this one, and it reads a file, because it can not see the types; so what it checks is the code itself and
// not a copy.
func TestHistories_Record(t *testing.T) {
	name := os.Getenv("EXECUTOR_TEST_HISTORIES")
	if name == "" {
		t.Skip("EXECUTOR_TEST_HISTORIES is not set")
	}
	file, err := os.Create(name)
	require.NoError(t, err)
	defer func() { require.NoError(t, file.Close()) }()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	out := json.NewEncoder(file)
	for range 300 {
		require.NoError(t, out.Encode(dequeHistory(rng)))
		require.NoError(t, out.Encode(injectorHistory(t, rng)))
	}
}

// history is what one structure was asked and answered. Kept in step with internal/lincheck.
type history struct {
	Kind  string     `json:"kind"`
	Limit int        `json:"limit"` // of the injector
	Ops   []answered `json:"ops"`
}

// answered is one call. Call and Return are from one counter, so their order is the order in time.
type answered struct {
	Client int    `json:"client"`
	Call   int64  `json:"call"`
	Return int64  `json:"return"`
	Op     string `json:"op"`
	Arg    int    `json:"arg"`
	Result string `json:"result"`
	IDs    []int  `json:"ids,omitempty"`
}

// recorder collects the calls of several goroutines.
type recorder struct {
	clock   atomic.Int64
	clients [][]answered
	wg      sync.WaitGroup
}

// client runs steps on a goroutine of its own. Each step makes one call.
func (h *recorder) client(rng *rand.Rand, n int, step func(rng *rand.Rand) answered) {
	id := len(h.clients)
	h.clients = append(h.clients, nil)
	own := rand.New(rand.NewPCG(rng.Uint64(), 0))
	h.wg.Add(1)
	go func() {
		defer h.wg.Done()
		var ops []answered
		for range n {
			for range own.IntN(4) {
				runtime.Gosched()
			}
			call := h.clock.Add(1)
			op := step(own)
			op.Client, op.Call, op.Return = id, call, h.clock.Add(1)
			ops = append(ops, op)
		}
		h.clients[id] = ops
	}()
}

func (h *recorder) history(kind string, limit int) history {
	h.wg.Wait()
	all := history{Kind: kind, Limit: limit}
	for _, ops := range h.clients {
		all.Ops = append(all.Ops, ops...)
	}
	return all
}

func one(op string, en entry, ok bool) answered {
	if !ok {
		return answered{Op: op, Result: "empty"}
	}
	return answered{Op: op, Result: "ok", IDs: []int{idOf(en)}}
}

func dequeHistory(rng *rand.Rand) history {
	d := &deque{}
	d.startAt(dequeStarts[rng.IntN(len(dequeStarts))])
	h := &recorder{clients: make([][]answered, 0, 3)}
	next := 0
	h.client(rng, 24, func(rng *rand.Rand) answered {
		switch rng.IntN(8) {
		case 0, 1, 2, 3:
			d.push(entryOf(next))
			next++
			return answered{Op: "push", Arg: next - 1, Result: "ok"}
		case 4, 5:
			en, ok := d.pop()
			return one("pop", en, ok)
		case 6:
			en, ok := d.popHead()
			return one("popHead", en, ok)
		}
		most := 1 + rng.IntN(4)
		at, n := d.claimNewest(most)
		op := answered{Op: "claimNewest", Arg: most, Result: "ok"}
		for i := range n {
			op.IDs = append(op.IDs, idOf(d.clear(at+i)))
		}
		return op
	})
	for range 2 {
		h.client(rng, 8, func(*rand.Rand) answered {
			for {
				en, ok, more := d.take()
				if ok || !more {
					return one("take", en, ok)
				}
			}
		})
	}
	return h.history("deque", 0)
}

func injectorHistory(t *testing.T, rng *rand.Rand) history {
	limit := 1 + rng.IntN(3)
	e, free := busy(t, WithQueueLimit(limit))
	h := &recorder{clients: make([][]answered, 0, 5)}
	var ids atomic.Int64
	put := func(rng *rand.Rand) answered {
		id := int(ids.Add(1))
		op := answered{Op: "put", Arg: id}
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rng.IntN(200))*time.Microsecond)
		defer cancel()
		err := e.submit(nil, ctx, entryOf(id), rng.IntN(2) == 0)
		switch {
		case err == nil:
			op.Result = "ok"
		case errors.Is(err, ErrQueueFull):
			op.Result = "full"
		case errors.Is(err, ErrClosed):
			op.Result = "closed"
		default:
			op.Result = "canceled"
		}
		return op
	}
	take := func(*rand.Rand) answered {
		en, ok, _ := e.inject.take(&deque{}, 1, 1)
		if ok {
			e.outside.canceled.Add(1) // or the executor would wait for it
		}
		return one("take", en, ok)
	}
	for range 2 {
		h.client(rng, 7, put)
		h.client(rng, 7, take)
	}
	h.client(rng, 1, func(rng *rand.Rand) answered {
		for range rng.IntN(200) {
			runtime.Gosched()
		}
		e.closeInjector(false)
		return answered{Op: "close", Result: "ok"}
	})
	all := h.history("injector", limit)
	for take(nil).Result == "ok" {
	}
	free()
	require.NoError(t, e.Close())
	return all
}

// A point has what happened in its second; more than 10 minutes are not kept, in 64 KB.
//
// Mutants: counters are of the executor's whole life; the ring grows; the newest point comes first.
func TestHistory_HasTheLastTenMinutes(t *testing.T) {
	t.Parallel()
	e, err := New(WithSlots(2), WithHistory())
	require.NoError(t, err)
	defer func() { require.NoError(t, e.Close()) }()
	h := e.history
	h.mu.Lock()
	h.timer.Stop() // the test makes the points; a first one may be there
	h.mu.Unlock()

	release := make(chan struct{})
	started := make(chan struct{})
	require.NoError(t, e.Go(WithTaskName(context.Background(), "history"), func(context.Context) { close(started); <-release }))
	<-started
	for range 5 {
		f, err := Submit(context.Background(), e, func(context.Context) (int, error) { return 0, nil })
		require.NoError(t, err)
		_, err = f.Wait(context.Background())
		require.NoError(t, err)
	}
	testkit.Eventually(t, "the runner of the last one parks", func() bool { return e.Stats().Idle == 1 })
	now := time.Now()
	h.add(e, now)
	close(release)
	require.NoError(t, e.Quiesce(context.Background()))
	h.add(e, now.Add(time.Second))
	all := e.History()
	busy, quiet := all[len(all)-2], all[len(all)-1]
	require.True(t, now.Equal(busy.Time))
	if len(all) == 2 { // otherwise the timer's point has some of the tasks
		require.EqualValues(t, 6, busy.Submitted)
		require.EqualValues(t, 5, busy.Completed)
	}
	require.Equal(t, 2, busy.Slots)
	require.Equal(t, 1, busy.Running)
	require.Contains(t, []string{"history", otherTasks}, busy.Task)
	require.Equal(t, 1, busy.Holds)
	require.Zero(t, quiet.Submitted)
	require.EqualValues(t, 1, quiet.Completed)
	require.Zero(t, quiet.Holds)

	for i := range 2 * historySeconds {
		h.add(e, now.Add(time.Duration(i+2)*time.Second))
	}
	all = e.History()
	require.Len(t, all, historySeconds)
	require.True(t, now.Add((2*historySeconds+1)*time.Second).Equal(all[historySeconds-1].Time))
	require.LessOrEqual(t, len(h.ring)*int(unsafe.Sizeof(moment{})), 64<<10)
}

// Mutants: the option is not asked; the timer goes on after the end; a bubble's timer hides a deadlock.
func TestHistory_OnlyIfAskedFor(t *testing.T) {
	e, err := New(WithSlots(1))
	require.NoError(t, err)
	require.Nil(t, e.History())
	require.NoError(t, e.Close())
	require.Nil(t, (*Executor)(nil).History())
	synctest.Test(t, func(t *testing.T) {
		e, err := New(WithSlots(1), WithHistory())
		require.NoError(t, err)
		time.Sleep(time.Minute)
		require.Nil(t, e.History())
		require.NoError(t, e.Close())
	})
	e, err = New(WithSlots(1), WithHistory())
	require.NoError(t, err)
	require.NoError(t, e.Close())
	closed := time.Now()
	require.Eventually(t, func() bool {
		all := e.History()
		return len(all) > 0 && all[len(all)-1].Time.After(closed)
	}, 30*time.Second, 5*time.Millisecond, "the last point")
	e.history.mu.Lock()
	defer e.history.mu.Unlock()
	require.False(t, e.history.timer.Stop())
}

// Mutants: tasks are noted though nobody watches; the submitter's slot is the task's own; a failed task is OK.
func TestMeasured_SaysWhoSubmittedAndWhoRan(t *testing.T) {
	t.Parallel()
	e, err := New(WithSlots(2), WithHistogramSampling(1))
	require.NoError(t, err)
	defer func() { require.NoError(t, e.Close()) }()
	family := func() {
		f, err := Submit(WithTaskName(context.Background(), "parent"), e, func(ctx context.Context) (int, error) {
			child, err := Submit(WithTaskName(ctx, "child"), e, func(context.Context) (int, error) { return 0, context.Canceled })
			require.NoError(t, err)
			<-child.Done() // the other slot runs it
			return 0, nil
		})
		require.NoError(t, err)
		_, err = f.Wait(context.Background())
		require.NoError(t, err)
		require.NoError(t, e.Quiesce(context.Background()))
	}
	family()
	require.Empty(t, e.Measured(time.Time{}))
	stop := e.Watch()
	begin := time.Now()
	family()
	all := e.Measured(begin)
	require.Len(t, all, 2)
	child, parent := all[0], all[1]
	require.Equal(t, "child", child.Task)
	require.Equal(t, "parent", parent.Task)
	require.Equal(t, -1, parent.From)
	require.Equal(t, parent.Slot, child.From)
	require.NotEqual(t, parent.Slot, child.Slot)
	require.True(t, parent.OK)
	require.False(t, child.OK)
	require.False(t, child.Submitted.Before(parent.Started))
	require.False(t, child.Started.Before(child.Submitted))
	require.False(t, parent.Ended.Before(child.Ended))
	require.Empty(t, e.Measured(time.Now()))
	for range 2 * maxTaskSpans {
		require.NoError(t, e.Go(context.Background(), func(context.Context) {}))
	}
	require.NoError(t, e.Quiesce(context.Background()))
	require.LessOrEqual(t, len(e.Measured(begin)), maxTaskSpans)
	stop()
	require.Empty(t, e.Measured(begin))
}
