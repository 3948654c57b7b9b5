package executor

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/types"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// What goes wrong around an executor: too many of them, clocks that jump. faults_child_test.go and
// faults_linux_test.go have what needs a process of its own.

// 100,000 executors, a hundred at a time, all with the same name. Mutants: Close forgets to give the name back,
// or leaves its metrics registered.
func TestFaults_ManyExecutorsLeaveNothing(t *testing.T) {
	round := func(n int) {
		var makers sync.WaitGroup
		for range 4 {
			makers.Go(func() {
				var live []*Executor
				for i := range n / 4 {
					opts := []Option{WithName("one of many"), WithSlots(1 + i%3)}
					if i%100 == 0 {
						opts = opts[:1] // follows the CPU quota
					}
					e, err := New(opts...)
					if err != nil {
						t.Error(err)
						return
					}
					if i%10 == 0 {
						_ = e.Go(context.Background(), func(context.Context) {})
					}
					live = append(live, e)
					if len(live) == 25 || i == n/4-1 {
						for _, e := range live {
							if err := e.Close(); err != nil {
								t.Error(err)
							}
						}
						live = live[:0]
					}
				}
			})
		}
		makers.Wait()
	}
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	named := func() (n int) {
		names.mu.Lock()
		defer names.mu.Unlock()
		return len(names.taken)
	}
	taken := named()
	round(1000) // whatever grows once, has grown now
	require.Equal(t, taken, named(), "names of executors that ended")
	goroutines, before := runtime.NumGoroutine(), heap()
	round(many(100_000))
	require.Equal(t, taken, named(), "names of executors that ended")
	start := time.Now()
	for runtime.NumGoroutine() > goroutines || heap() > before+1<<20 {
		require.Less(t, time.Since(start), patience, "%d goroutines, were %d; heap %d, was %d", runtime.NumGoroutine(), goroutines, heap(), before)
		time.Sleep(10 * time.Millisecond)
	}
}

// The clock on the wall may be set at any moment. Times that package time compares or subtracts have a monotonic
// reading besides, unless somebody asks for the hour: so nobody may, but to print it.
func TestFaults_NothingLooksAtTheClockOnTheWall(t *testing.T) {
	monotonic := []string{"Sub", "After", "Before", "Add", "IsZero", "Compare"}
	printing := []string{"debug_page.go"}
	pkg, err := build.ImportDir(".", 0)
	require.NoError(t, err)
	x := newExports(t, pkg.Imports...)
	var files []*ast.File
	for _, name := range pkg.GoFiles {
		if strings.HasPrefix(name, "chaos_on") {
			continue
		}
		file, err := parser.ParseFile(x.fset, name, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		files = append(files, file)
	}
	info := &types.Info{Uses: make(map[*ast.Ident]types.Object)}
	config := types.Config{Importer: x.importer}
	_, err = config.Check("executor", x.fset, files, info)
	require.NoError(t, err)
	seen := 0
	for id, of := range info.Uses {
		fn, ok := of.(*types.Func)
		if !ok || fn.Pkg() == nil || fn.Pkg().Path() != "time" {
			continue
		}
		at := x.fset.Position(id.Pos())
		recv := fn.Signature().Recv()
		switch {
		case recv != nil && types.TypeString(recv.Type(), nil) == "time.Time":
			seen++
			if !slices.Contains(monotonic, fn.Name()) && !slices.Contains(printing, filepath.Base(at.Filename)) {
				t.Errorf("%s: time.Time.%s drops or does not use the monotonic reading", at, fn.Name())
			}
		case recv == nil && slices.Contains([]string{"Date", "Unix", "UnixMilli", "UnixMicro", "Parse", "ParseInLocation"}, fn.Name()):
			t.Errorf("%s: time.%s has no monotonic reading", at, fn.Name())
		}
	}
	require.Greater(t, seen, 5, "the search itself")
}

// A year passes between two looks: as when the machine sleeps and its clock goes on. Whatever was due is done once,
// and then all is as before.
func TestFaults_LongJumpsOfTheClock(t *testing.T) {
	const year = 365 * 24 * time.Hour
	synctest.Test(t, func(t *testing.T) {
		var reports atomic.Int64
		e, err := New(WithSlots(2), WithMaxSpares(6), WithKeepAlive(time.Second), WithOnStall(func(s StallInfo) {
			reports.Add(1)
			for _, age := range s.Ages {
				if age < 0 || s.QueueAge < 0 {
					t.Errorf("an age below zero: %+v", s)
				}
			}
		}))
		require.NoError(t, err)
		var ran atomic.Int64
		for jump := range 20 {
			var tasks sync.WaitGroup
			for i := range 12 {
				tasks.Add(1)
				require.NoError(t, e.Go(context.Background(), func(ctx context.Context) {
					defer tasks.Done()
					defer ran.Add(1)
					switch sleep := func() { time.Sleep(year + time.Duration(jump)*time.Hour) }; i % 4 {
					case 0:
						sleep() // unmarked
					case 1:
						Blocking(ctx, sleep)
					case 2:
						Checkpoint(ctx)
					}
				}))
			}
			ctx, cancel := context.WithTimeout(context.Background(), year/2)
			require.ErrorIs(t, e.Quiesce(ctx), context.DeadlineExceeded)
			cancel()
			tasks.Wait()
			require.NoError(t, e.Quiesce(context.Background()))
			time.Sleep(year) // with nothing to do
			synctest.Wait()
			require.Zero(t, e.Stats().Spares, "the keep-alive of a second is long over")
			require.NoError(t, settled(e, patience))
		}
		require.EqualValues(t, 20*12, ran.Load())
		require.Positive(t, reports.Load())
		require.NoError(t, e.Close())
	})
}

// Programs of tasks end at any moment: Close comes after a random number of steps, many times over.
func TestFaults_CloseAtAnyMoment(t *testing.T) {
	for round := range many(2000) {
		e, err := New(WithSlots(2), WithMaxSpares(3), WithQueueLimit(4))
		require.NoError(t, err)
		var started, refused atomic.Int64
		var drivers sync.WaitGroup
		for range 2 {
			drivers.Go(func() {
				for {
					err := e.Go(context.Background(), func(ctx context.Context) {
						started.Add(1)
						Blocking(ctx, runtime.Gosched)
						_, _ = Map(ctx, e, []int{1, 2, 3}, func(_ context.Context, i int) (string, error) { return fmt.Sprint(i), nil })
					})
					if err != nil {
						if !errors.Is(err, ErrClosed) {
							t.Error(err)
						}
						refused.Add(1)
						return
					}
				}
			})
		}
		for range round % 100 {
			runtime.Gosched()
		}
		require.NoError(t, e.Close())
		drivers.Wait()
		require.EqualValues(t, 2, refused.Load())
		require.NoError(t, settled(e, patience))
	}
}
