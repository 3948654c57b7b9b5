package suite

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/seed-97bda89a/executor"
	"golang.org/x/sync/errgroup"

	"github.com/seed-97bda89a/executor/benchmarks/internal/contend"
	"github.com/seed-97bda89a/executor/benchmarks/internal/meter"
)

// A recursive crawl: each page takes 3 ms to fetch and links to eight others. The pages add the pages that they link to, and 20
// are visited at once.
const (
	crawlLinks = 8
	crawlFetch = 3 * time.Millisecond
	crawlLimit = 20
)

// crawled is how many pages there are in so many levels.
func crawled(depth int) int64 {
	pages, level := int64(0), int64(1)
	for range depth + 1 {
		pages, level = pages+level, level*crawlLinks
	}
	return pages
}

// crawl compares the crawl in a group with errgroup's.
func crawl() Row {
	with := func(name string, queue int, marked bool) Entry {
		return Entry{Name: name, Run: func(m *meter.Meter) error {
			e, err := executor.New(executor.WithSlots(m.Slots), executor.WithQueueLimit(queue))
			if err != nil {
				return err
			}
			defer func() { _ = e.Close() }()
			var seen atomic.Int64
			m.Ops(int(crawled(m.N)))
			m.Start()
			g := e.NewGroup(context.Background())
			g.SetLimit(crawlLimit)
			fetch := func() { time.Sleep(crawlFetch) }
			var visit func(depth int) func(context.Context) error
			visit = func(depth int) func(context.Context) error {
				return func(ctx context.Context) error {
					seen.Add(1)
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
			g.Go(visit(m.N))
			err = g.Wait()
			m.Stop()
			if err != nil {
				return err
			}
			return same(seen.Load(), crawled(m.N))
		}}
	}
	return Row{
		Group: "Crawl", Scenario: "limit=20", Title: "a recursive crawl: pages of 3 ms that add the pages they link to", Op: "page",
		Size: 4, QuickSize: 3, Whole: true, QuickRounds: 2,
		Entries: []Entry{
			with(contend.Executor, 2048, true),
			with(contend.Executor+"-queue-64", 64, true),
			with(contend.Executor+"-queue-65536", 65536, true),
			with(contend.Executor+"-unmarked", 2048, false),
			with(contend.Executor+"-unmarked-queue-65536", 65536, false),
			{Name: "errgroup", Run: func(m *meter.Meter) error {
				var seen atomic.Int64
				m.Ops(int(crawled(m.N)))
				m.Start()
				var g errgroup.Group
				g.SetLimit(crawlLimit)
				var visit func(depth int) func() error
				visit = func(depth int) func() error {
					return func() error {
						seen.Add(1)
						time.Sleep(crawlFetch)
						for i := 0; depth > 0 && i < crawlLinks; i++ {
							if page := visit(depth - 1); !g.TryGo(page) {
								_ = page() // gives none
							}
						}
						return nil
					}
				}
				g.Go(visit(m.N))
				err := g.Wait()
				m.Stop()
				if err != nil {
					return err
				}
				return same(seen.Load(), crawled(m.N))
			}},
		},
		Goals: []Goal{
			atMostTimes(1.2, "errgroup"), atMostTimes(1.2, "errgroup").of(contend.Executor + "-queue-64"),
			atMostTimes(1.2, "errgroup").of(contend.Executor + "-queue-65536"),
			atMostTimes(1.1, contend.Executor+"-unmarked-queue-65536").of(contend.Executor + "-unmarked"),
		},
		Note: "4,681 pages. The waits of `executor-unmarked` are not marked with Blocking, and shorter than a look of the monitor: two of them are under way at a time. " +
			"A member of the errgroup that finds it full visits the page itself, or all would wait for each other.",
	}
}
