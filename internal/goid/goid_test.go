package goid

import (
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

func TestID_IsTheGoroutines(t *testing.T) {
	Learn()
	for _, trusted := range []bool{fast.ok.Load(), false} {
		before := fast.ok.Load()
		fast.ok.Store(trusted)
		mine, mu := ID(), sync.Mutex{}
		require.Equal(t, slow(), mine)
		require.Equal(t, trusted, Is(mine))
		seen := map[int64]bool{mine: true}
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				id := ID()
				if id != ID() || Is(mine) || Is(id) != trusted {
					t.Errorf("goroutine %d is not told from %d", id, mine)
				}
				mu.Lock()
				defer mu.Unlock()
				if seen[id] {
					t.Errorf("%d is the number of two goroutines", id)
				}
				seen[id] = true
			})
		}
		wg.Wait()
		fast.ok.Store(before)
	}
}

// Which processors have fast numbers is not ours to decide, so the list is compared with what is built for each.
// Mutant: the list is not looked at: elsewhere a slow number agrees with itself and is trusted.
func TestLearn_KnowsWhereThereIsAFastNumber(t *testing.T) {
	for _, arch := range []string{"386", "amd64", "arm", "arm64", "loong64", "ppc64le", "riscv64", "s390x", "wasm"} {
		cmd := exec.Command("go", "list", "-f", "{{.GoFiles}}", "github.com/petermattis/goid")
		system := "linux"
		if arch == "wasm" {
			system = "js"
		}
		cmd.Env = append(os.Environ(), "GOOS="+system, "GOARCH="+arch, "CGO_ENABLED=0")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		require.Equal(t, !strings.Contains(string(out), "goid_slow.go"), slices.Contains(fastOn, arch), "%s: %s", arch, out)
	}
	Learn()
	require.Equal(t, slices.Contains(fastOn, runtime.GOARCH), fast.ok.Load())
}

// Mutants: a goroutine outside counts as bubbled; the number is that of another bubble, or of the goroutine.
func TestBubble_IsTheGoroutines(t *testing.T) {
	require.False(t, Bubbled())
	require.Zero(t, Bubble())
	var last uint64
	for range 3 {
		synctest.Test(t, func(t *testing.T) {
			require.True(t, Bubbled())
			mine := Bubble()
			require.Greater(t, mine, last)
			last = mine
			runtime.LockOSThread() // which the header tells too
			require.Equal(t, mine, Bubble())
			runtime.UnlockOSThread()
			var wg sync.WaitGroup
			wg.Go(func() {
				if Bubble() != mine {
					t.Error("a goroutine of the bubble is not in it")
				}
			})
			wg.Wait()
		})
	}
	require.Zero(t, Bubble())
}
