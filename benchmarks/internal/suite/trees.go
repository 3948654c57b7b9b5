package suite

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/seed-97bda89a/executor"

	"github.com/seed-97bda89a/executor/benchmarks/internal/contend"
	"github.com/seed-97bda89a/executor/benchmarks/internal/meter"
	"github.com/seed-97bda89a/executor/benchmarks/internal/work"
)

// treeSearch walks a tree of the Unbalanced Tree Search benchmark with a task
// for every node, and checks the published number of nodes.
func treeSearch(tree work.Tree, quick work.Tree, what string) Row {
	pick := func(m *meter.Meter) work.Tree {
		t := tree
		if m.Quick {
			t = quick
		}
		m.Ops(t.Nodes)
		return t
	}
	entries := []Entry{
		{Name: contend.Executor, Run: func(m *meter.Meter) error {
			t := pick(m)
			return inExecutor(m, t.Nodes, func(ctx context.Context) int { return countForked(ctx, t, t.Root()) })
		}},
	}
	for _, c := range contend.All() {
		name := c.Name
		if c.Name == contend.Executor {
			name = "executor-go"
		}
		if !c.Nests {
			entries = append(entries, skipped("Submit waits for a worker, so that tasks which submit soon all wait for each other for ever", name)...)
			continue
		}
		entries = append(entries, Entry{Name: name, Run: func(m *meter.Meter) error {
			t := pick(m)
			return withPool(m, c, contend.Config{Slots: m.Slots}, func(p contend.Pool) error { return countSubmitted(m, t, p) })
		}})
	}
	entries = append(entries,
		Entry{Name: "go-join", Run: func(m *meter.Meter) error {
			t := pick(m)
			return measured(m, t.Nodes, func() int { return countGo(t, t.Root()) })
		}},
		Entry{Name: serial, Run: func(m *meter.Meter) error {
			t := pick(m)
			return measured(m, t.Nodes, func() int { nodes, _ := t.Count(t.Root()); return nodes })
		}})
	return Row{
		Group: "Tree", Scenario: tree.Name, Title: "unbalanced tree search, " + what + ", a task a node", Op: "node",
		Size: 1, QuickSize: 1, Whole: true, QuickRounds: 2,
		Entries: entries,
		Note: fmt.Sprintf("UTS tree %s, %d nodes, depth %d (a smaller one in a quick look); a node costs a SHA-1 sum. `executor` and `go-join` fork and "+
			"join, the others only submit and count the nodes that are not done yet.", tree.Name, tree.Nodes, tree.Levels),
	}
}

// countForked counts the subtree of n with a forked task for each child but
// the first.
func countForked(ctx context.Context, t work.Tree, n work.TreeNode) int {
	children := t.Children(n)
	if children == 0 {
		return 1
	}
	var few [8]executor.Forked[int]
	forked := few[:0]
	for i := 1; i < children; i++ {
		child := n.Child(i)
		forked = append(forked, executor.Fork(ctx, func(ctx context.Context) int { return countForked(ctx, t, child) }))
	}
	nodes := 1 + countForked(ctx, t, n.Child(0))
	for i := len(forked) - 1; i >= 0; i-- {
		nodes += forked[i].Join(ctx)
	}
	return nodes
}

// countGo is countForked with goroutines.
func countGo(t work.Tree, n work.TreeNode) int {
	children := t.Children(n)
	if children == 0 {
		return 1
	}
	var nodes atomic.Int64
	var wg sync.WaitGroup
	for i := 1; i < children; i++ {
		wg.Go(func() { nodes.Add(int64(countGo(t, n.Child(i)))) })
	}
	first := countGo(t, n.Child(0))
	wg.Wait()
	return 1 + first + int(nodes.Load())
}

// A search is a walk in which nobody waits for children: pending counts the
// nodes that are known and not done.
type search struct {
	tree    work.Tree
	pool    contend.Pool
	pending atomic.Int64
	nodes   atomic.Int64
	failed  atomic.Bool
	done    chan struct{}
}

func countSubmitted(m *meter.Meter, t work.Tree, p contend.Pool) error {
	s := &search{tree: t, pool: p, done: make(chan struct{})}
	s.pending.Store(1)
	m.Start()
	s.submit(context.Background(), t.Root())
	<-s.done
	m.Stop()
	if err := p.Wait(); err != nil {
		return err
	}
	if s.failed.Load() {
		return errors.New("a node was refused")
	}
	return same(s.nodes.Load(), int64(t.Nodes))
}

func (s *search) submit(ctx context.Context, n work.TreeNode) {
	if err := s.pool.Submit(ctx, contend.TaskOf(func(ctx context.Context) { s.visit(ctx, n) })); err != nil {
		s.failed.Store(true)
		s.finish(0)
	}
}

func (s *search) visit(ctx context.Context, n work.TreeNode) {
	children := s.tree.Children(n)
	s.pending.Add(int64(children))
	for i := range children {
		s.submit(ctx, n.Child(i))
	}
	s.finish(1)
}

func (s *search) finish(nodes int64) {
	s.nodes.Add(nodes)
	if s.pending.Add(-1) == 0 {
		close(s.done)
	}
}
