package stresstest

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/internal/testkit"
	"github.com/stretchr/testify/require"
)

// A million keys with tasks at once, a hundred of them hot: the order is exact for each, and when they are done nothing of them is
// left but what a Keyed without keys has. Fails if a key is not forgotten, if the table of a shard that was large is kept, if a strand
// keeps its tasks, or if the strands of keys that are gone are all kept for new ones.
func TestKeyed_AMillionKeys(t *testing.T) {
	const keys, hot, slots = 1_000_000, 100, 4
	bg := context.Background()
	e := newExecutor(t, executor.WithSlots(slots), executor.WithStallDetection(false))
	k := executor.NewKeyed[int](e)
	k.SetLimit(2 * keys)
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	var cold atomic.Int64
	count := func(context.Context) { cold.Add(1) }
	next := make([]int, hot) // of each hot key: only its tasks touch it
	base := heap()
	for round := range 2 {
		cold.Store(0)
		clear(next)
		gate, held := make(chan struct{}), make(chan struct{}, slots)
		for range slots {
			require.NoError(t, e.Go(bg, func(context.Context) { held <- struct{}{}; <-gate }))
		}
		for range slots {
			<-held
		}
		sent := make([]int, hot)
		for i := range keys {
			key := i % hot
			if i < keys-hot {
				require.NoError(t, k.Go(bg, hot+i, count))
			}
			if i%10 == 0 {
				key = i / 10 % hot
				seq := sent[key]
				sent[key]++
				require.NoError(t, k.Go(bg, key, func(context.Context) {
					if next[key] != seq {
						t.Errorf("key %d: %d after %d", key, seq, next[key])
					}
					next[key] = seq + 1
				}))
			}
		}
		require.Equal(t, keys, k.Len())
		each := (heap() - base) / keys
		t.Logf("round %d: %d B a key with a task", round, each)
		require.Less(t, each, int64(400), "of which a tenth has a second task, with a closure")
		close(gate)
		require.NoError(t, e.Quiesce(bg))
		testkit.Eventually(t, "no key is left", func() bool { return k.Len() == 0 })
		require.EqualValues(t, keys-hot, cold.Load())
		require.Equal(t, sent, next)
		testkit.Eventually(t, "the memory is free again", func() bool { return heap()-base < 2<<20 })
	}
	runtime.KeepAlive(k)
}
