// Command table prints the table of docs/TESTING-YOUR-CODE.md: how many seeds it takes to find each classic bug, on average
// of 20 tries.
package main

import (
	"fmt"
	"testing"

	"github.com/seed-97bda89a/executor/internal/classics"
	"github.com/seed-97bda89a/executor/internal/seeds"
)

const tries, limit = 20, 500

func main() {
	testing.Init()
	fmt.Print("| bug | default | `PCT(2)` | `PCT(3)` |\n|---|---|---|---|\n")
	for _, bug := range classics.All {
		fmt.Printf("| %s |", bug.Name)
		for _, depth := range []int{0, 2, 3} {
			sum, found := 0, 0
			for try := range uint64(tries) {
				c := seeds.Config{First: 1 + 1000*try, PCT: depth, Slots: bug.Slots, Ordered: true, Plain: true} // not 0, which is no random order
				c.Last = c.First + limit - 1
				if v := seeds.Explore(new(testing.T), c, bug.Wrong); v.Kind != seeds.Passed {
					found++
					sum += int(v.Seed-c.First) + 1
				}
			}
			if found == tries {
				fmt.Printf(" %.1f |", float64(sum)/tries)
			} else {
				fmt.Printf(" in %d of %d tries |", found, tries)
			}
		}
		fmt.Println()
	}
}
