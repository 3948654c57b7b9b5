package executor

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// FuzzDeque runs operations on a deque and on a slice. The first four bytes are the index that it starts at;
// of the others, each pair is an operation.
func FuzzDeque(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 1, 255, 3, 0, 4, 0, 5, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < 4 {
			return
		}
		d := &deque{}
		d.startAt(uint32(data[0])<<24 | uint32(data[1])<<16 | uint32(data[2])<<8 | uint32(data[3]))
		m := &dequeTwin{t: t, d: d}
		for data = data[4:]; len(data) >= 2; data = data[2:] {
			m.op(data[0], data[1])
		}
		m.drain()
	})
}

// FuzzTree runs programs that the fuzzer makes up.
func FuzzTree(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, byte(stepSubmitWait), 0, byte(stepFork), 0, byte(stepYield), 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 400 {
			return
		}
		before := runtime.NumGoroutine()
		for _, complaint := range runTree(data) {
			t.Error(complaint)
		}
		for start := time.Now(); runtime.NumGoroutine() > before; time.Sleep(10 * time.Microsecond) {
			if time.Since(start) > patience {
				t.Fatalf("%d goroutines are left of %d\n%s", runtime.NumGoroutine(), before, allStacks())
			}
		}
	})
}

func allStacks() string {
	buf := make([]byte, 4<<20)
	return string(buf[:runtime.Stack(buf, true)])
}

// runTree runs a program and returns what was wrong. A program that does not end is fatal: nothing can be cleaned
// up then, and the stacks are what one wants to see.
func runTree(data []byte) []string {
	x := newTree(data)
	conf := x.conf
	watchdog := time.AfterFunc(patience, func() {
		panic(fmt.Sprintf("a program hangs: %#v\nconfiguration %+v, word %#x, %+v\n%s\n%s", data, conf, x.e.word.Load(), x.e.Stats(),
			describe(x.program, "  "), allStacks()))
	})
	defer watchdog.Stop()
	e, err := New(append(conf.options(), WithName("tree"), WithSlots(conf.slots), WithMaxSpares(conf.spares), WithQueueLimit(conf.limit),
		WithStallDetection(conf.stalls), WithPanicHandler(func(context.Context, *PanicError) { x.handled.Add(1) }))...)
	if err != nil {
		return []string{err.Error()}
	}
	if x.on(e); conf.overflow {
		NearOverflow(e)
	}
	for range conf.drivers {
		x.outside.Go(func() {
			x.run(context.Background(), &fate{}, outsider, x.program)
		})
	}
	x.end()
	return x.verdict()
}

// describe prints a program.
func describe(program []command, indent string) string {
	var b strings.Builder
	for _, s := range program {
		fmt.Fprintf(&b, "%s%v %d\n%s", indent, s.kind, s.arg, describe(s.body, indent+"  "))
	}
	return b.String()
}

var stepNames = [steps]string{"return", "Go", "TryGo", "Submit", "Submit and Wait", "Fork", "Fork and Join", "Fork, no Join", "Fork, Join elsewhere",
	"Group", "Group.Go", "ForEach", "For", "Blocking", "OnThread", "Bulkhead", "Yield", "Checkpoint", "pause", "panic", "Goexit", "cancel", "Resize",
	"leak", "misuse", "Stats", "Do", "Serial", "Keyed", "timer", "Do of another executor"}

func (k stepKind) String() string { return stepNames[k] }

// end ends the executor as the configuration says.
func (x *tree) end() {
	e := x.e
	background := context.Background()
	switch x.conf.end {
	case endAtRest:
		for came := -1; came != x.outside.wait(); { // goroutines start tasks, and tasks goroutines
			came = x.outside.wait()
			x.check(e.Quiesce(background) == nil, "Quiesce")
		}
		if err := settled(e, patience/3); err != nil {
			x.check(false, "at rest: %v", err)
		}
		x.check(e.Shutdown(background) == nil, "Shutdown")
	case endShutdown:
		pause(2)
		x.check(e.Shutdown(background) == nil, "Shutdown")
	case endClose:
		pause(2)
		x.check(e.Close() == nil, "Close")
	case endExpired:
		ctx, cancel := context.WithTimeout(background, 50*time.Microsecond)
		err := e.Shutdown(ctx)
		cancel()
		x.check(err == nil || errors.Is(err, context.DeadlineExceeded), "Shutdown: %v", err)
	}
	x.outside.wait()
	if err := settled(e, patience/3); err != nil {
		x.check(false, "after the end: %v", err)
	}
}

