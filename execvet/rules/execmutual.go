package rules

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/types"
	"strings"

	"golang.org/x/tools/go/analysis"
)

var execmutual = rule("execmutual", `execmutual: report WithSlots(1) where it stands for a lock

One slot does not mean one task at a time: while its task blocks, another one runs. Tasks of such an executor that change what they
share, without a lock, race. A Serial is exclusive.`, runExecmutual)

func runExecmutual(p *pass) {
	if ours(p.Pkg.Path()) {
		return
	}
	for _, t := range p.tasks() {
		kind, owner := p.submittedTo(t)
		v, ok := owner.root.(*types.Var)
		if !ok || t.lit == nil || kind != "Executor" || !p.oneSlot(v) || p.locked(t.body) {
			continue
		}
		runs(t.body, func(n ast.Node) bool {
			var changed []ast.Expr
			switch n := n.(type) {
			case *ast.AssignStmt:
				changed = n.Lhs
			case *ast.IncDecStmt:
				changed = []ast.Expr{n.X}
			}
			for _, e := range changed {
				shared := p.root(e)
				if shared == nil || shared.Pos() >= t.lit.Pos() && shared.Pos() < t.lit.End() || p.onceOnly(t, e) {
					continue
				}
				p.report(analysis.Diagnostic{
					Pos: e.Pos(), End: e.End(),
					Message: fmt.Sprintf("WithSlots(1) does not protect %s: while a task blocks, another one runs; use NewSerial, or a lock", types.ExprString(e)),
				})
				return false
			}
			return true
		})
	}
}

// oneSlot reports whether v is set once, to New with WithSlots(1).
func (p *pass) oneSlot(v *types.Var) bool {
	for _, file := range p.files {
		if v.Pos() < file.FileStart || v.Pos() > file.FileEnd {
			continue
		}
		value, sets := p.onlyValue(file, v)
		call, ok := value.(*ast.CallExpr)
		if !ok || sets != 1 || libraryCall(p.TypesInfo, call) != "New" {
			return false
		}
		for _, arg := range call.Args {
			option, ok := ast.Unparen(arg).(*ast.CallExpr)
			if !ok || libraryCall(p.TypesInfo, option) != "WithSlots" || len(option.Args) != 1 {
				continue
			}
			n, exact := constant.Int64Val(constant.ToInt(valueOf(p.TypesInfo, option.Args[0])))
			return exact && n == 1
		}
	}
	return false
}

func valueOf(info *types.Info, e ast.Expr) constant.Value {
	if v := info.Types[e].Value; v != nil {
		return v
	}
	return constant.MakeUnknown()
}

// locked reports whether body locks something, or changes only what is atomic by itself.
func (p *pass) locked(body ast.Node) (found bool) {
	ast.Inspect(body, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if fn := callee(p.TypesInfo, call); fn != nil && strings.HasSuffix(fn.Name(), "Lock") {
				found = true
			}
		}
		return !found
	})
	return found
}

// onceOnly reports whether e is a variable that only this task sets, and that is submitted once: a result, not shared state.
func (p *pass) onceOnly(t *task, e ast.Expr) bool {
	if identOf(e) == nil {
		return false
	}
	inLoop := false
	ast.PreorderStack(t.file, nil, func(n ast.Node, stack []ast.Node) bool {
		if n == t.call {
			for _, s := range stack {
				switch s.(type) {
				case *ast.ForStmt, *ast.RangeStmt:
					inLoop = true
				case *ast.FuncDecl, *ast.FuncLit:
					inLoop = false
				}
			}
		}
		return true
	})
	return !inLoop
}
