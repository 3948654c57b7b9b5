package suite

import (
	"context"
	"sync"

	"github.com/seed-97bda89a/executor"

	"github.com/seed-97bda89a/executor/benchmarks/internal/contend"
	"github.com/seed-97bda89a/executor/benchmarks/internal/meter"
)

// perKey is what one would write by hand: a channel and a goroutine for each key.
const perKey = "goroutine-per-key"

// orderedKeys is how many keys the rows about order have.
const orderedKeys = 1000

// ordered runs empty tasks of many keys, those of a key one at a time and in order.
func ordered() Row {
	return Row{
		Group: "Ordered", Scenario: "keys=1000", Title: "empty tasks of 1,000 keys, in order for each key", Op: "task",
		Size: 500_000, QuickSize: 100_000,
		Entries: []Entry{
			{Name: contend.Executor, Run: func(m *meter.Meter) error {
				e, err := executor.New(executor.WithSlots(m.Slots))
				if err != nil {
					return err
				}
				defer func() { _ = e.Close() }()
				k := executor.NewKeyed[int](e)
				m.Start()
				defer m.Stop()
				for i := range m.N {
					if err := k.Go(context.Background(), i*7919%orderedKeys, contend.Empty.Ctx); err != nil {
						return err
					}
				}
				return e.Quiesce(context.Background())
			}},
			{Name: perKey, Run: func(m *meter.Meter) error {
				keys, wait := openKeys()
				m.Start()
				defer m.Stop()
				for i := range m.N {
					keys[i*7919%orderedKeys] <- contend.Empty.Plain
				}
				wait()
				return nil
			}},
		},
		Goals: []Goal{atMostTimes(0.7, perKey), noAllocs()},
		Note:  "`executor` is a `Keyed`. By hand it is a map from key to a channel of 16 places, and a goroutine that ranges over it; they are there beforehand.",
	}
}

// openKeys starts a goroutine with a channel for each key. The returned function ends them.
func openKeys() (map[int]chan func(), func()) {
	keys := make(map[int]chan func(), orderedKeys)
	var wg sync.WaitGroup
	for key := range orderedKeys {
		ch := make(chan func(), 16)
		keys[key] = ch
		wg.Go(func() {
			for task := range ch {
				task()
			}
		})
	}
	return keys, func() {
		for _, ch := range keys {
			close(ch)
		}
		wg.Wait()
	}
}

// orderedMemory measures what a key costs that has one task to run, and what is left of it afterwards.
func orderedMemory() Row {
	byHand := func(m *meter.Meter, task func(gate chan struct{}) func()) error {
		return memoryOf(m, orderedKeys, func() (func(), error) {
			keys, end := openKeys()
			gate := make(chan struct{})
			for _, ch := range keys {
				ch <- task(gate)
			}
			return func() { close(gate); end() }, nil
		})
	}
	return Row{
		Group: "Memory", Scenario: "keys=1000", Title: "memory of a key with one task that waits, of 1,000", Op: "key",
		Unit: heldUnit, Size: orderedKeys, QuickSize: orderedKeys, Whole: true, QuickRounds: 2,
		Entries: []Entry{
			{Name: contend.Executor, Run: func(m *meter.Meter) error {
				return memoryOf(m, orderedKeys, func() (func(), error) {
					p, err := contend.OpenExecutor(executor.WithSlots(m.Slots), executor.WithStallDetection(false))
					if err != nil {
						return nil, err
					}
					k := executor.NewKeyed[int](p.E)
					release, err := holdQueued(p, m.Slots, 0)
					for key := range orderedKeys {
						if err == nil {
							err = k.Go(context.Background(), key, contend.Empty.Ctx)
						}
					}
					return release, err
				})
			}},
			{Name: perKey, Run: func(m *meter.Meter) error {
				return byHand(m, func(gate chan struct{}) func() { return func() { <-gate } })
			}},
		},
		Goals: []Goal{atMostTimes(0.05, perKey)},
		Note: "The pool's own memory and that of the `Keyed` are included. " +
			"A key without tasks costs nothing in a `Keyed`, and the same as before by hand.",
	}
}
