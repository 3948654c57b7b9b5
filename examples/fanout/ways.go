package main

import (
	"context"
	"errors"
	"iter"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/seed-97bda89a/executor"
)

// way is one way to fetch many URLs. fetch returns the first error, or any.
type way struct {
	name  string
	fetch func(ctx context.Context, urls iter.Seq[string], get getter) error
}

type getter func(ctx context.Context, url string) error

// ways are in the order of their likely length.
var ways = []way{
	{"executor, unmarked", func(ctx context.Context, urls iter.Seq[string], get getter) error {
		return withExecutor(ctx, urls, get)
	}},
	{"executor, Blocking", func(ctx context.Context, urls iter.Seq[string], get getter) error {
		return withExecutor(ctx, urls, func(ctx context.Context, url string) (err error) {
			executor.Blocking(ctx, func() { err = get(ctx, url) })
			return err
		})
	}},
	{"goroutines, unbounded", unbounded},
	{"errgroup, SetLimit(100)", limited(100)},
	{"errgroup, SetLimit(2)", limited(2)},
}

func withExecutor(ctx context.Context, urls iter.Seq[string], get getter) error {
	exec, err := executor.New()
	if err != nil {
		return err
	}
	group := exec.NewGroup(ctx)
	for url := range urls {
		group.Go(func(ctx context.Context) error { return get(ctx, url) })
	}
	return errors.Join(group.Wait(), exec.Close())
}

func unbounded(ctx context.Context, urls iter.Seq[string], get getter) error {
	var (
		all   sync.WaitGroup
		once  sync.Once
		first error
	)
	for url := range urls {
		all.Go(func() {
			if err := get(ctx, url); err != nil {
				once.Do(func() { first = err })
			}
		})
	}
	all.Wait()
	return first
}

func limited(n int) func(context.Context, iter.Seq[string], getter) error {
	return func(ctx context.Context, urls iter.Seq[string], get getter) error {
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(n)
		for url := range urls {
			group.Go(func() error { return get(ctx, url) })
		}
		return group.Wait()
	}
}
