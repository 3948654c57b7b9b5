package report

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/seed-97bda89a/executor/benchmarks/internal/meter"
	"github.com/seed-97bda89a/executor/benchmarks/internal/suite"
)

// Preamble writes the configuration lines that benchstat reads.
func Preamble(w io.Writer, m Machine) error {
	_, err := fmt.Fprintf(w, "goos: %s\ngoarch: %s\npkg: github.com/seed-97bda89a/executor/benchmarks\ncpu: %s\ngo: %s\ncommit: %s\n",
		m.OS, m.Arch, m.CPU, m.Go, m.Commit)
	return err
}

// Line writes a sample as a line of Go's benchmark format. With
// `benchstat -col /pool` the contenders stand side by side.
func Line(w io.Writer, m Machine, r suite.Row, entry string, s meter.Sample) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Benchmark%s/pool=%s-%d\t%d", r.Name(), entry, m.Procs, s.Ops)
	for _, v := range s.Values {
		fmt.Fprintf(&b, "\t%s %s", strconv.FormatFloat(v.V, 'g', 6, 64), v.Unit)
	}
	_, err := fmt.Fprintln(w, b.String())
	return err
}
