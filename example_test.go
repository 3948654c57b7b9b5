package executor_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/seed-97bda89a/executor"
)

// open makes an executor for an example, which must close it.
func open(opts ...executor.Option) *executor.Executor {
	exec, err := executor.New(opts...)
	if err != nil {
		panic(err)
	}
	return exec
}

func Example() {
	exec, err := executor.New() // as many slots as processors, or as the container's quota allows
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	group := exec.NewGroup(ctx)
	var sum atomic.Int64
	for i := range 100 {
		group.Go(func(ctx context.Context) error {
			// Another task gets the slot while this one waits.
			executor.Blocking(ctx, func() { time.Sleep(time.Millisecond) })
			sum.Add(int64(i))
			return ctx.Err()
		})
	}
	fmt.Println(group.Wait(), sum.Load())
	fmt.Println(exec.Shutdown(ctx))
	// Output:
	// <nil> 4950
	// <nil>
}

func ExampleNew() {
	_, err := executor.New(executor.WithSlots(0), executor.WithMaxSpares(-1))
	fmt.Println(err) // every bad option at once
	// Output:
	// executor: WithSlots(0): must be at least 1
	// executor: WithMaxSpares(-1): must be at least 0
}

func ExampleExecutor_Go() {
	exec := open()
	defer exec.Close()

	done := make(chan string)
	err := exec.Go(context.Background(), func(context.Context) { done <- "hello from a task" })
	if err != nil { // the executor is closed, or ctx is done
		fmt.Println(err)
		return
	}
	fmt.Println(<-done)
	// Output: hello from a task
}

func ExampleExecutor_TryGo() {
	exec := open(executor.WithSlots(1), executor.WithQueueLimit(1), executor.WithStallDetection(false))
	ctx := context.Background()
	begun, end := make(chan struct{}), make(chan struct{})
	_ = exec.Go(ctx, func(context.Context) { close(begun); <-end })
	<-begun // the only slot is taken

	fmt.Println(exec.TryGo(ctx, func(context.Context) {})) // waits in the queue
	err := exec.TryGo(ctx, func(context.Context) {})       // the queue is full
	fmt.Println(err, errors.Is(err, executor.ErrQueueFull))

	close(end)
	_ = exec.Shutdown(ctx)
	// Output:
	// <nil>
	// executor: queue full true
}

func ExampleSubmit() {
	exec := open()
	defer exec.Close()
	ctx := context.Background()

	future, err := executor.Submit(ctx, exec, func(context.Context) (int, error) { return 6 * 7, nil })
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(future.Wait(ctx))
	// Output: 42 <nil>
}

func ExampleTrySubmit() {
	exec := open()
	ctx := context.Background()
	_ = exec.Shutdown(ctx)

	_, err := executor.TrySubmit(ctx, exec, func(context.Context) (int, error) { return 1, nil })
	fmt.Println(err)
	// Output: executor: closed
}

func ExampleFuture_Done() {
	exec := open()
	defer exec.Close()
	ctx := context.Background()

	future, _ := executor.Submit(ctx, exec, func(context.Context) (string, error) { return "ready", nil })
	select {
	case <-future.Done():
		fmt.Println(future.Wait(ctx)) // does not wait any more
	case <-time.After(time.Minute):
		fmt.Println("too late")
	}
	// Output: ready <nil>
}

func ExampleGroup() {
	exec := open()
	defer exec.Close()

	failed := errors.New("row 3 is broken")
	group := exec.NewGroup(context.Background())
	for i := range 5 {
		group.Go(func(ctx context.Context) error {
			if i == 3 {
				return failed // cancels the context of the others
			}
			return nil
		})
	}
	fmt.Println(group.Wait())
	// Output: row 3 is broken
}

