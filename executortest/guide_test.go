package executortest_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/executortest"
	"github.com/seed-97bda89a/executor/internal/seeds"
	"github.com/stretchr/testify/require"
)

// The worked examples of docs/TESTING-YOUR-CODE.md: the code there is the code here. Each program has a planted bug, and a
// version without.

// bank

type bank struct {
	mu       sync.Mutex
	balances map[string]int
	careful  bool // the version without the bug
}

var errPoor = errors.New("not enough money")

func (b *bank) transfer(ctx context.Context, from, to string, amount int) error {
	if b.careful {
		executor.Lock(ctx, &b.mu)
		defer b.mu.Unlock()
	}
	balance := b.balances[from]
	if balance < amount {
		return errPoor
	}
	if err := audit(ctx, from, to, amount); err != nil {
		return err
	}
	b.balances[from] = balance - amount
	b.balances[to] += amount
	return nil
}

// audit writes to a log that is far away.
func audit(ctx context.Context, _, _ string, _ int) error {
	executor.Blocking(ctx, func() { time.Sleep(10 * time.Millisecond) })
	return nil
}

func testBank(careful bool) func(t *testing.T, exec *executor.Executor) {
	return func(t *testing.T, exec *executor.Executor) {
		b := &bank{balances: map[string]int{"ann": 100, "bob": 100}, careful: careful}
		group := exec.NewGroup(t.Context())
		group.Go(func(ctx context.Context) error { return b.transfer(ctx, "ann", "bob", 30) })
		group.Go(func(ctx context.Context) error { return b.transfer(ctx, "bob", "ann", 50) })
		if err := group.Wait(); err != nil {
			t.Error(err)
		}
		if sum := b.balances["ann"] + b.balances["bob"]; sum != 200 {
			t.Errorf("there are %d in the bank, not 200", sum)
		}
	}
}

// cache

type cache struct {
	mu      sync.Mutex
	entries map[string]*executor.Future[string]
	careful bool
}

// get loads each key once, however many ask.
func (c *cache) get(ctx context.Context, exec *executor.Executor, key string, load func(context.Context) (string, error)) (string, error) {
	if c.careful {
		executor.Lock(ctx, &c.mu)
	}
	f, ok := c.entries[key]
	if !ok {
		var err error
		if f, err = executor.Submit(executor.Detached(ctx), exec, load); err != nil {
			if c.careful {
				c.mu.Unlock()
			}
			return "", err
		}
		c.entries[key] = f
	}
	if c.careful {
		c.mu.Unlock()
	}
	return f.Wait(ctx)
}

func testCache(careful bool) func(t *testing.T, exec *executor.Executor) {
	return func(t *testing.T, exec *executor.Executor) {
		c := &cache{entries: map[string]*executor.Future[string]{}, careful: careful}
		loads := 0
		group := exec.NewGroup(t.Context())
		for range 3 {
			group.Go(func(ctx context.Context) error {
				_, err := c.get(ctx, exec, "home", func(context.Context) (string, error) {
					loads++
					return "<html>", nil
				})
				return err
			})
		}
		if err := group.Wait(); err != nil {
			t.Error(err)
		}
		if loads != 1 {
			t.Errorf("loaded %d times", loads)
		}
	}
}

// pipeline

var errTooMuch = errors.New("too much")

// addSquares squares numbers in one task and adds them up in another one, with a channel between them, until the sum is above limit.
func addSquares(ctx context.Context, exec *executor.Executor, numbers []int, limit int, careful bool) (sum int, err error) {
	group := exec.NewGroup(ctx)
	squares := make(chan int)
	group.Go(func(ctx context.Context) error {
		defer close(squares)
		for _, n := range numbers {
			if !careful {
				squares <- n * n
			} else if err := executor.Send(ctx, squares, n*n); err != nil {
				return err
			}
		}
		return nil
	})
	group.Go(func(ctx context.Context) error {
		for {
			n, ok, err := executor.Receive(ctx, squares)
			if err != nil || !ok {
				return err
			}
			if sum += n; sum > limit {
				return errTooMuch
			}
		}
	})
	err = group.Wait()
	return sum, err
}

func testPipeline(careful bool) func(t *testing.T, exec *executor.Executor) {
	return func(t *testing.T, exec *executor.Executor) {
		if sum, err := addSquares(t.Context(), exec, []int{1, 2, 3}, 100, careful); sum != 14 || err != nil {
			t.Errorf("sum %d, error %v", sum, err)
		}
		if _, err := addSquares(t.Context(), exec, []int{5, 6, 7}, 50, careful); !errors.Is(err, errTooMuch) {
			t.Errorf("error %v", err)
		}
	}
}

// The planted bugs are found as the guide says, and the versions without pass.
func TestGuide(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		test func(careful bool) func(*testing.T, *executor.Executor)
		kind seeds.Kind
		says string
	}{
		{"bank", testBank, seeds.TestFailed, "the test failed"},
		{"cache", testCache, seeds.TestFailed, "the test failed"},
		{"pipeline", testPipeline, seeds.Deadlock, "deadlock: everybody waits\n  0 (test) waits in Group.Wait, guide_test.go:"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := seeds.Explore(t, seeds.Config{Last: 99, Ordered: true}, c.test(false))
			require.Equal(t, c.kind, v.Kind, v.Text)
			require.Contains(t, v.Text, c.says)
			executortest.Explore(t, c.test(true))
		})
	}
}
