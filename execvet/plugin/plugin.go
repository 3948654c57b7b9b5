// Package plugin makes the rules a linter of golangci-lint, by its module plugin system:
//
//	# .custom-gcl.yml
//	version: v2.15.0
//	plugins:
//	  - module: github.com/seed-97bda89a/executor/execvet
//	    import: github.com/seed-97bda89a/executor/execvet/plugin
//	    version: latest
//
// After "golangci-lint custom", enable it under linters.settings.custom.execvet with type: module. The setting
// "on-demand" is a list of rules to run beside the default ones.
package plugin

import (
	"fmt"

	"github.com/golangci/plugin-module-register/register"
	"github.com/seed-97bda89a/executor/execvet/rules"
	"golang.org/x/tools/go/analysis"
)

func init() { register.Plugin("execvet", New) }

// settings are what stands under linters.settings.custom.execvet.settings.
type settings struct {
	OnDemand []string `json:"on-demand"`
}

type linter struct{ analyzers []*analysis.Analyzer }

// New makes the linter from its settings. A name that is no rule on demand is an error.
func New(conf any) (register.LinterPlugin, error) {
	s, err := register.DecodeSettings[settings](conf)
	if err != nil {
		return nil, err
	}
	l := &linter{analyzers: append([]*analysis.Analyzer(nil), rules.Default...)}
next:
	for _, name := range s.OnDemand {
		for _, rule := range rules.OnDemand {
			if rule.Name == name {
				l.analyzers = append(l.analyzers, rule)
				continue next
			}
		}
		return nil, fmt.Errorf("execvet: on-demand: %q is no rule on demand", name)
	}
	return l, nil
}

// BuildAnalyzers returns the rules.
func (l *linter) BuildAnalyzers() ([]*analysis.Analyzer, error) { return l.analyzers, nil }

// GetLoadMode says that the rules need types.
func (l *linter) GetLoadMode() string { return register.LoadModeTypesInfo }