func ExampleGroup_SetLimit() {
	exec := open()
	defer exec.Close()

	group := exec.NewGroup(context.Background())
	group.SetLimit(2) // at most two of its tasks at a time
	var running, most atomic.Int64
	for range 20 {
		group.Go(func(ctx context.Context) error {
			n := running.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			executor.Blocking(ctx, func() { time.Sleep(time.Millisecond) })
			running.Add(-1)
			return nil
		})
	}
	fmt.Println(group.Wait(), most.Load() <= 2)
	// Output: <nil> true
}

func ExampleFork() {
	exec := open()
	defer exec.Close()

	var fib func(ctx context.Context, n int) int
	fib = func(ctx context.Context, n int) int {
		if n < 2 {
			return n
		}
		child := executor.Fork(ctx, func(ctx context.Context) int { return fib(ctx, n-1) }) // another slot may take it
		return fib(ctx, n-2) + child.Join(ctx)
	}
	ctx := context.Background()
	future, _ := executor.Submit(ctx, exec, func(ctx context.Context) (int, error) { return fib(ctx, 20), nil })
	fmt.Println(future.Wait(ctx))
	// Output: 6765 <nil>
}

func ExampleFor() {
	exec := open()
	defer exec.Close()

	squares := make([]int, 5)
	err := executor.For(context.Background(), exec, len(squares), func(_ context.Context, i int) error {
		squares[i] = i * i
		return nil
	})
	fmt.Println(squares, err)
	// Output: [0 1 4 9 16] <nil>
}

func ExampleForEach() {
	exec := open()
	defer exec.Close()

	var sum atomic.Int64
	err := executor.ForEach(context.Background(), exec, slices.Values([]int64{1, 2, 3}), func(_ context.Context, n int64) error {
		sum.Add(n)
		return nil
	})
	fmt.Println(sum.Load(), err)
	// Output: 6 <nil>
}

func ExampleMap() {
	exec := open()
	defer exec.Close()

	lengths, err := executor.Map(context.Background(), exec, []string{"a", "bb", "ccc"},
		func(_ context.Context, s string) (int, error) { return len(s), nil })
	fmt.Println(lengths, err)
	// Output: [1 2 3] <nil>
}

func ExampleBlocking() {
	exec := open(executor.WithSlots(1)) // one slot, and two tasks that wait for each other
	defer exec.Close()

	messages := make(chan string)
	group := exec.NewGroup(context.Background())
	group.Go(func(ctx context.Context) error {
		executor.Blocking(ctx, func() { messages <- "ping" })
		return nil
	})
	group.Go(func(ctx context.Context) error {
		executor.Blocking(ctx, func() { fmt.Println(<-messages) })
		return nil
	})
	fmt.Println(group.Wait())
	// Output:
	// ping
	// <nil>
}

func ExampleBulkhead() {
	exec := open()
	defer exec.Close()

	library, err := executor.NewBulkhead("imaging", 4) // at most four calls in the whole process
	if err != nil {
		fmt.Println(err)
		return
	}
	group := exec.NewGroup(context.Background())
	var calls atomic.Int64
	for range 10 {
		group.Go(func(ctx context.Context) error {
			return library.Blocking(ctx, func() { calls.Add(1) }) // a call into C, for example
		})
	}
	fmt.Println(group.Wait(), calls.Load())
	// Output: <nil> 10
}

func ExampleOnThread() {
	executor.OnThread(context.Background(), func() {
		fmt.Println("on a thread of its own, which is thrown away")
	})
	// Output: on a thread of its own, which is thrown away
}

func ExampleCheckpoint() {
	exec := open(executor.WithSlots(1))
	defer exec.Close()
	ctx, cancel := context.WithCancel(context.Background())

	future, _ := executor.Submit(ctx, exec, func(ctx context.Context) (int, error) {
		for i := 0; ; i++ {
			if err := executor.Checkpoint(ctx); err != nil { // and lets others go first when the time slice is used up
				return i, err
			}
			if i == 1000 {
				cancel()
			}
		}
	})
	_, err := future.Wait(context.Background())
	fmt.Println(err)
	// Output: context canceled
}

