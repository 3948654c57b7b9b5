package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/seed-97bda89a/executor"
)

func main() {
	if err := run(context.Background(), []int{3, 1, 2}); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func run(ctx context.Context, rows []int) error {
	exec, err := executor.New(executor.WithSlots(2))
	if err != nil {
		return err
	}
	forth, back, wg := make(chan int), make(chan int), new(sync.WaitGroup)
	var last int
	exec.Go(ctx, func(own context.Context) {
		wg.Add(1)
		wg.Done()
		wg.Wait()
		time.Sleep(time.Millisecond)
		forth <- 1
		last = <-back
		if executor.Checkpoint(ctx) != nil {
			return
		}
		forth <- last + 1
	})
	exec.Go(ctx, func(_ context.Context) {
		if ctx.Err() == nil {
			back <- 10
		}
	})
	fmt.Println(<-forth, <-forth)
	var mu sync.Mutex
	var seen []int
	done := make(chan struct{}, len(rows))
	for _, row := range rows {
		go func() {
			mu.Lock()
			seen = append(seen, row)
			mu.Unlock()
			done <- struct{}{}
		}()
	}
	for range rows {
		<-done
	}
	slices.Sort(seen)
	fmt.Println(seen)
	return exec.Shutdown(ctx)
}
