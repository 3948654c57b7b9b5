package rules

import (
	"path/filepath"
	"testing"

	"golang.org/x/tools/go/analysis/analysistest"
)

// Each rule has a folder of its name in testdata, a module that uses the library as it is.
func TestRules(t *testing.T) {
	dir, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range append(append([]*Analyzer{}, Default...), OnDemand...) {
		t.Run(rule.Name, func(t *testing.T) {
			packages := []string{"./" + rule.Name}
			if rule == execlock {
				packages = append(packages, "./execlock/helper")
			}
			analysistest.RunWithSuggestedFixes(t, dir, rule, packages...)
		})
	}
}
