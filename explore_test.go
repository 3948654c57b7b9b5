package executor

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"hash/maphash"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Explorers. Each protocol is written once more as a small program, one access to shared memory per
// step, and every interleaving of its threads is tried. Go's atomics are sequentially consistent, so
// interleavings are all there is, as long as nothing plain is shared; clocks checks that.
//
// An explorer is worth the mutants that it catches: each model has switches that break the protocol in
// one place, and a test that wants every one of them found.

// model is a program of threads that share a state. S is plain data: comparable, and copied freely.
type model[S comparable] struct {
	name    string
	start   S
	threads int

	// step runs a thread up to and with its next access to something shared. It reports false if the
	// thread waits or has ended; what it did to the state is then forgotten.
	step func(s *S, thread int, m *move) bool

	always func(s *S) string             // what is wrong with a state, or ""
	atRest func(s *S) string             // the same for one in which no thread can go on
	show   func(s *S, thread int) string // for traces: where a thread is, and what it sees
}

// exploredBefore reports whether the process has run the test: what is explored does not depend on GOMAXPROCS, so
// one time is enough for all values of -cpu.
func exploredBefore(t *testing.T) bool {
	_, before := explored.LoadOrStore(t.Name(), true)
	if before {
		t.Log("the same for each GOMAXPROCS, and explored before")
	}
	return before
}

var explored sync.Map

// move is what a step tells the explorer.
type move struct {
	choice int
	more   bool
	fault  string
}

// pick returns each of 0..n-1 in one branch of the exploration. At most once in a step.
func (m *move) pick(n int) int {
	m.more = m.choice+1 < n
	return m.choice
}

// fail says what must not happen.
func (m *move) fail(format string, args ...any) {
	if m.fault == "" {
		m.fault = fmt.Sprintf(format, args...)
	}
}

// finding is the result of an exploration.
type finding struct {
	states, steps, rests int
	unfinished           bool // there are more states than maxStates
	fault                string
	trace                []string
}

// maxStates bounds an exploration. A model that needs more is too large to be run on every change.
const maxStates = 2 << 20

// explore tries all interleavings, depth first, until something is wrong. Of the states it has seen it
// keeps 64 bits of a seeded hash: with a million states, the chance that it misses one is 1 in 10^7, and
// another run misses another.
func explore[S comparable](m *model[S], most int) finding {
	type level struct {
		state          S
		thread, choice int
		moved          bool
	}
	var f finding
	seed := maphash.MakeSeed()
	seen := newHashSet()
	seen.add(maphash.Comparable(seed, m.start))
	path := []level{{state: m.start}}
	f.states = 1
	for len(path) > 0 && f.fault == "" && !f.unfinished {
		at := &path[len(path)-1]
		if at.thread == m.threads {
			if !at.moved {
				f.rests++
				f.fault = m.atRest(&at.state)
			}
			if f.fault == "" {
				path = path[:len(path)-1]
			}
			continue
		}
		next, mv := at.state, move{choice: at.choice}
		ok := m.step(&next, at.thread, &mv)
		if ok && mv.more {
			at.choice++
		} else {
			at.thread, at.choice = at.thread+1, 0
		}
		if !ok {
			continue
		}
		at.moved = true
		f.steps++
		if f.fault = mv.fault; f.fault == "" {
			f.fault = m.always(&next)
		}
		if f.fault == "" && !seen.add(maphash.Comparable(seed, next)) {
			continue
		}
		f.states++
		f.unfinished = f.states > most
		path = append(path, level{state: next})
	}
	return f
}

// shorten looks for a shortest way to something wrong, breadth first, and prints it.
func shorten[S comparable](m *model[S], most int) finding {
	type node struct {
		state          S
		parent         int
		thread, choice int
	}
	var f finding
	seed := maphash.MakeSeed()
	seen := newHashSet()
	nodes := []node{{state: m.start, parent: -1}}
	trace := func(at int) {
		var way []node
		for ; at >= 0; at = nodes[at].parent {
			way = append(way, nodes[at])
		}
		slices.Reverse(way)
		for i, n := range way[1:] {
			f.trace = append(f.trace, fmt.Sprintf("%3d  thread %d: %s", i+1, n.thread, m.show(&way[i].state, n.thread)))
		}
	}
	for at := 0; at < len(nodes) && len(nodes) < most; at++ {
		moved := false
		for thread := range m.threads {
			for choice, more := 0, true; more; choice++ {
				next, mv := nodes[at].state, move{choice: choice}
				ok := m.step(&next, thread, &mv)
				more = ok && mv.more
				if !ok {
					break
				}
				moved = true
				if f.fault = mv.fault; f.fault == "" {
					f.fault = m.always(&next)
				}
				if f.fault == "" && !seen.add(maphash.Comparable(seed, next)) {
					continue
				}
				nodes = append(nodes, node{next, at, thread, choice})
				if f.fault != "" {
					trace(len(nodes) - 1)
					return f
				}
			}
		}
		if !moved {
			if f.fault = m.atRest(&nodes[at].state); f.fault != "" {
				trace(at)
				return f
			}
		}
	}
	return f
}

// mustHold explores a model that must have nothing wrong with it, and returns the number of states.
func mustHold[S comparable](t *testing.T, m *model[S]) int {
	t.Helper()
	f := explore(m, maxStates)
	if f.fault != "" {
		short := shorten(m, maxStates/8)
		t.Fatalf("%s: %s\nA shortest way there:\n%s\n%s", m.name, f.fault, strings.Join(short.trace, "\n"), short.fault)
	}
	if f.unfinished {
		t.Fatalf("%s: more states than an explorer is made for", m.name)
	}
	t.Logf("%-34s %8d states, %8d steps, %5d ends", m.name, f.states, f.steps, f.rests)
	return f.states
}

