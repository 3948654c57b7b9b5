package work

import (
	"crypto/sha1"
	"encoding/binary"
	"math"
)

// A Tree is a tree of the Unbalanced Tree Search benchmark (Olivier and others,
// "UTS: An Unbalanced Tree Search Benchmark", LCPC 2006). No node knows how big
// its subtree is, and sizes differ wildly, so that only dynamic balancing can
// spread the search. The random numbers are a splittable chain of SHA-1 sums,
// so that the tree is the same everywhere and its size can be published.
type Tree struct {
	Name string
	Seed int32

	// A geometric tree has Depth levels, and below the root a number of
	// children with a geometric distribution of mean Branch.
	Depth  int
	Branch float64

	// A binomial tree has Roots children at its root; any other node has
	// Fanout children with probability Chance, or none. Fanout 0 means
	// geometric.
	Roots  int
	Fanout int
	Chance float64

	// Published size and depth.
	Nodes, Levels int
}

// The sample trees of the benchmark's distribution that this suite uses.
var (
	T1 = Tree{Name: "T1", Seed: 19, Depth: 10, Branch: 4, Nodes: 4130071, Levels: 10}
	T3 = Tree{Name: "T3", Seed: 42, Roots: 2000, Fanout: 8, Chance: 0.124875, Nodes: 4112897, Levels: 1572}
)

// Small trees of the same two kinds. Their sizes are not published, but counted
// by Count.
var (
	SmallT1 = Tree{Name: "T1", Seed: 19, Depth: 8, Branch: 4, Nodes: 257042, Levels: 8}
	SmallT3 = Tree{Name: "T3", Seed: 42, Roots: 2000, Fanout: 8, Chance: 0.123, Nodes: 247729, Levels: 261}
)

// maxChildren bounds the children of a node, but for a binomial root.
const maxChildren = 100

// A TreeNode is a node of a Tree: its random state and its level.
type TreeNode struct {
	state [sha1.Size]byte
	Level int
}

// Root returns the root of the tree.
func (t Tree) Root() TreeNode {
	var seed [sha1.Size]byte
	binary.BigEndian.PutUint32(seed[16:], uint32(t.Seed))
	return TreeNode{state: sha1.Sum(seed[:])}
}

// Child returns the i-th child of n. It needs nothing but n and i.
func (n TreeNode) Child(i int) TreeNode {
	var in [sha1.Size + 4]byte
	copy(in[:], n.state[:])
	binary.BigEndian.PutUint32(in[sha1.Size:], uint32(i))
	return TreeNode{state: sha1.Sum(in[:]), Level: n.Level + 1}
}

// random returns the node's random number in [0, 1).
func (n TreeNode) random() float64 {
	return float64(binary.BigEndian.Uint32(n.state[16:])&0x7fffffff) / (1 << 31)
}

// Children returns how many children n has.
func (t Tree) Children(n TreeNode) int {
	if t.Fanout > 0 {
		return t.binomial(n)
	}
	if n.Level >= t.Depth {
		return 0
	}
	p := 1 / (1 + t.Branch)
	k := math.Floor(math.Log(1-n.random()) / math.Log(1-p))
	return min(int(k), maxChildren)
}

func (t Tree) binomial(n TreeNode) int {
	switch {
	case n.Level == 0:
		return t.Roots
	case n.random() < t.Chance:
		return t.Fanout
	default:
		return 0
	}
}

// Count walks the whole subtree of n in one goroutine, and returns its nodes
// and the deepest level.
func (t Tree) Count(n TreeNode) (nodes, deepest int) {
	nodes, deepest = 1, n.Level
	for i := range t.Children(n) {
		below, level := t.Count(n.Child(i))
		nodes += below
		deepest = max(deepest, level)
	}
	return nodes, deepest
}
