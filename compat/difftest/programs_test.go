package difftest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each program below programs/ prints the same when the imports of its peer are changed, and nothing else, whatever
// the number of processors.
func TestPrograms(t *testing.T) {
	sources, err := filepath.Glob("programs/*/main.go")
	require.NoError(t, err)
	require.Len(t, sources, 5)
	for _, source := range sources {
		dir := filepath.Dir(source)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			text, err := os.ReadFile(source)
			require.NoError(t, err)
			o := overlay{t: t, files: make(map[string]string)}
			seems, err := filepath.Abs(source)
			require.NoError(t, err)
			swapped := suite{}.swap(text)
			require.NotEqual(t, string(text), string(swapped))
			o.add(seems, swapped)
			before := build(t, dir)
			after := build(t, dir, "-overlay", o.write())
			for _, procs := range []string{"1", "2", "8"} {
				want := output(t, before, procs)
				require.NotEmpty(t, want)
				require.Equal(t, want, output(t, after, procs), "GOMAXPROCS %s", procs)
			}
		})
	}
}

// build compiles a program and returns its file.
func build(t *testing.T, dir string, flags ...string) string {
	file := filepath.Join(t.TempDir(), "program.exe")
	args := append([]string{"build", "-o", file}, flags...)
	if raceEnabled {
		args = append(args, "-race")
	}
	out, err := exec.Command("go", append(args, "./"+filepath.ToSlash(dir))...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return file
}

// output runs a program and returns what it prints.
func output(t *testing.T, file, procs string) string {
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(file)
	cmd.Env = append(os.Environ(), "GOMAXPROCS="+procs)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	require.NoError(t, cmd.Run(), "%s", &stderr)
	return strings.ReplaceAll(stdout.String(), "\r\n", "\n")
}
