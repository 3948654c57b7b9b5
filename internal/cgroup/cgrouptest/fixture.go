// Package cgrouptest has what tests of CPU quotas need: trees of files as the kernel shows them, and real cgroups.
package cgrouptest

import (
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Fixture is one file of testdata: words on what it shows, the lines
// "want:" and "stat:", and after a line "-- name --" each file of the tree.
type Fixture struct {
	Root  string  // of the tree, a temporary directory of the test
	CPUs  float64 // the quota, and the group that sets it
	Group string

	Periods, Throttled uint64 // what cpu.stat of that group says
	Time               time.Duration
}

//go:embed testdata/*.txt
var files embed.FS

// Names returns the names of all fixtures.
func Names(t testing.TB) (names []string) {
	t.Helper()
	entries, err := files.ReadDir("testdata")
	require.NoError(t, err)
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".txt"))
	}
	return names
}

// Load makes the tree of a fixture.
func Load(t testing.TB, name string) Fixture {
	t.Helper()
	text, err := files.ReadFile("testdata/" + name + ".txt")
	require.NoError(t, err)
	f := Fixture{Root: t.TempDir()}
	file, wanted := "", false
	for line := range strings.Lines(strings.ReplaceAll(string(text), "\r\n", "\n")) {
		if s, ok := strings.CutPrefix(line, "-- "); ok {
			file, ok = strings.CutSuffix(s, " --\n")
			require.True(t, ok, line)
			f.Write(t, file, "")
			continue
		}
		if file != "" {
			old, err := os.ReadFile(filepath.Join(f.Root, file))
			require.NoError(t, err)
			f.Write(t, file, string(old)+line)
			continue
		}
		line = strings.TrimSuffix(line, "\n")
		if want, ok := strings.CutPrefix(line, "want: "); ok {
			wanted = true
			if want != "none" {
				number, group, _ := strings.Cut(want, " ")
				_, err := fmt.Sscan(number, &f.CPUs)
				require.NoError(t, err)
				f.Group = group
			}
		}
		if stat, ok := strings.CutPrefix(line, "stat: "); ok {
			var d string
			_, err := fmt.Sscan(stat, &f.Periods, &f.Throttled, &d)
			require.NoError(t, err)
			f.Time, err = time.ParseDuration(d)
			require.NoError(t, err)
		}
	}
	require.True(t, wanted, "%s does not say what it wants", name)
	return f
}

// Write changes a file in place, as the kernel does with its own.
func (f Fixture) Write(t testing.TB, file, text string) {
	t.Helper()
	file = filepath.Join(f.Root, file)
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
}
