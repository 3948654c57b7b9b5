package execblock

import (
	"context"
	"database/sql"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/seed-97bda89a/executor"
)

func direct(ctx context.Context, e *executor.Executor, db *sql.DB, ch chan int, wg *sync.WaitGroup) error {
	return e.Go(ctx, func(ctx context.Context) {
		time.Sleep(time.Second)         // want `the task waits in time.Sleep and keeps its slot`
		ch <- 1                         // want `waits in a send to a channel`
		<-ch                            // want `waits in a receive from a channel`
		wg.Wait()                       // want `waits in sync.WaitGroup.Wait`
		_, _ = db.QueryContext(ctx, "") // want `waits in sql.DB.QueryContext`
		x, err := http.Get("http://x")  // want `waits in http.Get`
		b, _ := os.ReadFile("x")        // want `waits in os.ReadFile`
		body, _ := io.ReadAll(x.Body)   // want `waits in io.ReadAll`
		for range ch {                  // want `waits in a range over a channel`
		}
		select { // want `waits in a select`
		case <-ch:
		case ch <- 1:
			time.Sleep(1) // want `waits in time.Sleep`
		}
		_, _, _ = b, body, err
		var n int
		n = <-ch // want `waits in a receive`
		_ = n
	})
}

func marked(ctx context.Context, e *executor.Executor, ch chan int) error {
	bulkhead, _ := executor.NewBulkhead("b", 1)
	return e.Go(ctx, func(ctx context.Context) {
		executor.Blocking(ctx, func() { time.Sleep(1); <-ch })
		_ = bulkhead.Blocking(ctx, func() { <-ch })
		executor.OnThread(ctx, func() { <-ch })
		select {
		case <-ch:
		default:
		}
		select {
		case <-ch:
		case <-ctx.Done():
		}
		go func() { <-ch }() // not the task
		own := make(chan int, 1)
		own <- 1
		<-own
		io.WriteString(os.Stdout, "no file to wait for")
	})
}

func one()   { two() }
func two()   { three() }       // want two:`blocks`
func three() { four() }        // want three:`blocks`
func four()  { time.Sleep(1) } // want four:`blocks: time.Sleep`

type store[T any] struct{ ch chan T }

func (s *store[T]) load() T { return <-s.ch } // want load:`blocks`

func helpers(ctx context.Context, e *executor.Executor, s *store[string]) error {
	named := func(ctx context.Context) {
		two() // want `waits in execblock.two -> execblock.three -> execblock.four -> time.Sleep`
	}
	if err := e.Go(ctx, named); err != nil {
		return err
	}
	if err := e.Go(ctx, s.task); err != nil {
		return err
	}
	return e.Go(ctx, func(context.Context) {
		one() // too far away
		func() {
			_ = s.load() // want `waits in execblock.store.load -> a receive from a channel`
		}()
		defer func() { time.Sleep(1) }() // want `waits in time.Sleep`
	})
}

func (s *store[T]) task(context.Context) { // want task:`blocks`
	<-s.ch // want `waits in a receive`
}

func allowed(ctx context.Context, e *executor.Executor, ch chan int) error {
	return e.Go(ctx, func(ctx context.Context) {
		<-ch //executor:allow execblock the sender is done by now
		//executor:allow execblock and the line above counts too
		<-ch
		/* want `a reason is missing` */ //executor:allow execblock
		<-ch
		//executor:allow execblock because // want `there is nothing to allow here`
		_ = 1
	})
}

type embeds struct {
	*sync.WaitGroup
	*executor.Executor
}

func embedded(ctx context.Context, e *embeds) error {
	return e.Executor.Go(ctx, func(context.Context) {
		e.WaitGroup.Wait() // want `waits in sync.WaitGroup.Wait`
	})
}

func everywhere(ctx context.Context, e *executor.Executor, rows []int) { // want everywhere:`blocks`
	_ = executor.For(ctx, e, 1, func(context.Context, int) error {
		time.Sleep(1) // want `waits in time.Sleep`
		return nil
	})
	_, _ = executor.Map(ctx, e, rows, func(context.Context, int) (int, error) {
		time.Sleep(1) // want `waits in time.Sleep`
		return 0, nil
	})
	_, _ = executor.Submit(ctx, e, func(context.Context) (int, error) {
		time.Sleep(1) // want `waits in time.Sleep`
		return 0, nil
	})
	g := e.NewGroup(ctx)
	g.Go(func(ctx context.Context) error {
		time.Sleep(1) // want `waits in time.Sleep`
		return nil
	})
	time.Sleep(1) // no task
}
