package rules

import (
	"fmt"
	"go/ast"
	"go/types"
	"slices"

	"golang.org/x/tools/go/analysis"
)

var execerr = rule("execerr", `execerr: report dropped errors of Go, TryGo, Submit, Do and Shutdown

An error of a submission says that the task was not accepted and will never run. An error of Shutdown says that tasks are
still running. To drop one on purpose, assign it to _. A deferred Shutdown is left alone.`, runExecerr)

func runExecerr(p *pass) {
	if ours(p.Pkg.Path()) {
		return
	}
	for _, file := range p.files {
		var outer []ast.Node // the functions around
		ast.PreorderStack(file, nil, func(n ast.Node, stack []ast.Node) bool {
			stmt, ok := n.(*ast.ExprStmt)
			if !ok {
				return true
			}
			call, ok := ast.Unparen(stmt.X).(*ast.CallExpr)
			if !ok {
				return true
			}
			name := libraryCall(p.TypesInfo, call)
			if !slices.Contains(failing, name) {
				return true
			}
			outer = stack
			d := analysis.Diagnostic{
				Pos: call.Pos(), End: call.End(),
				Message: fmt.Sprintf("the error of %s is dropped: %s", name, meaning(name)),
			}
			if t := p.TypesInfo.TypeOf(call); isError(t) && returnsOnlyError(p.TypesInfo, outer) {
				d.SuggestedFixes = []analysis.SuggestedFix{{
					Message: "Return it",
					TextEdits: []analysis.TextEdit{
						{Pos: stmt.Pos(), End: stmt.Pos(), NewText: []byte("if err := ")},
						{Pos: stmt.End(), End: stmt.End(), NewText: []byte("; err != nil {\nreturn err\n}")},
					},
				}}
			}
			p.report(d)
			return true
		})
	}
}

func meaning(name string) string {
	if name == "Executor.Shutdown" {
		return "tasks may still be running"
	}
	return "the function may never run"
}

func isError(t types.Type) bool {
	return t != nil && types.Identical(t, types.Universe.Lookup("error").Type())
}

// returnsOnlyError reports whether the innermost function around has one result, an error.
func returnsOnlyError(info *types.Info, stack []ast.Node) bool {
	for _, n := range slices.Backward(stack) {
		var fn *ast.FuncType
		switch n := n.(type) {
		case *ast.FuncLit:
			fn = n.Type
		case *ast.FuncDecl:
			fn = n.Type
		default:
			continue
		}
		return fn.Results != nil && fn.Results.NumFields() == 1 && isError(info.TypeOf(fn.Results.List[0].Type))
	}
	return false
}
