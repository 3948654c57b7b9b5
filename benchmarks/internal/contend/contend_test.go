package contend

import (
	"context"
	"sync/atomic"
	"testing"
)

func TestContenders_RunEveryTaskOnce(t *testing.T) {
	for _, c := range All() {
		t.Run(c.Name, func(t *testing.T) {
			p, err := c.Open(Config{Slots: 2})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			const n = 5000
			var ran [n]atomic.Int32
			if err := c.Each(p, n, func(_ context.Context, i int) { ran[i].Add(1) }); err != nil {
				t.Fatal(err)
			}
			if err := p.Wait(); err != nil {
				t.Fatal(err)
			}
			for i := range ran {
				if got := ran[i].Load(); got != 1 {
					t.Fatalf("task %d ran %d times", i, got)
				}
			}
		})
	}
}

func TestContenders_NeverRunMoreThanTheirSlots(t *testing.T) {
	for _, c := range All() {
		if c.Name == "go" {
			continue // it has no bound
		}
		t.Run(c.Name, func(t *testing.T) {
			p, err := c.Open(Config{Slots: 2})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			var running, most atomic.Int32
			for range 500 {
				err := p.Submit(t.Context(), TaskOf(func(context.Context) {
					now := running.Add(1)
					for seen := most.Load(); now > seen && !most.CompareAndSwap(seen, now); seen = most.Load() {
					}
					running.Add(-1)
				}))
				if err != nil {
					t.Fatal(err)
				}
			}
			if err := p.Wait(); err != nil {
				t.Fatal(err)
			}
			if got := most.Load(); got > 2 {
				t.Errorf("%d tasks ran at once on 2 slots", got)
			}
		})
	}
}

func TestContenders_OneTaskStartsManyChildren(t *testing.T) {
	for _, c := range All() {
		t.Run(c.Name, func(t *testing.T) {
			p, err := c.Open(Config{Slots: 2})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			const n = 5000
			var ran atomic.Int32
			child := TaskOf(func(context.Context) { ran.Add(1) })
			started := make(chan error, 1)
			err = p.Submit(t.Context(), TaskOf(func(ctx context.Context) {
				for range n {
					if err := p.Submit(ctx, child); err != nil {
						started <- err
						return
					}
				}
				started <- nil
			}))
			if err != nil {
				t.Fatal(err)
			}
			if err := <-started; err != nil {
				t.Fatal(err)
			}
			if err := p.Wait(); err != nil {
				t.Fatal(err)
			}
			if got := ran.Load(); got != n {
				t.Errorf("%d children ran, want %d", got, n)
			}
		})
	}
}

func TestContenders_RefuseWhenFull(t *testing.T) {
	for _, c := range All() {
		if !c.Tries {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			p, err := c.Open(Config{Slots: 1, Queue: 1, Try: true})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			gate := make(chan struct{})
			var ran atomic.Int32
			hold := TaskOf(func(context.Context) {
				<-gate
				ran.Add(1)
			})
			accepted := int32(0)
			for range 1000 {
				if p.(Trier).TrySubmit(t.Context(), hold) {
					accepted++
				}
			}
			if accepted == 1000 {
				t.Error("1000 tasks were accepted by one slot with a queue of one")
			}
			close(gate)
			if err := p.Wait(); err != nil {
				t.Fatal(err)
			}
			if got := ran.Load(); got != accepted {
				t.Errorf("%d tasks ran of %d accepted", got, accepted)
			}
		})
	}
}

func TestNamed_RefusesAStranger(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a contender that does not exist was found")
		}
	}()
	Named("nobody")
}