// endOther ends the other executor, which has nothing to do any more.
func (x *tree) endOther() {
	other := x.pool.Load()
	if other == nil {
		return
	}
	if err := settled(other, patience/3); err != nil {
		x.check(false, "the other executor: %v", err)
	}
	x.check(other.Close() == nil, "Close of the other executor")
}

// verdict compares how the tasks ended with how they may, and with what the executor counted.
func (x *tree) verdict() []string {
	var returned, abnormal, handled int64
	closed := x.conf.end == endClose || x.conf.end == endExpired
	x.endOther()
	for _, f := range x.fates {
		started, good, panicked, goexited := f.started.Load(), f.returned.Load(), f.panicked.Load(), f.goexited.Load()
		x.check(started <= 1, "%s %d was started %d times", f.kind, f.id, started)
		x.check(started == good+panicked+goexited, "%s %d was started %d times, and ended %d times", f.kind, f.id, started, good+panicked+goexited)
		x.check(f.accepted.Load() || started == 0, "%s %d was refused, and ran", f.kind, f.id)
		x.check(started == 1 || !f.accepted.Load() || !f.mustRun() || closed && f.kind != "fork", "%s %d was never started", f.kind, f.id)
		x.check(panicked == 0 || uses(x.program, stepPanic) || uses(x.program, stepGoexit), "%s %d panicked of its own", f.kind, f.id)
		x.check(goexited == 0 || uses(x.program, stepGoexit), "%s %d ended by Goexit of its own", f.kind, f.id)
		x.checkFuture(f, closed)
		if f.counted {
			returned += int64(good)
			abnormal += int64(panicked + goexited)
		}
		if f.kind == "bare" || f.kind == "timer" {
			handled += int64(panicked)
		}
	}
	if x.shared {
		return x.wrong
	}
	x.check(x.handled.Load() == handled, "the handler saw %d panics of %d", x.handled.Load(), handled)
	if s := x.e.Stats(); uses(x.program, stepFor) || uses(x.program, stepTimer) { // which have tasks of their own
		x.check(int64(s.Completed) >= returned && int64(s.Panicked) >= abnormal, "%d tasks returned, %d did not: %+v", returned, abnormal, s)
	} else {
		x.check(int64(s.Completed) == returned && int64(s.Panicked) == abnormal, "%d tasks returned, %d did not: %+v", returned, abnormal, s)
	}
	return x.wrong
}

// checkFuture compares a future's result with its task's end.
func (x *tree) checkFuture(f *fate, closed bool) {
	if f.future == nil {
		return
	}
	v, err := f.future.Wait(context.Background())
	var p *PanicError
	switch {
	case f.started.Load() == 0:
		canceled := f.mayCancel.Load() && errors.Is(err, context.Canceled) || closed && errors.Is(err, ErrClosed)
		x.check(canceled, "future %d was not started, and has the error %v", f.id, err)
	case f.returned.Load() == 1:
		x.check(v == f.id && err == f.err, "future %d is %d, %v", f.id, v, err)
	case errors.As(err, &p):
		x.checkPanic(f, p)
	default:
		x.check(errors.Is(err, ErrGoexit) && f.goexited.Load() == 1, "future %d has the error %v", f.id, err)
	}
}

// dequeTwin runs operations on a deque and on a slice, which must agree.
type dequeTwin struct {
	t       testing.TB
	d       *deque
	want    []int
	next    int
	claimed []int // by a thief that was stopped between claim and release: its entry, and what left behind it
	index   uint32
}

func (m *dequeTwin) check() {
	require.Equal(m.t, len(m.want), m.d.len())
	room, known := dequeCap-len(m.want)-len(m.claimed), m.d.room()
	require.LessOrEqual(m.t, known, room)
	require.Equal(m.t, room > 0, known > 0, "room may be told too low, never as none")
}

