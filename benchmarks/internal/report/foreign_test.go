package report

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-97bda89a/executor/benchmarks/internal/suite"
)

func TestForeign_IsReadAndSaidFastestFirst(t *testing.T) {
	path := filepath.Join(t.TempDir(), "results.txt")
	text := "# 2026-01-02, some processor\n# oneTBB 1, rayon 2\noneTBB fib 2 45.0\nrayon fib 2 7.0\nrayon skynet 2 1200\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := ReadForeign(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := "2026-01-02, some processor; oneTBB 1, rayon 2"; f.When != want {
		t.Errorf("%q, want %q", f.When, want)
	}
	if got, want := f.of(suite.Row{Foreign: "fib"}), "rayon 7.00 ns, oneTBB 45.0 ns"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := f.of(suite.Row{}); got != "" {
		t.Errorf("a row that others do not have says %q", got)
	}
}

func TestForeign_AMissingFileIsNothingAndABadOneAnError(t *testing.T) {
	dir := t.TempDir()
	if f, err := ReadForeign(filepath.Join(dir, "none")); f != nil || err != nil || f.of(suite.Row{Foreign: "fib"}) != "" {
		t.Errorf("%v, %v", f, err)
	}
	path := filepath.Join(dir, "bad")
	if err := os.WriteFile(path, []byte("oneTBB fib fast\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadForeign(path); err == nil || !strings.Contains(err.Error(), "oneTBB fib fast") {
		t.Errorf("%v", err)
	}
}

// Every workload that a row names is one that run.sh measures, in all three programs.
func TestForeign_WorkloadsAreMeasured(t *testing.T) {
	for _, file := range []string{"tbb.cpp", "Bench.java", "rust/src/main.rs"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "foreign", file))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range suite.All() {
			name := strings.TrimRight(r.Foreign, "14")
			if r.Foreign != "" && !strings.Contains(string(text), `"`+name) {
				t.Errorf("%s does not measure %q of %s", file, r.Foreign, r.Name())
			}
		}
	}
}
