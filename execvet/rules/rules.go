// Package rules holds the analyzers of execvet. Each reports lines that the executor library's own documentation calls
// wrong. docs/VET.md shows for each the wrong line, the right one, and why.
//
// A report is switched off where it stands, with a reason:
//
//	//executor:allow execblock the channel is closed before the task starts
//
// on the line itself or the one above. A comment without a reason, and one that switches off nothing, is reported.
package rules

import (
	"slices"

	"golang.org/x/tools/go/analysis"
)

// An Analyzer is one rule.
type Analyzer = analysis.Analyzer

// Default are the rules that always run.
var Default = []*Analyzer{execlock, execctx, execblock, execcgo, execerr, execself, execmutual, execallow}

// OnDemand are the rules that run when they are asked for.
var OnDemand = []*Analyzer{execgo, execdoors, execmark}

const docs = "https://github.com/seed-97bda89a/executor/blob/main/docs/VET.md#"

// names are all rules that a comment can switch off.
var names = []string{
	"execlock", "execctx", "execblock", "execcgo", "execerr", "execself", "execmutual", "execgo", "execdoors", "execmark",
}

var execallow = rule("execallow", "execallow: report //executor:allow comments that name no rule", func(p *pass) {
	for _, x := range p.allowed {
		if !slices.Contains(names, x.rule) {
			p.Reportf(x.pos, "%s %s: there is no such rule", directive, x.rule)
		}
	}
})
