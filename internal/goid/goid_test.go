package goid

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestID_IsTheGoroutines(t *testing.T) {
	Learn()
	for _, trusted := range []bool{fast.ok, false} {
		before := fast.ok
		fast.ok = trusted
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
		fast.ok = before
	}
}
