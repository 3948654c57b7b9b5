package report

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/seed-97bda89a/executor/benchmarks/internal/meter"
	"github.com/seed-97bda89a/executor/benchmarks/internal/suite"
)

// An Origin says when and of what a row was measured.
type Origin struct {
	Commit string
	Date   string
	Quick  bool
}

// Now is the origin of what is measured in this run.
func (m Machine) Now(quick bool) Origin { return Origin{m.Commit, m.Date, quick} }

// String is for a line in the page.
func (o Origin) String() string {
	if o.Quick {
		return fmt.Sprintf("%s, commit %s, a quick look", o.Date, o.Commit)
	}
	return fmt.Sprintf("%s, commit %s", o.Date, o.Commit)
}

// Preamble writes the configuration lines that benchstat reads.
func Preamble(w io.Writer, m Machine) error {
	_, err := fmt.Fprintf(w, "goos: %s\ngoarch: %s\npkg: github.com/seed-97bda89a/executor/benchmarks\ncpu: %s\ngo: %s\n",
		m.OS, m.Arch, m.CPU, m.Go)
	return err
}

// Line writes a sample as a line of Go's benchmark format. With
// `benchstat -col /pool` the contenders stand side by side.
func Line(w io.Writer, m Machine, r suite.Row, entry string, s meter.Sample) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s%s-%d\t%d", bench(r), entry, m.Procs, s.Ops)
	for _, v := range s.Values {
		fmt.Fprintf(&b, "\t%s %s", strconv.FormatFloat(v.V, 'g', 6, 64), v.Unit)
	}
	_, err := fmt.Fprintln(w, b.String())
	return err
}

// bench is what the names of a row's benchmarks begin with.
func bench(r suite.Row) string { return "Benchmark" + r.Name() + "/pool=" }

// failure begins a line about an entry without a result.
const failure = "--- FAIL: "

// Write writes whole rows, so that Read finds them again. Where a row comes from is a configuration line, as benchstat has them.
func Write(w io.Writer, m Machine, all []*suite.Results, from map[string]Origin) error {
	var b strings.Builder
	_ = Preamble(&b, m) // a Builder takes everything
	for _, r := range all {
		o := from[r.Row.Name()]
		fmt.Fprintf(&b, "\ncommit: %s\ndate: %s\nquick: %t\n", o.Commit, o.Date, o.Quick)
		for _, e := range r.Row.Entries {
			for _, s := range r.Samples[e.Name] {
				_ = Line(&b, m, r.Row, e.Name, s)
			}
			if err := r.Failed[e.Name]; err != nil {
				fmt.Fprintf(&b, "%s%s%s: %s\n", failure, bench(r.Row), e.Name, firstLine(err))
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Read returns what Write has written of these rows, and where each comes from. It fails if the numbers are another machine's, or
// of another version of Go: they must not stand on one page.
func Read(in io.Reader, m Machine, rows []suite.Row) (map[string]*suite.Results, map[string]Origin, error) {
	all, from := map[string]*suite.Results{}, map[string]Origin{}
	here := map[string]string{"goos": m.OS, "goarch": m.Arch, "cpu": m.CPU, "go": m.Go}
	var now Origin
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		line := lines.Text()
		if key, value, ok := strings.Cut(line, ": "); ok && !strings.HasPrefix(line, "Benchmark") && !strings.HasPrefix(line, failure) {
			switch key {
			case "commit":
				now.Commit = value
			case "date":
				now.Date = value
			case "quick":
				now.Quick = value == "true"
			default:
				if want, fixed := here[key]; fixed && want != value {
					return nil, nil, fmt.Errorf("measured with %s %s, and here it is %s", key, value, want)
				}
			}
			continue
		}
		for _, r := range rows {
			rest, isOurs := strings.CutPrefix(strings.TrimPrefix(line, failure), bench(r))
			if !isOurs {
				continue
			}
			got := all[r.Name()]
			if got == nil {
				got = suite.NewResults(r)
				all[r.Name()], from[r.Name()] = got, now
			}
			if err := take(got, rest, strings.HasPrefix(line, failure), m.Procs); err != nil {
				return nil, nil, fmt.Errorf("%q: %w", line, err)
			}
		}
	}
	return all, from, lines.Err()
}

// take adds one line to a row's results: what follows the row's name.
func take(r *suite.Results, rest string, failed bool, procs int) error {
	if failed {
		entry, why, _ := strings.Cut(rest, ": ")
		r.Failed[entry] = errors.New(why)
		return nil
	}
	fields := strings.Split(rest, "\t")
	entry, ok := strings.CutSuffix(fields[0], fmt.Sprintf("-%d", procs))
	if !ok {
		return fmt.Errorf("GOMAXPROCS was not %d", procs)
	}
	if len(fields) < 2 {
		return errors.New("no values")
	}
	ops, err := strconv.Atoi(fields[1])
	if err != nil {
		return err
	}
	s := meter.Sample{Ops: ops}
	for _, field := range fields[2:] {
		number, unit, _ := strings.Cut(field, " ")
		v, err := strconv.ParseFloat(number, 64)
		if err != nil {
			return err
		}
		s.Values = append(s.Values, meter.Value{Unit: unit, V: v})
	}
	r.Samples[entry] = append(r.Samples[entry], s)
	return nil
}

func firstLine(err error) string {
	first, _, _ := strings.Cut(err.Error(), "\n")
	return first
}