// mustFail explores a mutant in all its settings, a little of each first, until one shows that it is wrong.
func mustFail[S comparable](t *testing.T, name string, settings ...*model[S]) {
	t.Helper()
	for most := 1 << 12; most <= maxStates; most <<= 3 {
		for _, m := range settings {
			f := explore(m, most)
			if f.fault == "" {
				continue
			}
			t.Logf("%-48s after %7d states of %q: %s", name, f.states, m.name, f.fault)
			if os.Getenv("EXECUTOR_TEST_TRACE") != "" {
				short := shorten(m, maxStates/8)
				t.Logf("a shortest way there:\n%s\n%s", strings.Join(short.trace, "\n"), short.fault)
			}
			return
		}
	}
	t.Errorf("%s: nothing is wrong with this mutant; the model, or what it checks, is too weak", name)
}

// hashSet is a set of hashes: open addressing, no deletion.
type hashSet struct {
	cells []uint64
	len   int
}

func newHashSet() *hashSet { return &hashSet{cells: make([]uint64, 1<<12)} }

// add reports whether h was new.
func (s *hashSet) add(h uint64) bool {
	if h == 0 {
		h = 1
	}
	if 2*s.len >= len(s.cells) {
		old := s.cells
		s.cells = make([]uint64, 4*len(old))
		for _, h := range old {
			if h != 0 {
				*s.place(h) = h
			}
		}
	}
	cell := s.place(h)
	if *cell == h {
		return false
	}
	*cell = h
	s.len++
	return true
}

func (s *hashSet) place(h uint64) *uint64 {
	mask := uint64(len(s.cells) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		if s.cells[i] == 0 || s.cells[i] == h {
			return &s.cells[i]
		}
	}
}

// clocks is a race check by vector clocks, reduced to what is asked of them: for each plain cell, the
// set of those that know of the last access to it. Its members are threads and, from bit objects on,
// what they synchronize by. An access by a thread that does not know of the one before is a race.
type clocks uint32

const objects = 8 // the bit of the first object; the threads come before it

// touch is a plain access to the cell by a thread. It reports false if that is a race.
func (c *clocks) touch(thread int) bool {
	ok := *c == 0 || *c>>thread&1 != 0
	*c = 1 << thread
	return ok
}

// acquire is an atomic load, or the first half of a read-modify-write; release is an atomic store, or
// the second half. As in Go's memory model, a thread learns what the one knew whose write it sees.
func acquire(cells []clocks, thread, object int) {
	for i, c := range cells {
		cells[i] |= c >> (objects + object) & 1 << thread
	}
}

func release(cells []clocks, thread, object int) {
	for i, c := range cells {
		bit := clocks(1) << (objects + object)
		cells[i] = c&^bit | c>>thread&1*bit
	}
}

// mirrored says which functions the models copy: for each, a hash of its text as it was when somebody
// last compared the two. Every model adds its own.
var mirrored = make(map[string]string)

func mirrors(hashes map[string]string) bool {
	for name, hash := range hashes {
		if old := mirrored[name]; old != "" && old != hash {
			panic(fmt.Sprintf("two models disagree about %s", name))
		}
		mirrored[name] = hash
	}
	return true
}

// A change to a function that a model copies must not go by without a look at the model.
func TestExplore_ModelsAreInStepWithTheCode(t *testing.T) {
	hashes := functionHashes(t)
	for _, name := range slices.Sorted(maps.Keys(mirrored)) {
		at, ok := hashes[name]
		switch {
		case !ok:
			t.Errorf("%s is gone. A model in explore_*_test.go copies it: bring the model in step, and remove the entry", name)
		case at.hash != mirrored[name]:
			t.Errorf("%s: %s has changed. A model in explore_*_test.go copies it: compare the two, step by step, "+
				"change the model where they differ, and then record the new text there:\n\t%q: %q,", at.file, name, name, at.hash)
		}
	}
}

type hashed struct{ file, hash string }

// functionHashes returns a hash of the tokens of each function of the package, without comments: a
// function named f, or a method T.f.
func functionHashes(t *testing.T) map[string]hashed {
	t.Helper()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	hashes := make(map[string]hashed)
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, name, text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok {
				from, to := fset.Position(fn.Pos()).Offset, fset.Position(fn.End()).Offset
				hashes[functionName(fn)] = hashed{name, hashTokens(text[from:to])}
			}
		}
	}
	return hashes
}

func functionName(fn *ast.FuncDecl) string {
	if fn.Recv == nil {
		return fn.Name.Name
	}
	kind := fn.Recv.List[0].Type
	if star, ok := kind.(*ast.StarExpr); ok {
		kind = star.X
	}
	if index, ok := kind.(*ast.IndexExpr); ok {
		kind = index.X
	}
	return kind.(*ast.Ident).Name + "." + fn.Name.Name
}

// chaosCalls are the points of chaos.go among tokens. They change nothing that a model copies.
var chaosCalls = regexp.MustCompile(`IDENT point\n\( \nIDENT \w+\n\) \n; \n\n` +
	`|IDENT forced\n\( \nIDENT \w+\n\) \n\|\| \n|! \nIDENT forced\n\( \nIDENT \w+\n\) \n&& \n`)

func hashTokens(text []byte) string {
	var s scanner.Scanner
	fset := token.NewFileSet()
	s.Init(fset.AddFile("", fset.Base(), len(text)), text, nil, 0)
	var tokens strings.Builder
	for {
		_, tok, literal := s.Scan()
		if tok == token.EOF {
			h := sha256.Sum256([]byte(chaosCalls.ReplaceAllString(tokens.String(), "")))
			return hex.EncodeToString(h[:6])
		}
		fmt.Fprintf(&tokens, "%s %s\n", tok, literal)
	}
}