func (m *dequeTwin) push(n int) {
	for ; n > 0 && m.d.room() > 0; n-- {
		m.d.push(entryOf(m.next))
		m.want = append(m.want, m.next)
		m.next++
	}
}

// batch pushes several at once.
func (m *dequeTwin) batch(n int) {
	n = min(n, m.d.room())
	for i := n - 1; i >= 0; i-- {
		m.d.set(uint32(i), entryOf(m.next+i))
	}
	m.d.advance(uint32(n))
	for range n {
		m.want = append(m.want, m.next)
		m.next++
	}
}

func (m *dequeTwin) pop() {
	en, ok := m.d.pop()
	require.Equal(m.t, len(m.want) > 0, ok)
	if ok {
		last := len(m.want) - 1
		require.Equal(m.t, m.want[last], idOf(en))
		if last == 0 {
			m.headMoved()
		}
		m.want = m.want[:last]
	}
}

func (m *dequeTwin) popHead() {
	en, ok := m.d.popHead()
	require.Equal(m.t, len(m.want) > 0, ok)
	if ok {
		require.Equal(m.t, m.want[0], idOf(en))
		m.headMoved()
		m.want = m.want[1:]
	}
}

// headMoved remembers that the place of the oldest entry stays taken while a thief is stopped before it.
func (m *dequeTwin) headMoved() {
	if len(m.claimed) > 0 {
		m.claimed = append(m.claimed, m.want[0])
	}
}

func (m *dequeTwin) take() {
	en, ok, more := takeAlone(m.d)
	require.Equal(m.t, len(m.want) > 0 && len(m.claimed) == 0, ok)
	require.Equal(m.t, len(m.want) > 0 && len(m.claimed) > 0, more)
	if ok {
		require.Equal(m.t, m.want[0], idOf(en))
		m.want = m.want[1:]
	}
}

func (m *dequeTwin) claimNewest(most int) {
	at, n := m.d.claimNewest(most)
	require.EqualValues(m.t, max(0, min(most, len(m.want)-1)), n)
	for i := range n {
		require.Equal(m.t, m.want[len(m.want)-int(n-i)], idOf(m.d.clear(at+i)))
	}
	m.want = m.want[:len(m.want)-int(n)]
}

// claim is the first half of take, and release the second.
func (m *dequeTwin) claim() {
	if len(m.want) == 0 || len(m.claimed) > 0 {
		return
	}
	h := m.d.head.Load()
	steal, real := unpackHead(h)
	require.Equal(m.t, steal, real)
	require.True(m.t, m.d.head.CompareAndSwap(h, packHead(steal, real+1)))
	m.index, m.claimed, m.want = real, []int{m.want[0]}, m.want[1:]
}

func (m *dequeTwin) release() {
	if len(m.claimed) == 0 {
		return
	}
	require.Equal(m.t, m.claimed[0], idOf(m.d.clear(m.index)))
	_, real := unpackHead(m.d.head.Load())
	m.d.head.Store(packHead(real, real))
	m.claimed = nil
}

func (m *dequeTwin) drain() {
	m.release()
	for len(m.want) > 0 {
		m.pop()
	}
	m.check()
	requireClean(m.t, m.d)
}

// op runs the operation that two bytes choose.
func (m *dequeTwin) op(code, arg byte) {
	switch code % 9 {
	case 0:
		m.push(1)
	case 1:
		m.push(int(arg) + 1)
	case 2:
		m.batch(int(arg))
	case 3:
		m.pop()
	case 4:
		m.popHead()
	case 5:
		m.take()
	case 6:
		m.claimNewest(int(arg))
	case 7:
		m.claim()
	case 8:
		m.release()
	}
	m.check()
}

func TestDeque_AgreesWithASlice(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	forEachStart(t, func(t *testing.T, d *deque) {
		m := &dequeTwin{t: t, d: d}
		for range 5000 {
			m.op(byte(rng.Uint32()), byte(rng.Uint32()))
		}
		m.drain()
	})
}
