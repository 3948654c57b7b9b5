package rules

import (
	"fmt"
	"strconv"

	"golang.org/x/tools/go/analysis"
)

var execdoors = rule("execdoors", `execdoors: report imports of other pools, for which the library has a package of the same names

With -fix the import is changed; no other line has to be. On demand: it is a step that one decides to take.`, runExecdoors)

var doors = map[string]string{
	"golang.org/x/sync/errgroup":            "/compat/errgroup",
	"github.com/sourcegraph/conc":           "/compat/conc",
	"github.com/sourcegraph/conc/iter":      "/compat/conc/iter",
	"github.com/sourcegraph/conc/panics":    "/compat/conc/panics",
	"github.com/sourcegraph/conc/pool":      "/compat/conc/pool",
	"github.com/sourcegraph/conc/stream":    "/compat/conc/stream",
	"github.com/panjf2000/ants/v2":          "/compat/ants",
	"github.com/alitto/pond/v2":             "/compat/pond",
	"github.com/gammazero/workerpool":       "/compat/workerpool",
	"github.com/gammazero/workerpool/pacer": "/compat/workerpool/pacer",
}

func runExecdoors(p *pass) {
	for _, file := range p.files {
		for _, spec := range file.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil || doors[path] == "" {
				continue
			}
			door := home + doors[path]
			p.report(analysis.Diagnostic{
				Pos: spec.Path.Pos(), End: spec.Path.End(),
				Message: fmt.Sprintf("%s has a package of the same names: %s", path, door),
				SuggestedFixes: []analysis.SuggestedFix{{
					Message:   "Import " + door,
					TextEdits: []analysis.TextEdit{{Pos: spec.Path.Pos(), End: spec.Path.End(), NewText: []byte(strconv.Quote(door))}},
				}},
			})
		}
	}
}
