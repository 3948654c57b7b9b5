package rules

import (
	"fmt"
	"go/ast"
	"go/types"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis"
)

var execcgo = rule("execcgo", `execcgo: report tasks that call C outside of Blocking and Bulkhead

A C call holds its thread, and the scheduler can not see into it. Inside executor.Blocking the task's slot is lent meanwhile; a
Bulkhead bounds how many threads are in C at once. Calls of helper functions are followed, up to three deep. C.CString, C.free
and others that only convert or allocate are left alone, and so are test files.`, runExeccgo, func(a *Analyzer) {
	a.FactTypes = []analysis.Fact{new(cgoFact)}
})

// cgoFact says how a function comes to call C.
type cgoFact struct{ Path reach }

func (*cgoFact) AFact()           {}
func (f *cgoFact) String() string { return "calls C: " + f.Path.String() }

func runExeccgo(p *pass) {
	if p.standard() || ours(p.Pkg.Path()) {
		return
	}
	s := &search{p: p}
	s.op = func(n ast.Node) (string, bool) {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return "", true
		}
		if slices.Contains(marking, libraryCall(p.TypesInfo, call)) {
			return "", false
		}
		return p.callsC(call), true
	}
	s.fact = func(fn *types.Func) reach {
		var fact cgoFact
		if p.ImportObjectFact(fn, &fact) {
			return fact.Path
		}
		return nil
	}
	s.functions(func(fn *types.Func, r reach) { p.ExportObjectFact(fn, &cgoFact{r}) })
	for _, t := range p.outsideTests() {
		s.each(t.body, func(n ast.Node, r reach) {
			p.report(analysis.Diagnostic{
				Pos: n.Pos(), End: n.End(),
				Message: fmt.Sprintf("the task calls %s outside of Blocking and Bulkhead", r),
			})
		})
	}
}

// callsC returns the name of the C function that call calls, "C.f", or "". In what cgo made of a source, it is _Cfunc_f, or
// _C2func_f if the call wants errno too.
func (p *pass) callsC(call *ast.CallExpr) string {
	name := ""
	switch fun := ast.Unparen(call.Fun).(type) {
	case *ast.Ident:
		for _, prefix := range []string{"_Cfunc_", "_C2func_"} {
			if rest, ok := strings.CutPrefix(fun.Name, prefix); ok {
				name = rest
			}
		}
	case *ast.SelectorExpr:
		if id, ok := fun.X.(*ast.Ident); ok && id.Name == "C" && p.TypesInfo.Uses[id] != nil {
			if pkg, ok := p.TypesInfo.Uses[id].(*types.PkgName); ok && pkg.Imported().Path() == "C" {
				if tv, ok := p.TypesInfo.Types[fun]; !ok || !tv.IsType() {
					name = fun.Sel.Name
				}
			}
		}
	}
	switch name {
	case "", "CString", "CBytes", "GoString", "GoStringN", "GoBytes", "malloc", "_CMalloc", "calloc", "free", "strlen":
		return ""
	}
	return "C." + name
}
