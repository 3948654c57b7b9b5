package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-97bda89a/executor/benchmarks/internal/meter"
	"github.com/seed-97bda89a/executor/benchmarks/internal/report"
	"github.com/seed-97bda89a/executor/benchmarks/internal/suite"
)

func TestFlags_BadOnesExitWithTwoAndSayWhy(t *testing.T) {
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"-nonsense"}, "-nonsense"},
		{[]string{"-rounds", "0"}, "-rounds 0: must be at least 1"},
		{[]string{"-rounds", "many"}, "many"},
		{[]string{"-run", "("}, "-run: "},
		{[]string{"-run", "no such row"}, "matches no row"},
		{[]string{"-keep"}, "need -out"},
		{[]string{"-resume"}, "need -out"},
		{[]string{"extra"}, `unexpected argument "extra"`},
	} {
		var stdout, stderr bytes.Buffer
		if code := realMain(c.args, &stdout, &stderr); code != badUsage {
			t.Errorf("%v: exit code %d, want %d", c.args, code, badUsage)
		}
		if got := stderr.String(); !strings.Contains(got, c.says) || !strings.HasPrefix(got, "compare: ") {
			t.Errorf("%v: %q does not say %q", c.args, got, c.says)
		}
		if strings.Count(stderr.String(), "\n") != 1 || stdout.Len() > 0 {
			t.Errorf("%v: more than one line: %q %q", c.args, stderr.String(), stdout.String())
		}
	}
}

func TestFlags_HelpIsNoError(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := realMain([]string{"-help"}, &stdout, &stderr); code != ok {
		t.Errorf("exit code %d", code)
	}
	for _, name := range []string{"-quick", "-list", "-rounds", "-out", "-run"} {
		if !strings.Contains(stderr.String(), name) {
			t.Errorf("the help lacks %s", name)
		}
	}
}

func TestList_ShowsTheMatchingRows(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := realMain([]string{"-list", "-run", "^Submit/"}, &stdout, &stderr); code != ok {
		t.Fatalf("exit code %d: %s", code, &stderr)
	}
	lines := strings.Split(strings.TrimSpace(stdout.String()), "\n")
	if len(lines) != 2 || !strings.HasPrefix(lines[0], "Submit/outside=1 ") {
		t.Errorf("listed %q", lines)
	}
}

func TestCompare_WritesEverythingItPromises(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "folder")
	var stdout, stderr bytes.Buffer
	args := []string{"-quick", "-rounds", "1", "-run", "^Checkpoint/", "-out", dir}
	if code := realMain(args, &stdout, &stderr); code != ok {
		t.Fatalf("exit code %d: %s", code, &stderr)
	}
	for file, has := range map[string]string{
		"results.txt":   "BenchmarkCheckpoint/budget=left/pool=executor-",
		"BENCHMARKS.md": "## Goals",
		"overview.svg":  "<svg",
	} {
		got, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil || !strings.Contains(string(got), has) {
			t.Errorf("%s: %v, lacks %q", file, err, has)
		}
	}
	if !strings.Contains(stdout.String(), "cpu: ") || !strings.Contains(stderr.String(), "round 1 of 1") {
		t.Errorf("stdout %.200q, stderr %.200q", stdout.String(), stderr.String())
	}
	if strings.Contains(stdout.String(), dir) {
		t.Error("the output names a folder of this machine")
	}
}

// Mutants: the kept rows are lost; they are run again; the page has only what was run.
func TestCompare_KeepsRowsThatAreNotRunNow(t *testing.T) {
	dir := t.TempDir()
	run := func(args ...string) (stderr bytes.Buffer) {
		var stdout bytes.Buffer
		if code := realMain(append(args, "-quick", "-rounds", "1", "-out", dir), &stdout, &stderr); code != ok {
			t.Fatalf("exit code %d: %s", code, &stderr)
		}
		return stderr
	}
	run("-run", "^Checkpoint/")
	stderr := run("-run", "^Blocking/queue=empty", "-keep")
	if strings.Contains(stderr.String(), "Checkpoint/") {
		t.Error("the row that was to be kept was run")
	}
	for _, file := range []string{"results.txt", "BENCHMARKS.md"} {
		got, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil || !strings.Contains(string(got), "Blocking/queue=empty") || !strings.Contains(string(got), "Checkpoint/budget=left") {
			t.Errorf("%s: %v, lacks a row", file, err)
		}
	}
	run("-run", "^Checkpoint/")
	if got, err := os.ReadFile(filepath.Join(dir, "results.txt")); err != nil || strings.Contains(string(got), "Blocking/") {
		t.Errorf("without -keep the page is what was run: %v", err)
	}
}

// Mutants: a row is taken as it is although its commit, its rounds or a failure say no; a whole one is run again.
func TestBook_MissesWhatHasToBeRun(t *testing.T) {
	runs := func(*meter.Meter) error { return nil }
	row := func(name string) suite.Row {
		return suite.Row{Group: "Row", Scenario: name, Entries: []suite.Entry{{Name: "x", Run: runs}}}
	}
	b := &book{
		machine: report.Machine{Commit: "abc", Date: "today"},
		known:   map[string]*suite.Results{}, from: map[string]report.Origin{},
	}
	whole, older, fewer, failed, absent := row("whole"), row("older"), row("fewer"), row("failed"), row("absent")
	for _, r := range []suite.Row{whole, older, fewer, failed} {
		got := suite.NewResults(r)
		got.Samples["x"] = make([]meter.Sample, 5)
		b.known[r.Name()], b.from[r.Name()] = got, b.machine.Now(false)
	}
	b.from[older.Name()] = report.Origin{Commit: "def", Date: "today"}
	b.known[fewer.Name()].Samples["x"] = make([]meter.Sample, 4)
	b.known[failed.Name()].Failed["y"] = errors.New("wrong")
	rows := []suite.Row{whole, older, fewer, failed, absent}
	names := func() (out []string) {
		for _, r := range b.missing(rows, suite.Plan{Rounds: 5}) {
			out = append(out, r.Scenario)
		}
		return out
	}
	if got, want := names(), []string{"older", "fewer", "failed", "absent"}; !slices.Equal(got, want) {
		t.Errorf("to be run: %q, want %q", got, want)
	}
	b.machine.Changed = true
	if got := names(); len(got) != len(rows) {
		t.Errorf("with changes in the code only %q are run", got)
	}
}
