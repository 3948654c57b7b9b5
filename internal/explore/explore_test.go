package explore

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// root is where the code is that the models copy.
const root = "../../"

// The phases of a forked child and of a runner that blocks, as fork.go and blocking.go have them.
const (
	forkQueued  = 0
	forkRunning = 1
	forkDone    = 2
	forkJoined  = 1 << 2
	forkOrphan  = 1 << 4

	phaseRunning = 0
	phaseBlocked = 1
	phaseTaken   = 2
)

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
			t.Errorf("%s is gone. A model in internal/explore copies it: bring the model in step, and remove the entry", name)
		case at.hash != mirrored[name]:
			t.Errorf("%s: %s has changed. A model in internal/explore copies it: compare the two, step by step, "+
				"change the model where they differ, and then record the new text there:\n\t%q: %q,", at.file, name, name, at.hash)
		}
	}
}

type hashed struct{ file, hash string }

// functionHashes returns a hash of the tokens of each function of the root package, without comments: a
// function named f, or a method T.f.
func functionHashes(t *testing.T) map[string]hashed {
	t.Helper()
	names, err := filepath.Glob(root + "*.go")
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
				hashes[functionName(fn)] = hashed{filepath.Base(name), hashTokens(text[from:to])}
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
	switch index := kind.(type) {
	case *ast.IndexExpr:
		kind = index.X
	case *ast.IndexListExpr:
		kind = index.X
	}
	return kind.(*ast.Ident).Name + "." + fn.Name.Name
}

// chaosCalls are the points of internal/chaos among tokens. They change nothing that a model copies.
var chaosCalls = regexp.MustCompile(`IDENT chaos\n\. \nIDENT At\n\( \nIDENT chaos\n\. \nIDENT \w+\n\) \n; \n\n` +
	`|IDENT chaos\n\. \nIDENT Forced\n\( \nIDENT chaos\n\. \nIDENT \w+\n\) \n\|\| \n` +
	`|! \nIDENT chaos\n\. \nIDENT Forced\n\( \nIDENT chaos\n\. \nIDENT \w+\n\) \n&& \n`)

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
