// Measure runs the rules over modules of other people, and prints how many lines each rule reports:
//
//	go run ./measure                            # all modules: reports per 10,000 lines for each rule
//	go run ./measure -list                      # and every report
//	go run ./measure -rule execblock -draw 50   # and 50 of them, drawn at random, with their lines
//	go run ./measure oras.land/oras-go/v2@v2.6.4
//
// The modules' sources come from the module proxy, into a temporary directory that goes when the command ends. Foreign programs
// do not use the library: they are read as if their goroutines and the functions that they give to other pools were tasks
// (rules.AsPeers). Generated files, testdata and nested modules are not counted as lines; test files are.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"github.com/seed-97bda89a/executor/execvet/rules"
	"golang.org/x/tools/go/analysis/unitchecker"
)

func main() {
	all := slices.Concat(rules.Default, rules.OnDemand)
	if calledByGoVet(os.Args[1:]) {
		rules.AsPeers()
		unitchecker.Main(all...)
	}
	log.SetFlags(0)
	log.SetPrefix("measure: ")
	list := flag.Bool("list", false, "print every report")
	draw := flag.Int("draw", 0, "print `N` reports of each rule, drawn at random, with their lines")
	seed := flag.Uint64("seed", 1, "of the drawing")
	rule := flag.String("rule", "", "print reports of this rule only")
	around := flag.Int("around", 4, "lines to print before and after a drawn report")
	limit := flag.Duration("timeout", 5*time.Minute, "for each module")
	flag.Parse()
	chosen := flag.Args()
	if len(chosen) == 0 {
		chosen = modules
	}
	if *draw < 0 || *around < 0 {
		log.Fatal("-draw and -around: must not be negative")
	}
	if *rule != "" && !slices.ContainsFunc(all, func(a *rules.Analyzer) bool { return a.Name == *rule }) {
		log.Fatalf("-rule: there is no rule %q", *rule)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := measure(ctx, all, chosen, printing{*list, *draw, *around, *seed, *rule}, *limit); err != nil {
		stop()
		log.Fatal(err)
	}
}

// calledByGoVet reports whether go vet runs this program as its tool.
func calledByGoVet(args []string) bool {
	return slices.ContainsFunc(args, func(arg string) bool {
		return arg == "-flags" || strings.HasPrefix(arg, "-V=") || strings.HasSuffix(arg, ".cfg")
	})
}

// printing says which reports are printed, beside the numbers.
type printing struct {
	list         bool
	draw, around int
	seed         uint64
	rule         string
}

func measure(ctx context.Context, all []*rules.Analyzer, chosen []string, show printing, limit time.Duration) error {
	dir, err := os.MkdirTemp("", "execvet-measure-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var reports []report
	lines := 0
	fmt.Printf("%8s %8s  module\n", "lines", "reports")
	for i, module := range chosen {
		m, err := examine(ctx, fmt.Sprintf("%s/%d", dir, i), module, limit)
		if err != nil {
			return fmt.Errorf("%s: %w", module, err)
		}
		fmt.Printf("%8d %8d  %s\n", m.lines, len(m.reports), module)
		for _, pkg := range m.failed {
			fmt.Printf("%18s not read: %s\n", "", pkg)
		}
		lines += m.lines
		reports = append(reports, m.reports...)
	}
	fmt.Printf("%8d %8d  in all\n\n%8s %8s  rule\n", lines, len(reports), "reports", "a 10,000")
	for _, rule := range all {
		of := slices.DeleteFunc(slices.Clone(reports), func(r report) bool { return r.rule != rule.Name })
		fmt.Printf("%8d %8.2f  %s\n", len(of), float64(len(of))*10_000/float64(max(lines, 1)), rule.Name)
	}
	for _, rule := range all {
		if show.rule == "" || show.rule == rule.Name {
			show.print(rule.Name, reports)
		}
	}
	return nil
}

// print prints the reports of rule that are wanted. A drawing depends on the seed and the reports alone.
func (show printing) print(rule string, reports []report) {
	of := slices.DeleteFunc(slices.Clone(reports), func(r report) bool { return r.rule != rule })
	slices.SortFunc(of, func(a, b report) int {
		return cmp.Or(strings.Compare(a.at(), b.at()), strings.Compare(a.message, b.message))
	})
	if show.list {
		for _, r := range of {
			fmt.Printf("%s: %s: %s\n", r.at(), rule, r.message)
		}
	}
	if show.draw == 0 {
		return
	}
	random := rand.New(rand.NewPCG(show.seed, 0))
	random.Shuffle(len(of), func(i, j int) { of[i], of[j] = of[j], of[i] })
	for i, r := range of[:min(show.draw, len(of))] {
		fmt.Printf("\n%s %d of %d: %s: %s\n%s", rule, i+1, len(of), r.at(), r.message, r.excerpt(show.around))
	}
}
