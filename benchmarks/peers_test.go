package benchmarks

import (
	"context"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alitto/pond/v2"
	"github.com/gammazero/workerpool"
	"github.com/panjf2000/ants/v2"
	"github.com/seed-97bda89a/executor"
	"github.com/sourcegraph/conc/pool"
	"golang.org/x/sync/errgroup"
)

// TestPeers runs the same programs, which mark nothing, on pools of the same size, and compares what happens
// with the table in README.md.
func TestPeers(t *testing.T) {
	table := map[string][]string{}
	for _, p := range programs {
		for _, peer := range peers {
			outcome := "stands still"
			if ends(peer, p) {
				outcome = "ends"
			}
			t.Logf("%s: %s: %s", p.name, peer.name, outcome)
			table[p.name] = append(table[p.name], outcome)
		}
	}
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, outcomes := range table {
		row := regexp.MustCompile(`(?m)^\| ` + regexp.QuoteMeta(name) + ` \|(.*)\|$`).FindStringSubmatch(string(readme))
		if row == nil {
			t.Errorf("README.md has no row %q", name)
			continue
		}
		var said []string
		for cell := range strings.SplitSeq(row[1], "|") {
			said = append(said, strings.Trim(cell, " *"))
		}
		if strings.Join(said, ", ") != strings.Join(outcomes, ", ") {
			t.Errorf("%s: README.md says %q, this run %q", name, said, outcomes)
		}
	}
}

// A peer opens a pool that runs size tasks at once.
type peer struct {
	name string
	open func(size int) (submit func(func()))
}

// In the order of the table's columns.
var peers = []peer{
	{"executor", func(size int) func(func()) {
		exec, err := executor.New(executor.WithSlots(size))
		if err != nil {
			panic(err)
		}
		return func(f func()) { _ = exec.Go(context.Background(), func(context.Context) { f() }) }
	}},
	{"errgroup", func(size int) func(func()) {
		var group errgroup.Group
		group.SetLimit(size)
		return func(f func()) { group.Go(func() error { f(); return nil }) }
	}},
	{"conc", func(size int) func(func()) { return pool.New().WithMaxGoroutines(size).Go }},
	{"ants", func(size int) func(func()) {
		p, err := ants.NewPool(size)
		if err != nil {
			panic(err)
		}
		return func(f func()) { _ = p.Submit(f) }
	}},
	{"pond", func(size int) func(func()) {
		p := pond.NewPool(size)
		return func(f func()) { p.Submit(f) }
	}},
	{"workerpool", func(size int) func(func()) { return workerpool.New(size).Submit }},
}

type program struct {
	name string
	size int
	run  func(submit func(func()))
}

var programs = []program{
	{"a task starts a task in its own pool and waits for it, on one worker", 1, func(submit func(func())) {
		done := make(chan struct{})
		submit(func() {
			child := make(chan struct{})
			submit(func() { close(child) })
			<-child
			close(done)
		})
		<-done
	}},
	{"a hundred tasks wait for one another, on two workers", 2, func(submit func(func())) {
		var arrived, left sync.WaitGroup
		arrived.Add(100)
		left.Add(100)
		for range 100 {
			submit(func() { arrived.Done(); arrived.Wait(); left.Done() })
		}
		left.Wait()
	}},
}

// ends reports whether p ends on a pool of one peer. Who stands still does so for ever, so the time to find out matters
// little; the goroutines of those pools stay until the test's process ends.
func ends(peer peer, p program) bool {
	done := make(chan struct{})
	go func() {
		p.run(peer.open(p.size))
		close(done)
	}()
	if peer.name == "executor" {
		<-done // no bound: a test that hangs here has found a fault
		return true
	}
	select {
	case <-done:
		return true
	case <-time.After(2 * time.Second):
		return false
	}
}
