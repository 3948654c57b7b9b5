package execctx

import (
	"context"
	"os"

	"golang.org/x/sync/errgroup"
)

// A peer's function has no context of its own that it could ignore.
func run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return work(ctx) })
	go func() { _ = work(ctx) }()
	return g.Wait()
}

func work(ctx context.Context) error {
	if ctx.Err() != nil {
		return os.ErrClosed
	}
	return nil
}
