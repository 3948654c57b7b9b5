package executor

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The documents are checked against the code: what one of them cites must exist in the other.

const (
	architecture = "docs/ARCHITECTURE.md"
	parking      = "docs/PARKING.md"
)

func readDoc(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	return string(text)
}

// rootFiles parses the Go files of the package, by name.
func rootFiles(t *testing.T) map[string]*ast.File {
	t.Helper()
	names, err := filepath.Glob("*.go")
	require.NoError(t, err)
	files := make(map[string]*ast.File)
	fset := token.NewFileSet()
	for _, name := range names {
		file, err := parser.ParseFile(fset, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		require.NoError(t, err)
		files[name] = file
	}
	return files
}

// matches returns what the first group of pattern matches in text, sorted, each once.
func matches(pattern, text string) []string {
	var found []string
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		found = append(found, m[1])
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func TestDocs_EveryInvariantCitedIsDefinedOnce(t *testing.T) {
	text := readDoc(t, architecture)
	defined := matches(`(?m)^\| \*\*([A-Z]\d+)\*\* \|`, text)
	require.NotEmpty(t, defined)
	for _, id := range defined {
		require.Equal(t, 1, strings.Count(text, "| **"+id+"** |"), "%s defines %s more than once", architecture, id)
	}
	defined = append(defined, matches(`\b(P\d+)\b`, readDoc(t, parking))...)

	cited := make(map[string]bool)
	files := rootFiles(t)
	models, err := filepath.Glob("internal/explore/*.go")
	require.NoError(t, err)
	for _, name := range models {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.SkipObjectResolution)
		require.NoError(t, err)
		files[name] = file
	}
	for name, file := range files {
		for _, group := range file.Comments {
			text := group.Text()
			for _, id := range append(matches(`\(([A-Z]\d+)\)`, text), matches(`\b([DIPBWOFLSG]\d+)\b`, text)...) {
				require.Contains(t, defined, id, "a comment in %s cites what neither %s nor %s defines", name, architecture, parking)
				cited[id] = true
			}
		}
	}
	for _, id := range defined {
		require.True(t, cited[id], "%s is defined, and no comment cites it", id)
	}
}

func TestDocs_EveryTestNamedExists(t *testing.T) {
	names := testNames(t)
	for _, doc := range append(docFiles(t), "README.md") {
		for _, name := range matches("`((?:Test|Benchmark)[A-Z]\\w*)`", readDoc(t, doc)) {
			require.Contains(t, names, name, "%s names what does not exist", doc)
		}
	}
}

// testNames returns the names of all functions in test files, of every room.
func testNames(t *testing.T) []string {
	t.Helper()
	var names []string
	require.NoError(t, filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, decl := range file.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok {
				names = append(names, fn.Name.Name)
			}
		}
		return nil
	}))
	return names
}

func TestDocs_EveryPatternFindsATest(t *testing.T) {
	names := testNames(t)
	for _, doc := range append(docFiles(t), "README.md") {
		for _, command := range matches("(?m)(?:^|`)(?:[A-Z_]+=\\S+ )*(go test [^`\n]+)", readDoc(t, doc)) {
			for flag, prefix := range map[string]string{"-run": "Test", "-bench": "Benchmark"} {
				for _, pattern := range matches(flag+` '?([^\s']+)`, command) {
					if pattern == "XXX" || pattern == "." {
						continue
					}
					pattern, _, _ = strings.Cut(strings.ReplaceAll(pattern, `\|`, "|"), "/") // as in a table; the rest is for subtests
					found := slices.ContainsFunc(names, func(name string) bool {
						return (strings.HasPrefix(name, prefix) || flag == "-run" && strings.HasPrefix(name, "Example")) && regexp.MustCompile(pattern).MatchString(name)
					})
					require.True(t, found, "%s: nothing to be found by %s %s", doc, flag, pattern)
				}
			}
		}
	}
}

func docFiles(t *testing.T) []string {
	t.Helper()
	pages, err := filepath.Glob("docs/*.md")
	require.NoError(t, err)
	decisions, err := filepath.Glob("docs/decisions/*.md")
	require.NoError(t, err)
	return append(pages, decisions...)
}

// The number of a decision is in its name and in its heading, and no two have the same.
func TestDocs_DecisionsAreNumbered(t *testing.T) {
	decisions, err := filepath.Glob("docs/decisions/*.md")
	require.NoError(t, err)
	for i, file := range decisions {
		n := i + 1
		require.True(t, strings.HasPrefix(filepath.Base(file), fmt.Sprintf("%04d-", n)), "%s should be number %d", file, n)
		require.True(t, strings.HasPrefix(readDoc(t, file), fmt.Sprintf("# %d. ", n)), "the heading of %s should have number %d", file, n)
	}
}

