package benchmarks

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor"
	"golang.org/x/sync/errgroup"
)

// A recursive crawl: each page takes 3 ms to fetch and links to eight others, 4,681 in all, of which a group visits
// 20 at once. The pages add the pages that they link to.
const (
	crawlDepth = 4
	crawlLinks = 8
	crawlFetch = 3 * time.Millisecond
	crawlLimit = 20
)

func crawl(b *testing.B, queue, limit int, marked bool) {
	e, err := executor.New(executor.WithQueueLimit(queue))
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	g := e.NewGroup(context.Background())
	g.SetLimit(limit)
	fetch := func() { time.Sleep(crawlFetch) }
	var visit func(depth int) func(context.Context) error
	visit = func(depth int) func(context.Context) error {
		return func(ctx context.Context) error {
			if marked {
				executor.Blocking(ctx, fetch)
			} else {
				fetch()
			}
			for i := 0; depth > 0 && i < crawlLinks; i++ {
				g.Go(visit(depth - 1))
			}
			return nil
		}
	}
	g.Go(visit(crawlDepth))
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
}

// crawlErrgroup visits a page at once where the group is at its limit, or its tasks would wait for themselves.
func crawlErrgroup(b *testing.B) {
	var g errgroup.Group
	g.SetLimit(crawlLimit)
	var visit func(depth int) func() error
	visit = func(depth int) func() error {
		return func() error {
			time.Sleep(crawlFetch)
			for i := 0; depth > 0 && i < crawlLinks; i++ {
				if page := visit(depth - 1); !g.TryGo(page) {
					_ = page()
				}
			}
			return nil
		}
	}
	g.Go(visit(crawlDepth))
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkCrawl compares the crawl at every queue limit with errgroup's. limit=-1 is a group without a limit.
func BenchmarkCrawl(b *testing.B) {
	group(b, "Crawl")
	b.Run("errgroup", func(b *testing.B) {
		for range b.N {
			crawlErrgroup(b)
		}
	})
	for _, limit := range []int{crawlLimit, -1} {
		for _, marked := range []bool{true, false} {
			for _, queue := range []int{64, 256, 1024, 2048, 4096, 65536} {
				b.Run(fmt.Sprintf("limit=%d/marked=%v/queue=%d", limit, marked, queue), func(b *testing.B) {
					for range b.N {
						crawl(b, queue, limit, marked)
					}
				})
			}
		}
	}
}
