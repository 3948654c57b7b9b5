package executor_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/seed-97bda89a/executor"
)

// The code of docs/RECIPES.md. A test compares the two.

func Example_recipeTimeout() {
	exec := open()
	defer exec.Close()
	ctx := context.Background()

	slow := func(ctx context.Context) (string, error) {
		<-ctx.Done() // a call that gives up when its context ends
		return "", context.Cause(ctx)
	}
	future, err := executor.Submit(ctx, exec, func(ctx context.Context) (answer string, err error) {
		ctx, cancel := context.WithTimeoutCause(ctx, 10*time.Millisecond, errors.New("the backend took too long"))
		defer cancel()
		executor.Blocking(ctx, func() { answer, err = slow(ctx) })
		return answer, err
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = future.Wait(ctx)
	fmt.Println(err)
	// Output: the backend took too long
}

func Example_recipeDropOneTask() {
	exec := open(executor.WithSlots(1))
	ctx := context.Background()
	begun, end := make(chan struct{}), make(chan struct{})
	_ = exec.Go(ctx, func(ctx context.Context) { close(begun); executor.Blocking(ctx, func() { <-end }) })
	<-begun

	own, cancel := context.WithCancelCause(ctx) // a context for this one task
	future, _ := executor.Submit(own, exec, func(ctx context.Context) (int, error) {
		<-ctx.Done() // if it runs already, it sees the end of its context
		return 0, context.Cause(ctx)
	})
	cancel(errors.New("the customer hung up"))
	_, err := future.Wait(ctx) // at once, whether it had started or not
	fmt.Println(err)

	close(end)
	_ = exec.Shutdown(ctx)
	// Output: context canceled: the customer hung up
}

func Example_recipeReadiness() {
	exec := open()
	defer exec.Close()

	// Not ready while the queue is nearly full: the load balancer sends requests elsewhere.
	ready := func(w http.ResponseWriter, _ *http.Request) {
		stats := exec.Stats()
		if stats.Queued > stats.QueueLimit*3/4 {
			http.Error(w, fmt.Sprintf("%d tasks wait", stats.Queued), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
	}
	answer := httptest.NewRecorder()
	ready(answer, httptest.NewRequest("GET", "/readyz", nil))
	fmt.Print(answer.Code, " ", answer.Body)
	// Output: 200 ready
}

func Example_recipeExitCode() {
	run := func(signals <-chan os.Signal) (code int) {
		exec := open()
		ctx := context.Background()
		_ = exec.Go(ctx, func(ctx context.Context) { executor.Blocking(ctx, func() { time.Sleep(time.Millisecond) }) })

		<-signals // until the process is told to end
		deadline, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		if err := exec.Shutdown(deadline); err != nil { // what was accepted finishes, up to the deadline
			fmt.Println("not everything has ended:", err)
			return 1
		}
		return 0
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	signals <- os.Interrupt // as if somebody pressed Ctrl-C
	fmt.Println(run(signals))
	// Output: 0
}

func Example_recipeBoundedForks() {
	exec := open()
	defer exec.Close()

	// The depth of an input that somebody else wrote is not trusted: below a depth the recursion is sequential,
	// and below another it is refused.
	type node struct{ children []*node }
	var count func(ctx context.Context, n *node, depth int) (int, error)
	count = func(ctx context.Context, n *node, depth int) (int, error) {
		if depth > 1000 {
			return 0, errors.New("nested too deeply")
		}
		if err := executor.Checkpoint(ctx); err != nil {
			return 0, err
		}
		sum := 1
		if depth > 12 {
			for _, child := range n.children {
				c, err := count(ctx, child, depth+1)
				if err != nil {
					return 0, err
				}
				sum += c
			}
			return sum, nil
		}
		counts, err := executor.Map(ctx, exec, n.children, func(ctx context.Context, child *node) (int, error) {
			return count(ctx, child, depth+1)
		})
		for _, c := range counts {
			sum += c
		}
		return sum, err
	}
	deep := &node{}
	for range 2000 {
		deep = &node{children: []*node{deep}}
	}
	ctx := context.Background()
	future, _ := executor.Submit(ctx, exec, func(ctx context.Context) (int, error) { return count(ctx, deep, 0) })
	_, err := future.Wait(ctx)
	fmt.Println(err)
	// Output: nested too deeply
}

func Example_recipeRetry() {
	exec := open()
	defer exec.Close()
	ctx := context.Background()

	// Between two attempts the task waits with its slot lent. The library has no retries of its own: which errors
	// are worth another attempt, only the caller knows.
	retry := func(ctx context.Context, attempts int, fn func(context.Context) error) (err error) {
		for n := range attempts {
			if n > 0 {
				executor.Blocking(ctx, func() {
					select {
					case <-time.After(time.Millisecond << n): // add jitter where many callers retry together
					case <-ctx.Done():
					}
				})
			}
			if err = fn(ctx); err == nil || ctx.Err() != nil {
				return err
			}
		}
		return err
	}
	var calls atomic.Int64
	group := exec.NewGroup(ctx)
	group.Go(func(ctx context.Context) error {
		return retry(ctx, 5, func(context.Context) error {
			if calls.Add(1) < 3 {
				return errors.New("try again")
			}
			return nil
		})
	})
	fmt.Println(group.Wait(), calls.Load())
	// Output: <nil> 3
}

func Example_recipeRateLimit() {
	exec := open()
	defer exec.Close()
	ctx := context.Background()

	tick := time.NewTicker(time.Millisecond) // at most a call each millisecond; golang.org/x/time/rate has bursts too
	defer tick.Stop()
	var calls atomic.Int64
	group := exec.NewGroup(ctx)
	for range 5 {
		group.Go(func(ctx context.Context) error {
			executor.Blocking(ctx, func() {
				select {
				case <-tick.C:
				case <-ctx.Done():
				}
			})
			if ctx.Err() == nil {
				calls.Add(1)
			}
			return ctx.Err()
		})
	}
	fmt.Println(group.Wait(), calls.Load())
	// Output: <nil> 5
}
