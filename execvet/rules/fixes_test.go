package rules

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestFixes_CompileAndKeepTheirMeaning applies the fixes to a copy of a program that blocks, drops an error, and uses the
// wrong context, and runs it: it must print the same.
func TestFixes_CompileAndKeepTheirMeaning(t *testing.T) {
	library, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	tool := filepath.Join(dir, "execvet")
	run(t, "..", "go", "build", "-o", tool, ".")
	program := filepath.Join(dir, "program")
	if err := os.CopyFS(program, os.DirFS("testdata/fixes")); err != nil {
		t.Fatal(err)
	}
	sums, err := os.ReadFile("testdata/go.sum")
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile("testdata/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(program, "go.sum"), sums)
	write(t, filepath.Join(program, "go.mod"), mod)
	run(t, program, "go", "mod", "edit", "-replace", home+"="+library)

	before := run(t, program, "go", "run", ".")
	for _, args := range [][]string{{"-fix", "./..."}, {"-fix", "./..."}, {"-fix", "-execgo", "./..."}} { // one fix may make room for another
		fix := exec.Command(tool, args...)
		fix.Dir, fix.Env = program, append(os.Environ(), "GOWORK=off")
		_, _ = fix.CombinedOutput() // fails if there is something to fix
	}
	after := run(t, program, "go", "run", ".")
	if before != after {
		t.Errorf("before the fixes the program printed\n%s\nand after them\n%s", before, after)
	}
	if left := run(t, program, tool, "./..."); left != "" {
		t.Errorf("left after the fixes: %s", left)
	}
	if left := run(t, program, tool, "-execgo", "./..."); left != "" {
		t.Errorf("left after the fixes: %s", left)
	}
}

func write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}
