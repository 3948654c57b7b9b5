// A stream in order, a map over a slice, pools with results, errors and a panic.
package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/sourcegraph/conc"
	"github.com/sourcegraph/conc/iter"
	"github.com/sourcegraph/conc/pool"
	"github.com/sourcegraph/conc/stream"
)

func main() {
	words := []string{"one", "two", "three", "four", "five", "six"}

	s := stream.New().WithMaxGoroutines(3)
	for _, w := range words {
		s.Go(func() stream.Callback {
			n := len(w)
			return func() { fmt.Print(w, " ", n, " ") } // in order
		})
	}
	s.Wait()
	fmt.Println()

	lengths, err := iter.MapErr(words, func(w *string) (int, error) {
		if *w == "four" {
			return 0, errors.New("four is not wanted")
		}
		return len(*w), nil
	})
	fmt.Println(lengths, err)

	results := pool.NewWithResults[int]().WithMaxGoroutines(2)
	for i := range 20 {
		results.Go(func() int { return i * i })
	}
	squares := results.Wait()
	slices.Sort(squares)
	fmt.Println(squares)

	canceled := pool.New().WithMaxGoroutines(4).WithContext(context.Background()).WithCancelOnError().WithFirstError()
	for i := range 4 {
		canceled.Go(func(ctx context.Context) error {
			if i == 2 {
				return errors.New("the third fails")
			}
			<-ctx.Done()
			return ctx.Err()
		})
	}
	fmt.Println(canceled.Wait())

	var outer, inner atomic.Int64
	var all conc.WaitGroup
	for range 10 {
		all.Go(func() {
			var below conc.WaitGroup
			for range 10 {
				below.Go(func() { inner.Add(1) })
			}
			below.Wait()
			outer.Add(1)
		})
	}
	all.Wait()
	all.Go(func() { panic("too much") })
	fmt.Println(outer.Load(), inner.Load(), all.WaitAndRecover().Value)
}
