//go:build linux

package executor

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

// testCgroup is a real cgroup with a CPU quota. A test makes one and runs
// itself again in it:
//
//	func TestX(t *testing.T) {
//		if inCgroupChild() {
//			... // runs in the group
//			return
//		}
//		g := newCgroup(t, "")
//		g.setQuota(1.5)
//		g.run()
//	}
type testCgroup struct {
	t    testing.TB
	dir  string // of its control files
	path string // of the group, below the mount
	v1   bool
}

const (
	cgroupChildEnv    = "EXECUTOR_TEST_CGROUP_CHILD"
	cgroupRequiredEnv = "EXECUTOR_TEST_CGROUP_REQUIRED" // if set, tests fail where they would skip
)

var cgroupCount atomic.Int64

// newCgroup makes a group below parent, the path of another testCgroup, or at
// the top if that is "". It is removed when the test ends. Where there is no cpu
// controller to be written to, the test is skipped.
func newCgroup(t testing.TB, parent string) *testCgroup {
	t.Helper()
	mount, v1, err := cgroupMountForTests()
	name := fmt.Sprintf("%s/executor-test-%d-%d", parent, os.Getpid(), cgroupCount.Add(1))
	g := &testCgroup{t: t, dir: mount + name, path: name, v1: v1}
	if err == nil && !v1 {
		err = os.WriteFile(mount+parent+"/cgroup.subtree_control", []byte("+cpu"), 0)
	}
	if err == nil {
		err = os.Mkdir(g.dir, 0o755)
	}
	if err != nil {
		if os.Getenv(cgroupRequiredEnv) != "" {
			t.Fatalf("no cgroup to test in: %v", err)
		}
		t.Skipf("needs a cgroup of its own, as root: %v", err)
	}
	t.Cleanup(g.remove)
	return g
}

// cgroupMountForTests does not ask the reader, which is what is tested.
func cgroupMountForTests() (dir string, v1 bool, err error) {
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

// remove may be called before the end, if no process is left in the group.
func (g *testCgroup) remove() {
	g.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		err := syscall.Rmdir(g.dir)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return
		}
		if time.Now().After(deadline) { // the last process is slow to leave
			g.t.Errorf("cgroup %s stays behind: %v", g.dir, err)
			return
		}
	}
}

func (g *testCgroup) write(file, text string) {
	g.t.Helper()
	require.NoError(g.t, os.WriteFile(g.dir+"/"+file, []byte(text), 0))
}

// setQuota limits the group to so many CPUs; 0 lifts the limit. It may be
// called at any time. cgroup v1 refuses a quota above that of the parent.
func (g *testCgroup) setQuota(cpus float64) {
	g.t.Helper()
	const period = 100_000
	quota := strconv.Itoa(int(cpus * period))
	switch {
	case g.v1 && cpus == 0:
		g.write("cpu.cfs_quota_us", "-1")
	case g.v1:
		g.write("cpu.cfs_period_us", strconv.Itoa(period))
		g.write("cpu.cfs_quota_us", quota)
	case cpus == 0:
		g.write("cpu.max", "max")
	default:
		g.write("cpu.max", quota+" "+strconv.Itoa(period))
	}
}

// move puts a running process into the group.
func (g *testCgroup) move(p *os.Process) {
	g.t.Helper()
	g.write("cgroup.procs", strconv.Itoa(p.Pid))
}

// inCgroupChild says that this process was started by run or start.
func inCgroupChild() bool { return os.Getenv(cgroupChildEnv) != "" }

// command is the test that g belongs to, as a new process that is in the group
// before it becomes a Go program: the runtime looks at its cgroup only at start.
func (g *testCgroup) command(env ...string) *exec.Cmd {
	g.t.Helper()
	self, err := os.Executable()
	require.NoError(g.t, err)
	parts := strings.Split(g.t.Name(), "/")
	for i, p := range parts {
		parts[i] = "^" + regexp.QuoteMeta(p) + "$"
	}
	cmd := exec.CommandContext(g.t.Context(), "/bin/sh", "-c", `echo $$ >"$0/cgroup.procs" && exec "$@"`,
		g.dir, self, "-test.count=1", "-test.run="+strings.Join(parts, "/"))
	cmd.Env = slices.DeleteFunc(os.Environ(), func(s string) bool { return strings.HasPrefix(s, "GOMAXPROCS=") })
	cmd.Env = append(append(cmd.Env, cgroupChildEnv+"=1"), env...)
	return cmd
}

// run runs this test in the group, requires that it passes there, and returns
// what it printed.
func (g *testCgroup) run(env ...string) string {
	g.t.Helper()
	out, err := g.command(env...).CombinedOutput()
	require.NoError(g.t, err, "in the cgroup:\n%s", out)
	return string(out)
}

// cgroupChild is this test running in a group, and answering questions there.
type cgroupChild struct {
	t       testing.TB
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Scanner
	log     bytes.Buffer
	stopped bool
}

// start is run without waiting for the end. The child is to call
// answerCgroupParent. It is stopped when the test ends.
func (g *testCgroup) start(env ...string) *cgroupChild {
	g.t.Helper()
	c := &cgroupChild{t: g.t, cmd: g.command(env...)}
	in, err := c.cmd.StdinPipe()
	require.NoError(g.t, err)
	out, err := c.cmd.StdoutPipe()
	require.NoError(g.t, err)
	c.cmd.Stderr = c.cmd.Stdout // one stream, one reader of it
	c.in, c.out = in, bufio.NewScanner(out)
	require.NoError(g.t, c.cmd.Start())
	g.t.Cleanup(c.stop)
	return c
}

const cgroupAnswer = "answer: "

// ask sends one line to the child and decodes the line it answers.
func (c *cgroupChild) ask(question string, answer any) {
	c.t.Helper()
	_, err := fmt.Fprintln(c.in, question)
	require.NoError(c.t, err)
	for c.out.Scan() {
		if text, ok := strings.CutPrefix(c.out.Text(), cgroupAnswer); ok {
			require.NoError(c.t, json.Unmarshal([]byte(text), answer))
			return
		}
		fmt.Fprintln(&c.log, c.out.Text())
	}
	c.stopped = true
	require.FailNow(c.t, "no answer", "%q: %v\n%s", question, c.cmd.Wait(), &c.log)
}

// stop ends the child, which must pass. A child that is still there at the end
// of the test is killed, whatever it has to say.
func (c *cgroupChild) stop() {
	if c.stopped {
		return
	}
	c.stopped = true
	_ = c.in.Close()
	for c.out.Scan() { // to the end, for Wait closes the pipe
		fmt.Fprintln(&c.log, c.out.Text())
	}
	if err := c.cmd.Wait(); err != nil && c.t.Context().Err() == nil {
		c.t.Errorf("in the cgroup: %v\n%s", err, &c.log)
	}
}

// answerCgroupParent serves ask until the parent hangs up.
func answerCgroupParent(t testing.TB, answer func(question string) any) {
	t.Helper()
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		text, err := json.Marshal(answer(in.Text()))
		require.NoError(t, err)
		fmt.Printf("%s%s\n", cgroupAnswer, text)
	}
}
