package report

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-97bda89a/executor/benchmarks/internal/suite"
)

// Foreign is what benchmarks/foreign/run.sh has measured: other languages' schedulers, in a run of their own.
type Foreign struct {
	When    string // the day, the machine and the versions, in words
	figures map[string][]foreignFigure
}

type foreignFigure struct {
	engine string
	ns     float64
}

// ReadForeign reads the results of run.sh. Where there is no such file nothing is known, which is no error.
func ReadForeign(path string) (*Foreign, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) || path == "" {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // it was only read
	f := &Foreign{figures: map[string][]foreignFigure{}}
	var when []string
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if said, ok := strings.CutPrefix(line, "# "); ok {
			when = append(when, said)
			continue
		}
		fields := strings.Fields(line) // engine, workload, threads, nanoseconds
		if len(fields) != 4 {
			return nil, fmt.Errorf("%s: %q: want engine, workload, threads and nanoseconds", path, line)
		}
		ns, err := strconv.ParseFloat(fields[3], 64)
		if err != nil {
			return nil, fmt.Errorf("%s: %q: %w", path, line, err)
		}
		f.figures[fields[1]] = append(f.figures[fields[1]], foreignFigure{fields[0], ns})
	}
	f.When = strings.Join(when, "; ")
	return f, lines.Err()
}

// of says what the others reach in a row, the fastest first; "" if nobody knows.
func (f *Foreign) of(r suite.Row) string {
	if f == nil {
		return ""
	}
	figures := slices.Clone(f.figures[r.Foreign])
	slices.SortStableFunc(figures, func(a, b foreignFigure) int {
		if a.ns < b.ns {
			return -1
		}
		return 1
	})
	var said []string
	for _, figure := range figures {
		said = append(said, figure.engine+" "+suite.Format(figure.ns, "ns/op"))
	}
	return strings.Join(said, ", ")
}
