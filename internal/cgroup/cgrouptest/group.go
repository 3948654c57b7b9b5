//go:build linux

package cgrouptest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Group is a real cgroup with a CPU quota. A test makes one and runs
// itself again in it:
//
//	func TestX(t *testing.T) {
//		if InChild() {
//			... // runs in the group
//			return
//		}
//		g := New(t, "")
//		g.SetQuota(1.5)
//		g.Run()
//	}
type Group struct {
	t    testing.TB
	Dir  string // of its control files
	Path string // of the group, below the mount
	V1   bool
}

const (
	childEnv    = "EXECUTOR_TEST_CGROUP_CHILD"
	requiredEnv = "EXECUTOR_TEST_CGROUP_REQUIRED" // if set, tests fail where they would skip
)

var count atomic.Int64

// New makes a group below parent, the path of another Group, or at
// the top if that is "". It is removed when the test ends. Where there is no cpu
// controller to be written to, the test is skipped.
func New(t testing.TB, parent string) *Group {
	t.Helper()
	mount, v1, err := mountPoint()
	name := fmt.Sprintf("%s/executor-test-%d-%d", parent, os.Getpid(), count.Add(1))
	g := &Group{t: t, Dir: mount + name, Path: name, V1: v1}
	if err == nil && !v1 {
		err = os.WriteFile(mount+parent+"/cgroup.subtree_control", []byte("+cpu"), 0)
	}
	if err == nil {
		err = os.Mkdir(g.Dir, 0o755)
	}
	if err != nil {
		if os.Getenv(requiredEnv) != "" {
			t.Fatalf("no cgroup to test in: %v", err)
		}
		t.Skipf("needs a cgroup of its own, as root: %v", err)
	}
	t.Cleanup(g.Remove)
	return g
}

// mountPoint does not ask the reader, which is what is tested.
func mountPoint() (dir string, v1 bool, err error) {
	for _, dir := range []string{"/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"} {
		if _, err := os.Stat(dir + "/cpu.cfs_quota_us"); err == nil {
			return dir, true, nil
		}
	}
	for _, dir := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		text, err := os.ReadFile(dir + "/cgroup.controllers")
		if err == nil && slices.Contains(strings.Fields(string(text)), "cpu") {
			return dir, false, nil
		}
	}
	return "", false, errors.New("no cpu controller is mounted below /sys/fs/cgroup")
}

// Remove may be called before the end, if no process is left in the group.
func (g *Group) Remove() {
	g.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		err := syscall.Rmdir(g.Dir)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return
		}
		if time.Now().After(deadline) { // the last process is slow to leave
			g.t.Errorf("cgroup %s stays behind: %v", g.Dir, err)
			return
		}
	}
}

func (g *Group) Write(file, text string) {
	g.t.Helper()
	require.NoError(g.t, os.WriteFile(g.Dir+"/"+file, []byte(text), 0))
}

// SetQuota limits the group to so many CPUs; 0 lifts the limit. It may be
// called at any time. cgroup v1 refuses a quota above that of the parent.
func (g *Group) SetQuota(cpus float64) {
	g.t.Helper()
	const period = 100_000
	quota := strconv.Itoa(int(cpus * period))
	switch {
	case g.V1 && cpus == 0:
		g.Write("cpu.cfs_quota_us", "-1")
	case g.V1:
		g.Write("cpu.cfs_period_us", strconv.Itoa(period))
		g.Write("cpu.cfs_quota_us", quota)
	case cpus == 0:
		g.Write("cpu.max", "max")
	default:
		g.Write("cpu.max", quota+" "+strconv.Itoa(period))
	}
}

// Move puts a running process into the group.
func (g *Group) Move(p *os.Process) {
	g.t.Helper()
	g.Write("cgroup.procs", strconv.Itoa(p.Pid))
}

// InChild says that this process was started by run or start.
func InChild() bool { return os.Getenv(childEnv) != "" }

// Command is the test that g belongs to, as a new process that is in the group
// before it becomes a Go program: the runtime looks at its cgroup only at start.
func (g *Group) Command(env ...string) *exec.Cmd {
	g.t.Helper()
	self, err := os.Executable()
	require.NoError(g.t, err)
	parts := strings.Split(g.t.Name(), "/")
	for i, p := range parts {
		parts[i] = "^" + regexp.QuoteMeta(p) + "$"
	}
	cmd := exec.CommandContext(g.t.Context(), "/bin/sh", "-c", `echo $$ >"$0/cgroup.procs" && exec "$@"`,
		g.Dir, self, "-test.count=1", "-test.run="+strings.Join(parts, "/"))
	cmd.Env = slices.DeleteFunc(os.Environ(), func(s string) bool { return strings.HasPrefix(s, "GOMAXPROCS=") })
	cmd.Env = append(append(cmd.Env, childEnv+"=1"), env...)
	return cmd
}

// Run runs this test in the group, requires that it passes there, and returns
// what it printed.
func (g *Group) Run(env ...string) string {
	g.t.Helper()
	out, err := g.Command(env...).CombinedOutput()
	require.NoError(g.t, err, "in the cgroup:\n%s", out)
	return string(out)
}

// Child is this test running in a group, and answering questions there.
type Child struct {
	t       testing.TB
	Cmd     *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Scanner
	log     bytes.Buffer
	stopped bool
}

// Start is run without waiting for the end. The child is to call
// AnswerParent. It is stopped when the test ends.
func (g *Group) Start(env ...string) *Child {
	g.t.Helper()
	c := &Child{t: g.t, Cmd: g.Command(env...)}
	in, err := c.Cmd.StdinPipe()
	require.NoError(g.t, err)
	out, err := c.Cmd.StdoutPipe()
	require.NoError(g.t, err)
	c.Cmd.Stderr = c.Cmd.Stdout // one stream, one reader of it
	c.in, c.out = in, bufio.NewScanner(out)
	require.NoError(g.t, c.Cmd.Start())
	g.t.Cleanup(c.Stop)
	return c
}

// Answer begins the line with which a child answers.
const Answer = "answer: "

// Ask sends one line to the child and decodes the line it answers.
func (c *Child) Ask(question string, answer any) {
	c.t.Helper()
	_, err := fmt.Fprintln(c.in, question)
	require.NoError(c.t, err)
	for c.out.Scan() {
		if text, ok := strings.CutPrefix(c.out.Text(), Answer); ok {
			require.NoError(c.t, json.Unmarshal([]byte(text), answer))
			return
		}
		fmt.Fprintln(&c.log, c.out.Text())
	}
	c.stopped = true
	require.FailNow(c.t, "no answer", "%q: %v\n%s", question, c.Cmd.Wait(), &c.log)
}

// Stop ends the child, which must pass. A child that is still there at the end
// of the test is killed, whatever it has to say.
func (c *Child) Stop() {
	if c.stopped {
		return
	}
	c.stopped = true
	_ = c.in.Close()
	for c.out.Scan() { // to the end, for Wait closes the pipe
		fmt.Fprintln(&c.log, c.out.Text())
	}
	if err := c.Cmd.Wait(); err != nil && c.t.Context().Err() == nil {
		c.t.Errorf("in the cgroup: %v\n%s", err, &c.log)
	}
}

// AnswerParent serves ask until the parent hangs up.
func AnswerParent(t testing.TB, answer func(question string) any) {
	t.Helper()
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		text, err := json.Marshal(answer(in.Text()))
		require.NoError(t, err)
		fmt.Printf("%s%s\n", Answer, text)
	}
}
