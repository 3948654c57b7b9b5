package executor

import (
	"context"
	"go/ast"
	"go/build"
	"go/parser"
	"go/types"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// What goes wrong around an executor: clocks that jump. Others are in stresstest.

// Mutant: Close forgets to give the name back.
func TestFaults_ExecutorsGiveTheirNamesBack(t *testing.T) {
	named := func() int {
		names.mu.Lock()
		defer names.mu.Unlock()
		return len(names.taken)
	}
	before := named()
	for range 100 {
		e, err := New(WithName("one of many"), WithSlots(1))
		require.NoError(t, err)
		require.NoError(t, e.Close())
	}
	require.Equal(t, before, named())
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