func ExampleYield() {
	exec := open(executor.WithSlots(1))
	defer exec.Close()
	ctx := context.Background()

	group := exec.NewGroup(ctx)
	group.Go(func(ctx context.Context) error {
		group.Go(func(context.Context) error { fmt.Println("child"); return nil })
		_ = executor.Yield(ctx) // lets the child go first
		fmt.Println("parent")
		return nil
	})
	fmt.Println(group.Wait())
	// Output:
	// child
	// parent
	// <nil>
}

func ExampleFromContext() {
	exec := open()
	defer exec.Close()
	ctx := context.Background()

	future, _ := executor.Submit(ctx, exec, func(ctx context.Context) (string, error) {
		e, ok := executor.FromContext(ctx)
		return fmt.Sprint(e == exec, " ", ok), nil
	})
	fmt.Println(future.Wait(ctx))
	// Output: true true <nil>
}

func ExampleWithTaskName() {
	exec := open()
	defer exec.Close()

	ctx := executor.WithTaskName(context.Background(), "resize image") // a name for each kind of task
	done := make(chan struct{})
	_ = exec.Go(ctx, func(context.Context) { close(done) }) // named in spans, profiles and on the page
	<-done
	// Output:
}

func ExampleExecutor_Stats() {
	exec := open(executor.WithSlots(2))
	ctx := context.Background()
	for range 10 {
		_ = exec.Go(ctx, func(context.Context) {})
	}
	_ = exec.Shutdown(ctx)

	stats := exec.Stats() // also after the end
	fmt.Println(stats.Submitted, stats.Completed, stats.Panicked, stats.Canceled)
	// Output: 10 10 0 0
}

func ExampleExecutor_Resize() {
	exec := open(executor.WithSlots(2))
	defer exec.Close()

	fmt.Println(exec.Resize(4), exec.Stats().Slots)
	fmt.Println(exec.Resize(5000))
	fmt.Println(exec.Resize(-1))
	// Output:
	// <nil> 4
	// executor: Resize(5000): must be at most 4096
	// executor: Resize(-1): must be at least 0, which follows the CPU quota
}

func ExampleExecutor_Quiesce() {
	exec := open()
	defer exec.Close()
	ctx := context.Background()

	var ran atomic.Int64
	for range 100 {
		_ = exec.Go(ctx, func(context.Context) { ran.Add(1) })
	}
	fmt.Println(exec.Quiesce(ctx), ran.Load()) // the executor stays open
	// Output: <nil> 100
}

func ExampleExecutor_Close() {
	exec := open()
	ctx := context.Background()
	begun, ended := make(chan struct{}), make(chan error, 1)
	_ = exec.Go(ctx, func(ctx context.Context) {
		close(begun)
		<-ctx.Done()
		ended <- context.Cause(ctx)
	})
	<-begun
	fmt.Println(exec.Close()) // cancels what runs, and waits for it
	fmt.Println(<-ended)
	// Output:
	// <nil>
	// executor: closed
}

func ExampleWithLanes() {
	exec := open(executor.WithName("shop"), executor.WithLanes(
		executor.Lane{Name: "urgent", Weight: 9, Reserved: 1},
		executor.Lane{Fair: true}, // the lane of tasks whose context says none
	))
	defer exec.Close()
	fmt.Println(exec.Go(executor.WithLane(context.Background(), "urgent"), func(ctx context.Context) {}))
	fmt.Println(exec.Go(executor.WithTenant(context.Background(), "customer 17"), func(ctx context.Context) {}))
	fmt.Println(exec.Go(executor.WithLane(context.Background(), "unknown"), func(ctx context.Context) {}))
	// Output:
	// <nil>
	// <nil>
	// executor: WithLane("unknown"): the executor "shop" has no such lane
}
