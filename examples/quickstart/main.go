// Quickstart makes a hundred slow calls from an executor that has one slot for each processor.
package main

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/seed-97bda89a/executor"
)

func main() {
	ctx, start := context.Background(), time.Now()
	exec, err := executor.New() // as many slots as processors, or as the container's quota allows
	if err != nil {
		log.Fatal(err)
	}
	group := exec.NewGroup(ctx)
	for range 100 {
		group.Go(func(ctx context.Context) error {
			// Somebody else gets the slot while this one waits for a database, a disk or a network.
			executor.Blocking(ctx, func() { time.Sleep(50 * time.Millisecond) })
			return ctx.Err()
		})
	}
	if err := group.Wait(); err != nil { // the first error, if there was one
		log.Fatal(err)
	}
	fmt.Printf("100 calls of 50ms on %d slots took %v\n", exec.Stats().Slots, time.Since(start).Round(time.Millisecond))
	if err := exec.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
}
