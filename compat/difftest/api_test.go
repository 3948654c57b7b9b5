package difftest

import (
	"bufio"
	"bytes"
	"fmt"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const compat = "github.com/seed-97bda89a/executor/compat/"

// doors maps each peer's package to its door.
var doors = map[string]string{
	"golang.org/x/sync/errgroup":            compat + "errgroup",
	"github.com/sourcegraph/conc":           compat + "conc",
	"github.com/sourcegraph/conc/pool":      compat + "conc/pool",
	"github.com/sourcegraph/conc/iter":      compat + "conc/iter",
	"github.com/sourcegraph/conc/stream":    compat + "conc/stream",
	"github.com/sourcegraph/conc/panics":    compat + "conc/panics",
	"github.com/panjf2000/ants/v2":          compat + "ants",
	"github.com/gammazero/workerpool":       compat + "workerpool",
	"github.com/gammazero/workerpool/pacer": compat + "workerpool/pacer",
	"github.com/alitto/pond/v2":             compat + "pond",
}

// TestEveryNameOfThePeer fails when a peer exports something that its door does not, or with another type.
func TestEveryNameOfThePeer(t *testing.T) {
	var paths []string
	for peer, door := range doors {
		paths = append(paths, peer, door)
	}
	load := loader(t, paths)
	for peer, door := range doors {
		t.Run(path.Base(door), func(t *testing.T) {
			theirs, ours := surface(load(peer)), surface(load(door))
			require.NotEmpty(t, theirs)
			for name, typ := range theirs {
				got, ok := ours[name]
				if !ok {
					t.Errorf("%s has %s %s; the door has not", peer, name, typ)
				} else if got != typ {
					t.Errorf("%s:\n peer %s\n door %s", name, typ, got)
				}
			}
		})
	}
}

// surface returns what users of a package can name: functions, types, methods, fields, values, with their types.
func surface(pkg *types.Package) map[string]string {
	// Packages of a peer and those of its door are told apart by nothing.
	qualify := func(p *types.Package) string {
		if p == pkg {
			return ""
		}
		return p.Name()
	}
	names := make(map[string]string)
	add := func(name string, typ types.Type) {
		text := types.TypeString(typ, qualify)
		if sig, ok := typ.(*types.Signature); ok {
			text = unnamed(sig, qualify)
		}
		names[name] = text
	}
	for _, name := range pkg.Scope().Names() {
		obj := pkg.Scope().Lookup(name)
		if !obj.Exported() {
			continue
		}
		switch obj := obj.(type) {
		case *types.TypeName:
			names[name] = "type"
			if iface, ok := obj.Type().Underlying().(*types.Interface); ok {
				for m := range iface.Methods() {
					add(name+"."+m.Name(), m.Type())
				}
				continue
			}
			set := types.NewMethodSet(types.NewPointer(obj.Type()))
			for sel := range set.Methods() {
				if sel.Obj().Exported() {
					add(name+"."+sel.Obj().Name(), sel.Type())
				}
			}
			if s, ok := obj.Type().Underlying().(*types.Struct); ok {
				for f := range s.Fields() {
					if f.Exported() {
						add(name+"."+f.Name(), f.Type())
					}
				}
			}
		case *types.Const:
			add(name, obj.Type())
			names[name] += " = " + obj.Val().ExactString()
		default:
			add(name, obj.Type())
		}
	}
	return names
}

// unnamed prints a signature without the names of parameters.
func unnamed(sig *types.Signature, q types.Qualifier) string {
	list := func(tuple *types.Tuple) string {
		var parts []string
		for v := range tuple.Variables() {
			parts = append(parts, types.TypeString(v.Type(), q))
		}
		return strings.Join(parts, ", ")
	}
	text := "(" + list(sig.Params()) + ") (" + list(sig.Results()) + ")"
	if sig.Variadic() {
		text += " variadic"
	}
	return text
}

// loader compiles packages and returns a function that gives their types.
func loader(t *testing.T, paths []string) func(string) *types.Package {
	t.Helper()
	slices.Sort(paths)
	cmd := exec.Command("go", append([]string{"list", "-export", "-deps", "-f", "{{.ImportPath}} {{.Export}}"}, paths...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	require.NoError(t, err)
	exports := make(map[string]string)
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		name, file, _ := strings.Cut(lines.Text(), " ")
		exports[name] = file
	}
	imp := importer.ForCompiler(token.NewFileSet(), "gc", func(name string) (io.ReadCloser, error) {
		if exports[name] == "" {
			return nil, fmt.Errorf("no export data of %s", name)
		}
		return os.Open(exports[name])
	})
	return func(name string) *types.Package {
		pkg, err := imp.Import(name)
		require.NoError(t, err)
		return pkg
	}
}
