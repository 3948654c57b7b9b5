package rules

import (
	"go/ast"
	"slices"

	"golang.org/x/tools/go/analysis"
)

var execmark = rule("execmark", `execmark: report tasks that do nothing but block

A task whose whole body is inside Blocking never uses its slot. A goroutine would do the same for less, if their number is bounded
elsewhere. On demand: the bound of the queue, names, spans and the end of the executor may be why it is a task.`, runExecmark)

func runExecmark(p *pass) {
	if ours(p.Pkg.Path()) {
		return
	}
	for _, t := range p.tasks() {
		blocks := false
		only := !slices.ContainsFunc(t.body.List, func(stmt ast.Stmt) bool {
			switch s := stmt.(type) {
			case *ast.ExprStmt:
				call, ok := s.X.(*ast.CallExpr)
				if ok && slices.Contains(marking, libraryCall(p.TypesInfo, call)) {
					blocks = true
					return false
				}
			case *ast.ReturnStmt:
				return slices.ContainsFunc(s.Results, func(e ast.Expr) bool {
					call, ok := ast.Unparen(e).(*ast.CallExpr)
					if ok && slices.Contains(marking, libraryCall(p.TypesInfo, call)) {
						blocks = true
						return false
					}
					return ok
				})
			case *ast.DeclStmt:
				return false
			}
			return true
		})
		if only && blocks {
			p.report(analysis.Diagnostic{
				Pos: t.body.Pos(), End: t.body.End(),
				Message: "the task does nothing outside of Blocking: it needs no slot, and a goroutine would do",
			})
		}
	}
}
