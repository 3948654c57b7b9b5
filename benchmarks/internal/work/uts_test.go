package work

import "testing"

func TestTree_HasThePublishedSize(t *testing.T) {
	trees := []Tree{SmallT1, SmallT3, T1, T3}
	if testing.Short() {
		trees = trees[:2]
	}
	for _, tree := range trees {
		nodes, deepest := tree.Count(tree.Root())
		if nodes != tree.Nodes || deepest != tree.Levels {
			t.Errorf("%s has %d nodes on %d levels, want %d on %d",
				tree.Name, nodes, deepest, tree.Nodes, tree.Levels)
		}
	}
}

func TestTree_IsTheSameEveryTime(t *testing.T) {
	small := T1
	small.Depth = 5
	a, _ := small.Count(small.Root())
	b, _ := small.Count(small.Root())
	if a != b || a < 10 {
		t.Errorf("two walks found %d and %d nodes", a, b)
	}
}

func TestTree_DependsOnItsSeed(t *testing.T) {
	small := T1
	small.Depth = 5
	other := small
	other.Seed++
	a, _ := small.Count(small.Root())
	b, _ := other.Count(other.Root())
	if a == b {
		t.Errorf("two seeds give %d nodes each", a)
	}
}

func TestTree_BinomialNodesHaveAllChildrenOrNone(t *testing.T) {
	root := T3.Root()
	if got := T3.Children(root); got != 2000 {
		t.Errorf("the root has %d children", got)
	}
	for i := range 2000 {
		if got := T3.Children(root.Child(i)); got != 0 && got != 8 {
			t.Fatalf("child %d has %d children", i, got)
		}
	}
}
