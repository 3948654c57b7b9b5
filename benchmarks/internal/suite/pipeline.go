package suite

import (
	"context"
	"crypto/sha256"
	"os"
	"sync/atomic"

	"github.com/seed-97bda89a/executor"

	"github.com/seed-97bda89a/executor/benchmarks/internal/contend"
	"github.com/seed-97bda89a/executor/benchmarks/internal/meter"
	"github.com/seed-97bda89a/executor/benchmarks/internal/work"
)

// documents decodes, changes and encodes JSON, a task a document.
func documents() Row {
	var docs [][]byte
	want := 0
	var articles, bad atomic.Int64
	entries := partsOf(func(_ context.Context, i int) {
		n, err := work.CountArticles(docs[i])
		if err != nil {
			bad.Add(1)
		}
		articles.Add(int64(n))
	}, func() error {
		if err := same(bad.Swap(0), 0); err != nil {
			return err
		}
		return same(articles.Swap(0), int64(want))
	})
	entries = append(entries, Entry{Name: "executor-map", Run: func(m *meter.Meter) error {
		return inExecutor(m, want, func(ctx context.Context) int {
			e, _ := executor.FromContext(ctx)
			counts, err := executor.Map(ctx, e, docs, func(_ context.Context, doc []byte) (int, error) {
				return work.CountArticles(doc)
			})
			if err != nil {
				return -1
			}
			sum := 0
			for _, n := range counts {
				sum += n
			}
			return sum
		})
	}})
	return Row{
		Group: "Work", Scenario: "json", Title: "decode, change and encode JSON, a task a document", Op: "document",
		Size: 8_000, QuickSize: 2000, Whole: true, QuickRounds: 3,
		Setup: func(quick bool) (func(), error) {
			docs, want = work.Documents(map[bool]int{false: 8_000, true: 2000}[quick])
			return func() { docs = nil }, nil
		},
		Entries: entries,
		Note:    "Documents of about a kilobyte. `executor-map` keeps the results in order.",
	}
}

// files hashes a tree of files, a task a file.
func files() Row {
	var paths []string
	var digests []work.Digest
	var want work.Digest
	hash := func(i int) {
		data, err := os.ReadFile(paths[i])
		if err != nil {
			digests[i] = work.Digest{} // the check will see it
			return
		}
		digests[i] = sha256.Sum256(data)
	}
	check := func() error {
		got := work.Combine(digests)
		clear(digests)
		return same(got, want)
	}
	entries := partsOf(func(_ context.Context, i int) { hash(i) }, check)
	entries = append(entries, Entry{Name: "executor-blocking", Run: func(m *meter.Meter) error {
		c := contend.Named(contend.Executor)[0]
		return withPool(m, c, contend.Config{Slots: m.Slots}, func(p contend.Pool) error {
			m.Start()
			err := c.Each(p, m.N, func(ctx context.Context, i int) { hashMarked(ctx, paths[i], &digests[i]) })
			if err != nil {
				return err
			}
			if err := p.Wait(); err != nil {
				return err
			}
			m.Stop()
			return check()
		})
	}})
	return Row{
		Group: "Work", Scenario: "sha256", Title: "SHA-256 of a tree of files, a task a file", Op: "file",
		Size: 600, QuickSize: 100, Whole: true, QuickRounds: 3,
		Setup: func(quick bool) (func(), error) {
			dir, err := os.MkdirTemp("", "executor-bench-")
			if err != nil {
				return nil, err
			}
			teardown := func() { _ = os.RemoveAll(dir) } // the system's temporary folder, cleaned by others
			n := map[bool]int{false: 600, true: 100}[quick]
			if paths, err = work.FileTree(dir, n); err != nil {
				teardown()
				return nil, err
			}
			digests = make([]work.Digest, n)
			for i := range n {
				hash(i)
			}
			want = work.Combine(digests)
			clear(digests)
			return teardown, nil
		},
		Entries: entries,
		Note: "1 KB to 1 MB each, in the page cache. `executor-blocking` reads inside Blocking, which pays when a disk makes readers wait, " +
			"and here shows what the marking costs.",
	}
}

func hashMarked(ctx context.Context, path string, out *work.Digest) {
	var data []byte
	var err error
	executor.Blocking(ctx, func() { data, err = os.ReadFile(path) })
	if err == nil {
		*out = sha256.Sum256(data)
	}
}

// deepStacks has tasks that need more stack than a new goroutine has.
func deepStacks() Row {
	const depth = 100
	return Row{
		Group: "Work", Scenario: "deep-stack", Title: "tasks that recurse a hundred frames deep", Op: "task",
		Size: 300_000, QuickSize: 30_000, QuickRounds: 3,
		Entries: entriesFor(contend.All(), func(m *meter.Meter, _ contend.Contender, p contend.Pool) error {
			var sum atomic.Int64
			t := contend.TaskOf(func(context.Context) { sum.Add(int64(work.Deep(depth))) })
			m.Start()
			if err := produce(p, m.N, 1, t); err != nil {
				return err
			}
			if err := p.Wait(); err != nil {
				return err
			}
			m.Stop()
			return same(sum.Load(), int64(depth*m.N))
		}),
		Note: "About 25 KB of stack a task. A worker that is used again has grown its stack once; a new goroutine grows it each time.",
		Plot: true,
	}
}
