package difftest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// suite is a peer's package whose own tests and examples run on its door.
type suite struct {
	peer  string   // import path
	leave []string // files of tests that test what is inside the peer
	edits []edit   // where tests read what is inside the peer, and say something without it too
	run   string   // the tests to run: a pattern. Default: all
	skip  string   // tests that test nothing but what is inside
	bind  string   // the door that has Use: then the suite runs without an executor, on one of one slot, and on one of two
	more  []string // packages that the tests need, as paths below the peer
}

// raceEnabled says that this test runs under the race detector: then the suites do too.
var raceEnabled bool

// edit replaces what matches a pattern.
type edit struct{ pattern, text string }

var suites = []suite{
	{peer: "golang.org/x/sync/errgroup", bind: "errgroup"},
	{peer: "github.com/sourcegraph/conc", bind: "conc"},
	{peer: "github.com/sourcegraph/conc/pool", bind: "conc"},
	{peer: "github.com/sourcegraph/conc/iter", bind: "conc"},
	{peer: "github.com/sourcegraph/conc/stream", bind: "conc"},
	{peer: "github.com/sourcegraph/conc/panics"},
	{peer: "github.com/panjf2000/ants/v2", leave: []string{"worker_stack_test.go", "worker_loop_queue_test.go"}, run: "Example|Panic|MaxBlocking|Reboot|Infinite"}, // all take minutes
	{
		peer: "github.com/gammazero/workerpool", skip: "TestReuseWorkers|TestWorkerTimeout|TestWorkerNoTimeout", // they count idle goroutines
		edits: []edit{
			{`\bmax\b`, "most"}, // a constant, in the package's scope
			{`wp\.maxWorkers`, "wp.Size()"},
			{`wp\.waitingQueue\.Len\(\)`, "0"},
			{`wp\.waitingQueue\.Cap\(\)`, "0"},
			{`wp\.killIdleWorker\(\)`, "false"},
			{`case w\.workerQueue <- wait`, "case (chan func())(nil) <- wait"},
		},
	},
	{peer: "github.com/gammazero/workerpool/pacer"},
	{
		peer: "github.com/alitto/pond/v2", leave: []string{"task_test.go"}, more: []string{"internal/assert"},
		edits: []edit{{`.*internalPool.*\n`, ""}},
	},
}

// The tests and examples of the peers pass on the doors, with only the import changed: they are compiled as if they stood in
// the door's directory, by an overlay, so that they are the ones of the pinned version.
func TestSuites(t *testing.T) {
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	for _, s := range suites {
		door := strings.TrimPrefix(doors[s.peer], compat)
		slots := []int{0}
		if s.bind != "" {
			slots = []int{0, 1, 2}
		}
		for _, n := range slots {
			t.Run(fmt.Sprintf("%s/%d slots", door, n), func(t *testing.T) {
				o := overlay{t: t, files: make(map[string]string)}
				s.place(&o, filepath.Join(root, "compat", filepath.FromSlash(door)), n)
				args := []string{"test", "-count=1", "-vet=off", "-timeout=5m", "-overlay", o.write()}
				if raceEnabled {
					args = append(args, "-race")
				}
				if s.run != "" {
					args = append(args, "-run", s.run)
				}
				if s.skip != "" {
					args = append(args, "-skip", s.skip)
				}
				// Some of these tests count on timing, which is not ours to change: a fault fails each time.
				for attempt := 1; ; attempt++ {
					cmd := exec.Command("go", append(args, doors[s.peer])...)
					cmd.Dir = root
					cmd.Env = append(os.Environ(), "GOWORK=off")
					out, err := cmd.CombinedOutput()
					if err == nil {
						break
					}
					require.Less(t, attempt, 3, "%s", out)
					t.Logf("%s", out)
				}
			})
		}
	}
}

// place puts the suite's files into the door's directory.
func (s suite) place(o *overlay, dir string, slots int) {
	own, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	require.NoError(o.t, err)
	for _, file := range own {
		o.files[file] = "" // not there
	}
	from := peerDir(o.t, s.peer)
	files, err := filepath.Glob(filepath.Join(from, "*_test.go"))
	require.NoError(o.t, err)
	require.NotEmpty(o.t, files)
	for _, file := range files {
		name := filepath.Base(file)
		if slices.Contains(s.leave, name) {
			continue
		}
		text, err := os.ReadFile(file)
		require.NoError(o.t, err)
		o.add(filepath.Join(dir, "peer_"+name), s.swap(text))
	}
	for _, p := range s.more {
		files, err := filepath.Glob(filepath.Join(from, filepath.FromSlash(p), "*.go"))
		require.NoError(o.t, err)
		for _, file := range files {
			text, err := os.ReadFile(file)
			require.NoError(o.t, err)
			o.add(filepath.Join(dir, filepath.FromSlash(p), filepath.Base(file)), text)
		}
	}
	if slots > 0 {
		o.add(filepath.Join(dir, "peer_bind_test.go"), fmt.Appendf(nil, binding, path.Base(doors[s.peer]), compat+s.bind, slots))
	}
}

const binding = `package %s_test

import (
	"github.com/seed-97bda89a/executor"
	door %q
)

func init() {
	e, err := executor.New(executor.WithSlots(%d))
	if err != nil {
		panic(err)
	}
	door.Use(e)
}
`

// swap changes the imports of the peers' packages to those of the doors, and makes the edits.
func (s suite) swap(text []byte) []byte {
	for peer, door := range doors {
		text = bytes.ReplaceAll(text, []byte(peer), []byte(door)) // an example prints the path, too
	}
	for _, e := range s.edits {
		text = regexp.MustCompile(e.pattern).ReplaceAll(text, []byte(e.text))
	}
	return text
}

// overlay is files for the go command that are not where they seem to be.
type overlay struct {
	t     *testing.T
	files map[string]string // where they seem to be, and where they are
}

func (o *overlay) add(name string, text []byte) {
	file := filepath.Join(o.t.TempDir(), filepath.Base(name))
	require.NoError(o.t, os.WriteFile(file, text, 0o600))
	o.files[name] = file
}

// write returns the file that says so to the go command.
func (o *overlay) write() string {
	text, err := json.Marshal(map[string]any{"Replace": o.files})
	require.NoError(o.t, err)
	file := filepath.Join(o.t.TempDir(), "overlay.json")
	require.NoError(o.t, os.WriteFile(file, text, 0o600))
	return file
}

// peerDir returns where the source of a peer's package is.
func peerDir(t *testing.T, peer string) string {
	out, err := exec.Command("go", "list", "-f", "{{.Dir}}", peer).Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(out))
}
