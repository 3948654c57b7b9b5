// Package report writes what was measured: benchstat lines while it runs, and
// tables, verdicts and pictures at the end.
package report

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// A Machine is where and on what numbers were measured. It names the kind of
// machine, never the machine.
type Machine struct {
	CPU      string
	Cores    int
	Procs    int // GOMAXPROCS
	OS, Arch string
	Go       string
	Commit   string // with a remark if the code differs from it
	Changed  bool   // and it does
	Date     string
	modules  map[string]string
}

// ThisMachine describes the running process.
func ThisMachine() Machine {
	m := Machine{
		CPU:     cpuModel(),
		Cores:   runtime.NumCPU(),
		Procs:   runtime.GOMAXPROCS(0),
		OS:      runtime.GOOS,
		Arch:    runtime.GOARCH,
		Go:      runtime.Version(),
		Date:    time.Now().UTC().Format(time.DateOnly),
		modules: map[string]string{},
	}
	m.Commit, m.Changed = commit()
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			m.modules[d.Path] = d.Version
		}
	}
	return m
}

// Version returns the version of a module that the process is built with.
func (m Machine) Version(module string) string { return m.modules[module] }

// String is one line for a document.
func (m Machine) String() string {
	return fmt.Sprintf("%s, %d cores, GOMAXPROCS %d, %s/%s, %s, commit %s, %s",
		m.CPU, m.Cores, m.Procs, m.OS, m.Arch, m.Go, m.Commit, m.Date)
}

// cpuModel reads the name of the processor where the system tells it.
func cpuModel() string {
	switch runtime.GOOS {
	case "linux":
		f, err := os.Open("/proc/cpuinfo")
		if err != nil {
			break
		}
		defer f.Close()
		for lines := bufio.NewScanner(f); lines.Scan(); {
			key, value, _ := strings.Cut(lines.Text(), ":")
			if strings.TrimSpace(key) == "model name" {
				return strings.TrimSpace(value)
			}
		}
	case "darwin":
		if out, err := exec.Command("sysctl", "-n", "machdep.cpu.brand_string").Output(); err == nil {
			return strings.TrimSpace(string(out))
		}
	}
	return "unknown CPU"
}

// commit asks git for the commit of the working tree, and whether the library
// differs from it.
func commit() (name string, changed bool) {
	out, err := exec.Command("git", "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		return "unknown", true
	}
	name = strings.TrimSpace(string(out))
	if diff, err := exec.Command("git", "status", "--porcelain", "--", "*.go").Output(); err == nil && len(diff) > 0 {
		return name + " with changes", true
	}
	return name, false
}
