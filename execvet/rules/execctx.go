package rules

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"slices"

	"golang.org/x/tools/go/analysis"
)

var execctx = rule("execctx", `execctx: report tasks that use the wrong context

A task's own context is its parameter. Checkpoint, Yield and Fork go by it: with an outer one they do nothing, or run the child
at once. A task that ignores its own context does not see the end of the executor. A task's context that is stored, or captured
by a go statement, counts as coming from outside there: Checkpoint, Yield and Fork do nothing. Test files are left alone.`, runExecctx)

func runExecctx(p *pass) {
	if ours(p.Pkg.Path()) {
		return
	}
	for _, t := range p.outsideTests() {
		if !t.takesCtx {
			continue // a peer's, which has none of its own
		}
		if t.lit != nil && (t.ctx == nil || t.ctx.Name() == "_") {
			p.ignored(t)
		}
		if t.lit != nil {
			p.wrongContext(t)
		}
		if t.ctx != nil {
			p.escapes(t)
		}
	}
}

// own calls with an outer context in a task are useless.
var goByContext = []string{"Checkpoint", "Yield", "Fork", "ForkWith"}

// wrongContext reports calls that go by their context, and are given one from outside of the task.
func (p *pass) wrongContext(t *task) {
	p.marked(t.body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) == 0 || !slices.Contains(goByContext, libraryCall(p.TypesInfo, call)) {
			return true
		}
		id := identOf(call.Args[0])
		if id == nil {
			return true
		}
		v, ok := p.TypesInfo.Uses[id].(*types.Var)
		if !ok || !isContext(v.Type()) || v.Pos() >= t.lit.Pos() && v.Pos() < t.lit.End() {
			return true
		}
		d := analysis.Diagnostic{
			Pos: id.Pos(), End: id.End(),
			Message: fmt.Sprintf("%s is given %s, which is not the context of this task", libraryCall(p.TypesInfo, call), id.Name),
		}
		if t.ctx != nil && t.ctx.Name() != "_" && p.sees(id.Pos(), t.ctx) {
			d.SuggestedFixes = []analysis.SuggestedFix{{
				Message:   "Use the task's own context",
				TextEdits: []analysis.TextEdit{{Pos: id.Pos(), End: id.End(), NewText: []byte(t.ctx.Name())}},
			}}
		}
		p.report(d)
		return true
	})
}

// ignored reports a literal that has no name for its own context and uses one from outside.
func (p *pass) ignored(t *task) {
	var outer *types.Var
	var at *ast.Ident
	ast.Inspect(t.body, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && slices.Contains(goByContext, libraryCall(p.TypesInfo, call)) {
			return false // wrongContext says it
		}
		id, ok := n.(*ast.Ident)
		if !ok || at != nil {
			return at == nil
		}
		v, ok := p.TypesInfo.Uses[id].(*types.Var)
		if ok && !v.IsField() && isContext(v.Type()) && v.Parent() != p.Pkg.Scope() && (v.Pos() < t.lit.Pos() || v.Pos() >= t.lit.End()) {
			outer, at = v, id
		}
		return true
	})
	if at == nil {
		return
	}
	d := analysis.Diagnostic{
		Pos: at.Pos(), End: at.End(),
		Message: fmt.Sprintf("the task ignores its own context and uses %s from outside: it does not see the end of the executor", outer.Name()),
	}
	if names := t.fn.Params.List[0].Names; len(names) == 1 && names[0].Name == "_" {
		d.SuggestedFixes = []analysis.SuggestedFix{{
			Message:   "Name the task's own context " + outer.Name(),
			TextEdits: []analysis.TextEdit{{Pos: names[0].Pos(), End: names[0].End(), NewText: []byte(outer.Name())}},
		}}
	}
	p.report(d)
}

// escapes reports where a task's context is stored, sent, or captured by a go statement.
func (p *pass) escapes(t *task) {
	is := func(e ast.Expr) bool {
		id := identOf(e)
		return id != nil && p.TypesInfo.Uses[id] == t.ctx
	}
	say := func(n ast.Node, how string) {
		p.report(analysis.Diagnostic{Pos: n.Pos(), End: n.End(), Message: "the task's context is " + how})
	}
	ast.Inspect(t.body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for i, right := range n.Rhs {
				if len(n.Lhs) == len(n.Rhs) && is(right) && p.outlives(n.Lhs[i], t) {
					say(right, "stored where it outlives the task")
				}
			}
		case *ast.SendStmt:
			if is(n.Value) {
				say(n.Value, "sent to a channel: who receives it is not the task")
			}
		case *ast.GoStmt:
			if use := p.usesForScheduling(n, t); use != nil {
				say(use, "used by a goroutine of its own, where Checkpoint, Yield and Fork do not know the task: start a child instead")
			}
		}
		return true
	})
}

// outlives reports whether left is a field, a global variable, or one of outside of the task.
func (p *pass) outlives(left ast.Expr, t *task) bool {
	switch left := ast.Unparen(left).(type) {
	case *ast.SelectorExpr, *ast.IndexExpr, *ast.StarExpr:
		v := p.root(left)
		return v != nil && (v.Pos() < t.body.Pos() || v.Pos() >= t.body.End())
	case *ast.Ident:
		v := p.TypesInfo.Uses[left]
		return v != nil && v != t.ctx && (v.Pos() < t.body.Pos() || v.Pos() >= t.body.End())
	}
	return false
}

// usesForScheduling returns where the goroutine that g starts gives the task's context to a call that goes by it.
func (p *pass) usesForScheduling(g *ast.GoStmt, t *task) (found ast.Node) {
	ast.Inspect(g, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if ok && len(call.Args) > 0 && slices.Contains(goByContext, libraryCall(p.TypesInfo, call)) {
			if id := identOf(call.Args[0]); id != nil && p.TypesInfo.Uses[id] == t.ctx {
				found = id
			}
		}
		return found == nil
	})
	return found
}

// sees reports whether v is what its name means at pos.
func (p *pass) sees(pos token.Pos, v *types.Var) bool {
	scope := p.Pkg.Scope().Innermost(pos)
	if scope == nil {
		return false
	}
	_, obj := scope.LookupParent(v.Name(), pos)
	return obj == v
}
