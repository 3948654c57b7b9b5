package kernel

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor/internal/cgotest"
	"github.com/stretchr/testify/require"
)

func TestStateOf_ReadsBehindTheName(t *testing.T) {
	for text, want := range map[string]byte{
		"4711 (main) R 1 2 3":      'R',
		"4711 (a) R (b)) S 1 2 3":  'S',
		"4711 ()) D 1":             'D',
		"4711 (main)":              0,
		"":                         0,
		"4711 (no end of the name": 0,
	} {
		require.Equal(t, want, stateOf([]byte(text)), text)
	}
}

// until looks until ok likes a result.
func until(t *testing.T, what string, c *Counter, enough int, ok func(Count) bool) {
	t.Helper()
	var got Count
	for start := time.Now(); time.Since(start) < 30*time.Second; {
		if got = c.Look(enough, time.Millisecond); ok(got) {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("%s: %+v", what, got)
}

// Mutants: the reader counts itself; sleeping threads count; a look that is not over says how many there are.
func TestCounter_TellsThreadsThatRunFromThoseThatWait(t *testing.T) {
	if cgotest.Missing != "" {
		t.Skip(cgotest.Missing)
	}
	var c Counter
	until(t, "nothing runs", &c, 1, func(n Count) bool { return n.Known && n.Running == 0 })
	cgotest.Shut()
	var wg sync.WaitGroup
	var held atomic.Int32
	for range 200 { // in C, and asleep
		wg.Go(func() { held.Add(1); cgotest.Hold() })
	}
	for held.Load() < 200 {
		time.Sleep(time.Millisecond)
	}
	until(t, "200 threads wait", &c, 1, func(n Count) bool { return n.Known && n.Running == 0 })
	var stop atomic.Bool
	for range 3 { // in C, and busy
		wg.Go(func() {
			for !stop.Load() {
				cgotest.Burn(20 * time.Millisecond)
			}
		})
	}
	until(t, "three of them run", &c, 100, func(n Count) bool { return n.Known && n.Running == 3 })
	until(t, "two are enough", &c, 2, func(n Count) bool { return n.Known && n.Running == 2 })
	var partial Counter
	until(t, "a look takes several calls", &partial, 100, func(n Count) bool {
		require.False(t, n.Known && n.Partial)
		return n.Partial
	})
	stop.Store(true)
	cgotest.Open()
	wg.Wait()
}

func TestAllowed_IsNoMoreThanThereAre(t *testing.T) {
	require.Positive(t, Allowed())
	require.LessOrEqual(t, Allowed(), max(runtime.NumCPU(), Allowed()))
}