func TestDocs_EveryFileIsOnTheMap(t *testing.T) {
	_, text, _ := strings.Cut(readDoc(t, architecture), "## Where things are")
	text, _, _ = strings.Cut(text, "\n## ")
	listed := matches("`(\\w+\\.go)`", text)
	var files []string
	for name := range rootFiles(t) {
		if !strings.HasSuffix(name, "_test.go") {
			files = append(files, name)
		}
	}
	slices.Sort(files)
	require.Equal(t, files, listed, "the table of files in %s", architecture)
}

func TestDocs_EveryLinkLeadsSomewhere(t *testing.T) {
	pages, err := filepath.Glob("*.md")
	require.NoError(t, err)
	for _, page := range append(pages, docFiles(t)...) {
		prose := regexp.MustCompile("(?s)```.*?```").ReplaceAllString(readDoc(t, page), "")
		for _, target := range matches(`\]\(([^)#\s]+)[^)]*\)`, prose) {
			if strings.Contains(target, "://") {
				continue
			}
			_, err := os.Stat(filepath.Join(filepath.Dir(page), target))
			require.NoError(t, err, "a link in %s", page)
		}
	}
}

// The pages for users.
const (
	guide     = "docs/GUIDE.md"
	observing = "docs/OBSERVING.md"
)

func TestDocs_TheReadmeIsShort(t *testing.T) {
	require.LessOrEqual(t, len(strings.Fields(readDoc(t, "README.md"))), 1500, "words in README.md: move some to docs/")
}

func TestDocs_TheGuideNamesEverythingExported(t *testing.T) {
	text := readDoc(t, guide) + readDoc(t, observing)
	for name, file := range rootFiles(t) {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		for _, decl := range file.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Name.IsExported() && public(fn) {
				named := regexp.MustCompile(`\b` + fn.Name.Name + `\b`).MatchString(text)
				require.True(t, named, "neither %s nor %s names %s, which %s exports", guide, observing, fn.Name.Name, name)
			}
		}
	}
}

// public reports whether fn is a function, or a method of a type that is exported and more than a value.
func public(fn *ast.FuncDecl) bool {
	if fn.Recv == nil {
		return true
	}
	of := types.ExprString(fn.Recv.List[0].Type)
	return regexp.MustCompile(`^\*?(Executor|Group|Future|Forked|Bulkhead)\b`).MatchString(of) && fn.Name.Name != "String"
}

func TestDocs_TheMetricsAreListed(t *testing.T) {
	source := readDoc(t, "otel.go") + readDoc(t, "ledger.go") + readDoc(t, "taskstats.go")
	const metric = `executor(?:\.[a-z]+){2,}`
	made := matches(`(?:(?:\{|: +\{)(?:upDown|counter|growing|seconds|number), |durations\((?:meter, )?|ObservableCounter\()"(`+metric+`)"`, source)
	require.NotEmpty(t, made)
	require.Equal(t, made, matches("(?m)^\\| `("+metric+")` \\|", readDoc(t, observing)), "the table of metrics in %s", observing)
}

// snippet is a fenced block of Go in a document. A word after "go" in the first line tells what it is.
type snippet struct {
	doc, kind, code string
	line            int
}

func snippets(t *testing.T, doc string) []snippet {
	t.Helper()
	var found []snippet
	var open *snippet
	for i, line := range strings.SplitAfter(readDoc(t, doc), "\n") {
		info, fence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case open == nil && fence:
			open = &snippet{doc: doc, kind: info, line: i + 1}
		case fence:
			if open.kind == "go" || strings.HasPrefix(open.kind, "go ") {
				found = append(found, *open)
			}
			open = nil
		case open != nil:
			open.code += line
		}
	}
	require.Nil(t, open, "%s: a code block that does not end", doc)
	return found
}

func TestDocs_TheStatsAreListed(t *testing.T) {
	text := readDoc(t, observing)
	fields := reflect.TypeFor[Stats]()
	for i := range fields.NumField() {
		require.True(t, strings.Contains(text, "`"+fields.Field(i).Name+"`"), "%s does not name Stats.%s", observing, fields.Field(i).Name)
	}
}

