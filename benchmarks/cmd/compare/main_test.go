package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
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
