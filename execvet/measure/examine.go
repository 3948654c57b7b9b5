package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A result is what the rules say of one module.
type result struct {
	lines   int
	reports []report
	failed  []string // packages that can not be read here, each with its reason
}

// A report is one line that a rule reports.
type report struct {
	module, rule, file string // file is relative to the module
	line               int
	message            string
	source             []string // the whole file
}

func (r report) at() string { return fmt.Sprintf("%s/%s:%d", r.module, r.file, r.line) }

// excerpt is the report's line, and so many before and after it.
func (r report) excerpt(around int) string {
	var text strings.Builder
	for n := max(1, r.line-around); n <= min(len(r.source), r.line+around); n++ {
		mark := ' '
		if n == r.line {
			mark = '>'
		}
		fmt.Fprintf(&text, "%c %5d  %s\n", mark, n, r.source[n-1])
	}
	return text.String()
}

// examine fetches a module, given as path@version, into dir and runs the rules over all of its packages.
func examine(ctx context.Context, dir, module string, limit time.Duration) (*result, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	fetch := exec.CommandContext(ctx, "go", "mod", "download", "-json", module)
	fetch.Dir, fetch.Env = os.TempDir(), environment()
	out, err := fetch.Output()
	var fetched struct{ Dir, Error string }
	if jsonErr := json.Unmarshal(out, &fetched); fetched.Error != "" {
		return nil, errors.New(fetched.Error)
	} else if err = errors.Join(err, jsonErr); err != nil {
		return nil, fmt.Errorf("go mod download: %w", err)
	}
	if err := os.CopyFS(dir, os.DirFS(fetched.Dir)); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	vet := exec.CommandContext(ctx, "go", "vet", "-json", "-vettool="+self, "./...")
	vet.Dir, vet.Env = dir, environment()
	out, err = vet.CombinedOutput() // it fails if one package can not be read: the others are reported all the same
	if ctx.Err() != nil {
		return nil, fmt.Errorf("go vet: %w", context.Cause(ctx))
	}
	m := &result{}
	if err := m.read(module, dir, out); err != nil {
		return nil, err
	}
	if err != nil && len(m.failed) == 0 {
		return nil, fmt.Errorf("go vet: %w\n%s", err, out)
	}
	m.lines, err = count(dir)
	return m, err
}

// environment is that of this process, without settings that are meant for the module that it stands in.
func environment() []string {
	return append(os.Environ(), "GOWORK=off", "GOFLAGS=-buildvcs=false")
}

// read reads the output of go vet -json: for each package a JSON object of its reports, and lines of "# package" and errors.
func (m *result) read(module, dir string, out []byte) error {
	module, _, _ = strings.Cut(module, "@")
	seen := map[string]bool{} // a package and its test variant report the same lines
	var object []byte
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 1<<26)
	for lines.Scan() {
		line := lines.Text()
		switch {
		case len(object) > 0 || strings.HasPrefix(line, "{"):
			object = append(append(object, line...), '\n')
			if strings.HasPrefix(line, "}") || line == "{}" {
				if err := m.add(module, dir, object, seen); err != nil {
					return err
				}
				object = nil
			}
		case line == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, "go: downloading "):
		default:
			m.failed = append(m.failed, line)
		}
	}
	return lines.Err()
}

func (m *result) add(module, dir string, object []byte, seen map[string]bool) error {
	var packages map[string]map[string]json.RawMessage
	if err := json.Unmarshal(object, &packages); err != nil {
		return fmt.Errorf("the output of go vet: %w", err)
	}
	for pkg, found := range packages {
		for rule, list := range found {
			var said []struct{ Posn, Message string }
			if err := json.Unmarshal(list, &said); err != nil {
				m.failed = append(m.failed, fmt.Sprintf("%s: %s: %s", pkg, rule, list))
				continue
			}
			for _, d := range said {
				r, err := newReport(module, dir, rule, d.Posn, d.Message)
				if err != nil {
					return err
				}
				key := rule + " " + d.Message + " " + r.at()
				if seen[key] {
					continue
				}
				seen[key] = true
				m.reports = append(m.reports, r)
			}
		}
	}
	return nil
}

// newReport reads the file that posn, file:line:column, names.
func newReport(module, dir, rule, posn, message string) (report, error) {
	parts := strings.Split(posn, ":")
	if len(parts) < 3 {
		return report{}, fmt.Errorf("a report of %s at %q", rule, posn)
	}
	name := strings.Join(parts[:len(parts)-2], ":")
	line, err := strconv.Atoi(parts[len(parts)-2])
	if err != nil {
		return report{}, fmt.Errorf("a report of %s at %q", rule, posn)
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(dir, name)
	}
	source, err := os.ReadFile(name)
	if err != nil {
		return report{}, err
	}
	if rel, err := filepath.Rel(dir, name); err == nil {
		name = filepath.ToSlash(rel)
	}
	return report{module, rule, name, line, message, strings.Split(string(source), "\n")}, nil
}

// count returns how many lines the Go files of the module in dir have: those that a person wrote, and the rules read.
func count(dir string) (lines int, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			name := d.Name()
			if path != dir && (name == "testdata" || name == "vendor" || name[0] == '.' || name[0] == '_') {
				return filepath.SkipDir
			}
			if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil && path != dir {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(path) != ".go" {
			return nil
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, source, parser.ParseComments|parser.PackageClauseOnly)
		if err != nil || ast.IsGenerated(file) {
			return nil // what does not parse, no rule reads
		}
		lines += bytes.Count(source, []byte("\n"))
		return nil
	})
	return lines, err
}
