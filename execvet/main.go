// Execvet reports uses of the executor library that its documentation calls wrong: a lock held across Checkpoint, a
// task that blocks without saying so, a dropped error of Go. It is a tool for go vet:
//
//	go get -tool github.com/seed-97bda89a/executor/execvet
//	go vet -vettool=$(go tool -n execvet) ./...
//
// and a command of its own, which can apply fixes:
//
//	go tool execvet -fix ./...
//
// Rules on demand run when they are named: go tool execvet -execgo ./... runs that one alone. "go tool execvet help"
// lists all; docs/VET.md of the library shows the wrong and the right line of each.
package main

import (
	"os"
	"slices"
	"strings"

	"github.com/seed-97bda89a/executor/execvet/rules"
	"golang.org/x/tools/go/analysis/multichecker"
)

func main() {
	multichecker.Main(append(slices.Clone(rules.Default), chosen(os.Args[1:])...)...)
}

// chosen returns the rules on demand that args name, or all of them if args only ask what there is.
func chosen(args []string) []*rules.Analyzer {
	for _, arg := range args {
		if arg == "-flags" || arg == "help" || strings.HasPrefix(arg, "-V") {
			return rules.OnDemand
		}
	}
	var named []*rules.Analyzer
	for _, rule := range rules.OnDemand {
		if slices.ContainsFunc(args, func(arg string) bool {
			name, value, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
			return strings.HasPrefix(arg, "-") && name == rule.Name && value != "false"
		}) {
			named = append(named, rule)
		}
	}
	return named
}