// TestDocs_TheCodeIsCorrect compares whole programs with the examples, and recipes with recipes_test.go, where they run. It
// checks the types of all other blocks but those marked "go peer", which use packages that this module does not require.
func TestDocs_TheCodeIsCorrect(t *testing.T) {
	recipes := functionBodies(t, "recipes_test.go", "Example_")
	var parts []snippet
	programs := 0
	for _, doc := range []string{"README.md", guide, observing, "docs/CONTAINERS.md", "docs/MIGRATING.md", "docs/RECIPES.md"} {
		for _, s := range snippets(t, doc) {
			name, marked := strings.CutPrefix(s.kind, "go ")
			switch {
			case name == "peer":
			case marked:
				require.Equal(t, recipes[name], s.code, "%s:%d and Example_%s in recipes_test.go", doc, s.line, name)
				delete(recipes, name)
			case strings.Contains(s.code, "package main\n"):
				requireExample(t, s)
				programs++
			default:
				parts = append(parts, s)
			}
		}
	}
	require.NotZero(t, programs)
	require.NotEmpty(t, parts)
	require.Empty(t, recipes, "recipes that no page shows")
	if testing.Short() {
		t.Skip("types are not checked with -short")
	}
	imports := newExports(t, "context", "errors", "expvar", "fmt", "net/http", "os", "os/signal", "sync", "syscall", "testing", "testing/synctest", "time",
		"github.com/seed-97bda89a/executor", "github.com/seed-97bda89a/executor/debugpage", "github.com/stretchr/testify/require", "go.uber.org/goleak", "golang.org/x/sync/errgroup")
	for _, s := range parts {
		imports.check(t, s)
	}
}

// functionBodies returns what stands in the functions of a file whose names begin with prefix, by the rest of the name.
func functionBodies(t *testing.T, file, prefix string) map[string]string {
	t.Helper()
	bodies := make(map[string]string)
	for _, m := range regexp.MustCompile(`(?ms)^func `+prefix+`(\w+)\(\) \{\n(.*?)^\}$`).FindAllStringSubmatch(readDoc(t, file), -1) {
		bodies[m[1]] = regexp.MustCompile(`(?m)^\t`).ReplaceAllString(m[2], "")
	}
	return bodies
}

func requireExample(t *testing.T, s snippet) {
	t.Helper()
	examples, err := filepath.Glob("examples/*/main.go")
	require.NoError(t, err)
	for _, name := range examples {
		if readDoc(t, name) == s.code {
			return
		}
	}
	t.Errorf("%s:%d: the program is none of examples/*/main.go", s.doc, s.line)
}

// exports knows the types of compiled packages.
type exports struct {
	importer types.Importer
	fset     *token.FileSet
	header   string
}

func newExports(t *testing.T, paths ...string) *exports {
	t.Helper()
	var stderr bytes.Buffer
	list := exec.Command("go", append([]string{"list", "-export", "-deps", "-json=ImportPath,Export"}, paths...)...)
	list.Stderr = &stderr
	out, err := list.Output()
	require.NoError(t, err, "go list: %s", stderr.String())
	files := make(map[string]string)
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var p struct{ ImportPath, Export string }
		require.NoError(t, d.Decode(&p))
		files[p.ImportPath] = p.Export
	}
	x := &exports{fset: token.NewFileSet()}
	x.importer = importer.ForCompiler(x.fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(files[path]) })
	x.header = "package readme\n"
	for _, path := range paths {
		x.header += "import " + strconv.Quote(path) + "\n"
	}
	// What the blocks may use without declaring it.
	x.header += `
		var ctx context.Context
		var exec *executor.Executor
		type Row struct{ ID int }
		func query(context.Context, int) (Row, error)
		func handle(context.Context, Row) error
		func score(Row) int
		func use(...any)
		var ids []int
		var rows []Row
	`
	return x
}

// check type-checks s, which is the inside of a function, or declarations. Variables and imports may go unused.
func (x *exports) check(t *testing.T, s snippet) {
	t.Helper()
	code := s.code
	if !strings.HasPrefix(code, "func ") {
		code = "func _() error {\n" + code + "\nreturn nil\n}"
	}
	file, err := parser.ParseFile(x.fset, s.doc, x.header+code, parser.SkipObjectResolution)
	require.NoError(t, err, "the block at %s:%d", s.doc, s.line)
	config := types.Config{Importer: x.importer, IgnoreFuncBodies: false, Error: func(err error) {
		var te types.Error
		if e, ok := err.(types.Error); ok {
			te = e
		}
		if te.Soft || strings.Contains(te.Msg, "missing function body") {
			return
		}
		t.Errorf("the block at %s:%d: %v", s.doc, s.line, te.Msg)
	}}
	_, _ = config.Check("readme", x.fset, []*ast.File{file}, nil) // every error has been told
}
