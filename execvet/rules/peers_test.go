package rules

import (
	"path/filepath"
	"testing"

	"golang.org/x/tools/go/analysis/analysistest"
)

// TestAsPeers reads a program that does not use the library as the measure command does: what it gives to errgroup, to a
// WaitGroup and to go statements are tasks. Without AsPeers nothing in it is reported, as in all foreign code.
func TestAsPeers(t *testing.T) {
	dir, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	AsPeers()
	defer func() { peers = nil }()
	for _, rule := range []*Analyzer{execblock, execlock, execself, execctx} {
		analysistest.Run(t, dir, rule, "./peers/"+rule.Name)
	}
}
