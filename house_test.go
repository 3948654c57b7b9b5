package executor

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The rules of the house: docs/ARCHITECTURE.md, "Rooms". Who needs more room moves something out first.

const (
	rootSources = 54
	rootTests   = 42
	longest     = 400 // lines of a file
)

// goFiles returns the Go files of all modules, by path.
func goFiles(t *testing.T) (files []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && (d.Name() == "testdata" || len(path) > 1 && strings.HasPrefix(d.Name(), ".")) {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, ".go") {
			files = append(files, filepath.ToSlash(path))
		}
		return err
	}))
	return files
}

func TestHouse_TheRootIsNotAHall(t *testing.T) {
	sources, tests := 0, 0
	for _, file := range goFiles(t) {
		switch {
		case strings.Contains(file, "/"):
		case strings.HasSuffix(file, "_test.go"):
			tests++
		default:
			sources++
		}
	}
	require.LessOrEqual(t, sources, rootSources, "source files in the root")
	require.LessOrEqual(t, tests, rootTests, "test files in the root")
	t.Logf("%d source files and %d test files", sources, tests)
}

func TestHouse_NoFileIsTooLongToRead(t *testing.T) {
	for _, file := range goFiles(t) {
		if strings.HasPrefix(file, "examples/") || strings.HasPrefix(file, "benchmarks/") || strings.HasPrefix(file, "compat/") {
			continue // they have tests of their own, or are tables
		}
		if file == "internal/explore/pool_steps_test.go" {
			continue // one switch: a case for each point between two accesses to shared memory
		}
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		require.LessOrEqual(t, strings.Count(string(text), "\n"), longest, "lines of %s", file)
	}
}

const module = "github.com/seed-97bda89a/executor"

// imports returns what the files of a folder import that are no tests.
func imports(t *testing.T, dir string) (paths []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		require.NoError(t, err)
		for _, spec := range file.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			require.NoError(t, err)
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// Mutant: a room imports the root, or one that it may not.
func TestHouse_RoomsImportOnlyWhatTheyMay(t *testing.T) {
	standard := func(path string) bool { return !strings.Contains(path, ".") && path != "C" }
	for dir, may := range map[string][]string{
		"internal/cgroup":   {"go.uber.org/automaxprocs/maxprocs"},
		"internal/meter":    nil,
		"internal/goid":     {"github.com/petermattis/goid"},
		"internal/chaos":    nil,
		"internal/kernel":   nil,
		"internal/crash":    nil,
		"internal/door":     {module, module + "/internal/crash"},
		"internal/explore":  nil,
		"internal/sched":    nil,
		"internal/seeds":    {module, module + "/internal/goid", module + "/internal/sched"},
		"internal/classics": {module},
		"executortest":      {module, module + "/debugpage", module + "/internal/seeds"},
		"debugpage":         {module},
	} {
		paths := imports(t, dir)
		require.NotEmpty(t, append(paths, may...), dir)
		for _, path := range paths {
			if !standard(path) {
				require.Contains(t, may, path, "%s imports", dir)
			}
		}
	}
	for _, path := range imports(t, ".") {
		require.NotContains(t, []string{"net/http", "html/template", "text/template", module + "/debugpage"}, path, "the root imports")
		if inner, ok := strings.CutPrefix(path, module+"/"); ok {
			require.True(t, strings.HasPrefix(inner, "internal/"), "the root imports the public package %s", path)
		}
	}
}

// A module that is not in the workspace is forgotten by go work, and by who looks for it.
func TestHouse_TheWorkspaceIsComplete(t *testing.T) {
	work := readDoc(t, "go.work")
	require.NoError(t, filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == "testdata" {
			return filepath.SkipDir
		}
		if filepath.Base(path) == "go.mod" && path != "go.mod" {
			require.Contains(t, work, "\t./"+filepath.ToSlash(filepath.Dir(path))+"\n", "go.work")
		}
		return err
	}))
}
