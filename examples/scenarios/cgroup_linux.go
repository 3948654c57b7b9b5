package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// cgroup is a group of processes with a CPU quota of its own.
type cgroup struct {
	dir string // of its control files
	v1  bool
}

// cgroupsMissing says why there can be no such group.
func cgroupsMissing(cpus float64) string {
	g, err := newCgroup(cpus)
	if err != nil {
		return fmt.Sprintf("needs a cgroup of its own, as root: %v", err)
	}
	if err := g.remove(); err != nil {
		return err.Error()
	}
	return ""
}

// newCgroup makes one that may use so many CPUs.
func newCgroup(cpus float64) (g cgroup, err error) {
	mount := ""
	if mount, g.v1, err = cgroupMount(); err != nil {
		return g, err
	}
	if g.dir, err = os.MkdirTemp(mount, "executor-scenario-"); err != nil {
		return g, err
	}
	period := 100 * time.Millisecond.Microseconds()
	quota := strconv.Itoa(int(cpus * float64(period)))
	// The highest weight there is: what else goes on on the machine must not blur the picture.
	files := []struct{ name, text string }{
		{"cpu.max", fmt.Sprint(quota, " ", period)}, {"cpu.weight", "10000"},
	}
	if g.v1 {
		files[0].name, files[0].text = "cpu.cfs_quota_us", quota // the period is 100 ms unless somebody changes it
		files[1].name, files[1].text = "cpu.shares", "262144"
	}
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(g.dir, f.name), []byte(f.text), 0); err != nil {
			return g, errors.Join(err, g.remove())
		}
	}
	return g, nil
}

// cgroupMount finds where groups can be made.
func cgroupMount() (dir string, v1 bool, err error) {
	for _, dir := range []string{"/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"} {
		if _, err := os.Stat(dir + "/cpu.cfs_quota_us"); err == nil {
			return dir, true, nil
		}
	}
	for _, dir := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		text, err := os.ReadFile(dir + "/cgroup.controllers")
		if err == nil && slices.Contains(strings.Fields(string(text)), "cpu") {
			return dir, false, os.WriteFile(dir+"/cgroup.subtree_control", []byte("+cpu"), 0)
		}
	}
	return "", false, errors.New("no cpu controller is mounted")
}

// inside is the start of a command line that runs its rest in the group, from the first moment on.
func (g cgroup) inside() []string {
	return []string{"/bin/sh", "-c", `echo $$ >"$0/cgroup.procs" && exec "$@"`, g.dir}
}

// throttled is in how many periods the kernel stopped the group because its quota was spent.
func (g cgroup) throttled() (n uint64, err error) {
	text, err := os.ReadFile(g.dir + "/cpu.stat")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if number, ok := strings.CutPrefix(line, "nr_throttled "); ok {
			return strconv.ParseUint(strings.TrimSpace(number), 10, 64)
		}
	}
	return 0, errors.New("cpu.stat does not say how often the group was stopped")
}

// remove waits until the last process has left.
func (g cgroup) remove() error {
	for patience := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		err := os.Remove(g.dir)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if time.Now().After(patience) {
			return err
		}
	}
}
