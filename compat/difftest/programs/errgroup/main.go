// Sums of the files given, or of its own source, by a pipeline: one function lists, some read, and one collects.
package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
)

type sum struct {
	name string
	sum  [sha256.Size]byte
}

func main() {
	sums, err := sumAll(context.Background(), 100, -1)
	fmt.Println(len(sums), err)
	for _, s := range sums[:3] {
		fmt.Printf("%s %x\n", s.name, s.sum[:4])
	}
	_, err = sumAll(context.Background(), 100, 42)
	fmt.Println(err)

	limited := new(errgroup.Group)
	limited.SetLimit(1)
	var order []string
	for i := range 10 {
		limited.Go(func() error { order = append(order, fmt.Sprint(i)); return nil }) // one at a time
	}
	fmt.Println(limited.Wait(), strings.Join(order, " "))
}

// sumAll sums n documents; number bad can not be read.
func sumAll(ctx context.Context, n, bad int) ([]sum, error) {
	g, ctx := errgroup.WithContext(ctx)
	names, found := make(chan int), make(chan sum)
	g.Go(func() error {
		defer close(names)
		for i := range n {
			select {
			case names <- i:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	readers := new(errgroup.Group)
	for range 20 {
		readers.Go(func() error {
			for i := range names {
				if i == bad {
					return errors.New("document 42 can not be read")
				}
				select {
				case found <- sum{fmt.Sprintf("document %02d", i), sha256.Sum256([]byte{byte(i)})}:
				case <-ctx.Done():
					return nil
				}
			}
			return nil
		})
	}
	g.Go(func() error {
		defer close(found)
		return readers.Wait()
	})
	var all []sum
	for s := range found {
		all = append(all, s)
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b sum) int { return strings.Compare(a.name, b.name) })
	return all, nil
}
