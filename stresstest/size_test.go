package stresstest

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// mostBytes is how large a program may be that runs one task, linux/amd64 and not stripped. A program that imports package
// otel is 5.86 MB, for that imports net/http; one that registers such metrics and starts such spans, and asks automaxprocs, is 6.26 MB.
const mostBytes = 7_165_000

const oneTask = `package main

import (
	"context"
	"fmt"
	"os"

	"github.com/seed-97bda89a/executor"
)

func main() {
	e, err := executor.New()
	check(err)
	done := make(chan struct{})
	check(e.Go(context.Background(), func(context.Context) { close(done) }))
	<-done
	check(e.Close())
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
`

// A program links what it calls, and nothing else of this package. Mutants: the root imports debugpage; something that New
// reaches calls html/template; a field of runner has the type of a task of a group.
func TestSize_AProgramLinksWhatItCalls(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "one")
	require.NoError(t, os.MkdirAll(dir, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "main.go"), []byte(oneTask), 0o600))
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	for _, name := range []string{"go.mod", "go.sum"} { // as a user's module: with what this one requires
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		text = []byte(strings.ReplaceAll(string(text), "=> ../", "=> "+root))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	program := filepath.Join(dir, "program")
	build := exec.Command("go", "build", "-mod=mod", "-buildvcs=false", "-o", program, "./main.go")
	build.Dir = dir
	build.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)

	info, err := os.Stat(program)
	require.NoError(t, err)
	t.Logf("%d bytes", info.Size())
	require.LessOrEqual(t, info.Size(), int64(mostBytes))

	file, err := elf.Open(program)
	require.NoError(t, err)
	defer file.Close()
	symbols, err := file.Symbols()
	require.NoError(t, err)
	require.NotEmpty(t, symbols)
	for _, s := range symbols {
		for _, unwanted := range []string{
			"net/http.(*Server).Serve", "text/template", "html/template", "executor/debugpage", "otel/sdk",
			"reflect.Value.MethodByName", "reflect.(*rtype).MethodByName", // with them the linker keeps every method
			"executor.(*Executor).Report", "executor.(*groupTask)", "executor.(*span)", "executor.(*strand)", "executor.(*keeper).report",
			"executor.(*Executor).Sizing", "executor.(*Executor).Quiesce", // nobody calls them
		} {
			if strings.HasPrefix(s.Name, unwanted) || strings.HasPrefix(s.Name, "github.com/seed-97bda89a/"+unwanted) || strings.HasPrefix(s.Name, "go.opentelemetry.io/"+unwanted) {
				require.Zero(t, s.Size, "the program contains %s", s.Name)
			}
		}
	}
}
