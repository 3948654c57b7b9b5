package rules

import (
	"go/ast"
	"go/constant"
	"go/types"
)

// roomyField reports whether ch is a field that this package sets, and only to channels with a buffer: the place of an answer
// that comes once, or the tokens of a semaphore. Who sends to it does not wait, as a rule.
func (p *pass) roomyField(ch ast.Expr) bool {
	sel, ok := ast.Unparen(ch).(*ast.SelectorExpr)
	if !ok {
		return false
	}
	field, ok := p.TypesInfo.Uses[sel.Sel].(*types.Var)
	if !ok || !field.IsField() || field.Pkg() != p.Pkg {
		return false
	}
	field = field.Origin()
	is := func(e ast.Expr) bool {
		id, _ := e.(*ast.Ident)
		if sel, ok := ast.Unparen(e).(*ast.SelectorExpr); ok {
			id = sel.Sel
		}
		if id == nil {
			return false
		}
		v, ok := p.TypesInfo.Uses[id].(*types.Var)
		return ok && v.Origin() == field
	}
	buffered, others := 0, 0
	see := func(value ast.Expr) {
		if p.buffered(value) {
			buffered++
		} else {
			others++
		}
	}
	for _, file := range p.Files {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.KeyValueExpr:
				if is(n.Key) {
					see(n.Value)
				}
			case *ast.AssignStmt:
				for i, left := range n.Lhs {
					if is(left) {
						see(n.Rhs[min(i, len(n.Rhs)-1)])
					}
				}
			}
			return true
		})
	}
	return buffered > 0 && others == 0
}

// buffered reports whether e makes a channel with a buffer. nil counts too: it takes one away.
func (p *pass) buffered(e ast.Expr) bool {
	if id := identOf(e); id != nil && p.TypesInfo.Types[id].IsNil() {
		return true
	}
	made, ok := ast.Unparen(e).(*ast.CallExpr)
	if !ok || len(made.Args) != 2 {
		return false
	}
	if b, ok := p.TypesInfo.Uses[identOf(made.Fun)].(*types.Builtin); !ok || b.Name() != "make" {
		return false
	}
	size := p.TypesInfo.Types[made.Args[1]].Value
	return size == nil || constant.Sign(size) > 0
}
