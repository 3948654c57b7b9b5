package executor_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"slices"
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
		err := exec.Shutdown(deadline) // what was accepted finishes, up to the deadline
		if unfinished := (*executor.UnfinishedError)(nil); errors.As(err, &unfinished) {
			for _, task := range unfinished.Running {
				fmt.Println("still running:", task.Name, task.Func, task.Age)
			}
		}
		if err != nil {
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

func Example_recipeOrderByKey() {
	exec := open()
	defer exec.Close()
	ctx := context.Background()

	// All events of one customer in order, one at a time; those of different customers at the same time.
	customers := executor.NewKeyed[string](exec)
	balance := map[string]*int{"ann": new(int), "bob": new(int)}
	for _, event := range []struct {
		customer string
		amount   int
	}{{"ann", 5}, {"bob", 7}, {"ann", -5}, {"ann", 1}} {
		err := customers.Go(ctx, event.customer, func(context.Context) {
			*balance[event.customer] += event.amount // no lock: nothing else of this customer runs
		})
		if err != nil {
			fmt.Println(err)
		}
	}
	_ = exec.Quiesce(ctx)
	fmt.Println(*balance["ann"], *balance["bob"], customers.Len())
	// Output: 1 7 0
}

func Example_recipeResultsInOrder() {
	exec := open()
	defer exec.Close()
	ctx := context.Background()

	// Results come in the order of the elements, each as soon as those before it are there. Only some elements are
	// pulled ahead, so the sequence may be endless, and break ends it.
	lines := slices.Values([]string{"a", "bb", "ccc", "dddd"})
	for length, err := range executor.Ordered(ctx, exec, lines, func(_ context.Context, line string) (int, error) {
		return len(line), nil
	}) {
		if err != nil {
			fmt.Println(err)
			break
		}
		fmt.Print(length, " ")
	}
	// Output: 1 2 3 4
}

func Example_recipePeriodic() {
	exec := open()
	defer exec.Close()
	ctx := context.Background()

	// Never two at once: a run that takes longer than the period delays the next one, and missed ones become one.
	ran := make(chan int)
	n := 0
	timer, err := exec.Every(ctx, time.Millisecond, func(ctx context.Context) {
		n++
		executor.Blocking(ctx, func() {
			select {
			case ran <- n:
			case <-ctx.Done():
			}
		})
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(<-ran, <-ran, <-ran)
	timer.Stop()
	// Output: 1 2 3
}

func Example_recipeDetached() {
	exec := open()
	defer exec.Close()
	request, cancel := context.WithCancel(context.Background())
	defer cancel()

	// The wait for room follows the request; the task, once accepted, does not: what a consumer has taken over is not
	// lost when its own context ends.
	begun, done := make(chan struct{}), make(chan error)
	err := exec.Go(executor.Detached(request), func(ctx context.Context) {
		close(begun)
		executor.Blocking(ctx, func() { <-request.Done() })
		done <- ctx.Err()
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	<-begun
	cancel()
	fmt.Println(<-done)
	// Output: <nil>
}

func Example_recipeLanes() {
	exec := open(executor.WithSlots(1), executor.WithStallDetection(false), executor.WithLanes(
		executor.Lane{Name: "urgent", Weight: 9}, // nine of ten, while both have tasks
		executor.Lane{Fair: true},                // everything else: its customers get the same run time
	))
	defer exec.Close()
	ctx := context.Background()
	begun, end := make(chan struct{}), make(chan struct{})
	_ = exec.Go(ctx, func(context.Context) { close(begun); <-end }) // the slot is taken, so what comes now waits
	<-begun

	queue := func(ctx context.Context, what string) {
		if err := exec.Go(ctx, func(context.Context) { fmt.Print(what, " ") }); err != nil {
			fmt.Println(err)
		}
	}
	for range 4 {
		queue(executor.WithTenant(ctx, "ann"), "ann")
	}
	queue(executor.WithTenant(ctx, "bob"), "bob") // last, but one of two
	queue(executor.WithLane(ctx, "urgent"), "alarm")
	close(end)
	_ = exec.Quiesce(ctx)
	// Output: alarm ann bob ann ann ann
}

func ExampleWithPanicHandler() {
	exec := open(executor.WithPanicHandler(func(_ context.Context, p *executor.PanicError) {
		fmt.Println("a task panicked:", p.Value)
	}))
	ctx := context.Background()
	_ = exec.Go(ctx, func(context.Context) { panic("no such image") })
	_ = exec.Shutdown(ctx)
	// Output: a task panicked: no such image
}

func ExamplePanicError() {
	exec := open()
	defer exec.Close()
	ctx := context.Background()

	future, _ := executor.Submit(ctx, exec, func(context.Context) (int, error) { panic("broken") })
	_, err := future.Wait(ctx)
	var p *executor.PanicError
	fmt.Println(errors.As(err, &p), p.Value, len(p.Stack) > 0)
	// Output: true broken true
}
