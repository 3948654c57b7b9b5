package rules

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis"
)

var execgo = rule("execgo", `execgo: report goroutines without a bound

A go statement in a loop over a channel, a map, or a slice that somebody else made, or in a loop without an end, starts as many
goroutines as there are elements; one in an HTTP handler as many as there are requests. It is reported if nothing in the function
bounds them: no SetLimit, no semaphore, no send to a channel before it. On demand: the rule is about the program, not
about this library.`, runExecgo)

func runExecgo(p *pass) {
	for _, file := range p.files {
		if strings.HasSuffix(p.Fset.Position(file.Package).Filename, "_test.go") {
			continue // tests start what they like
		}
		ast.PreorderStack(file, nil, func(n ast.Node, stack []ast.Node) bool {
			var fn ast.Expr
			switch n := n.(type) {
			case *ast.GoStmt:
				fn = n.Call
			case *ast.CallExpr:
				if f := callee(p.TypesInfo, n); f == nil || f.FullName() != "(*sync.WaitGroup).Go" && f.FullName() != "(*golang.org/x/sync/errgroup.Group).Go" {
					return true
				}
				fn = n
			default:
				return true
			}
			if why := p.unbounded(n, stack); why != "" {
				p.report(analysis.Diagnostic{
					Pos: n.Pos(), End: fn.End(),
					Message:        "nothing bounds the number of these goroutines: " + why,
					SuggestedFixes: p.submitInstead(file, n),
				})
			}
			return true
		})
	}
}

// unbounded says why the number of goroutines that n starts has no bound, or "".
func (p *pass) unbounded(n ast.Node, stack []ast.Node) string {
	var loops []ast.Node
	for _, outer := range slices.Backward(stack) {
		var fn *ast.FuncType
		var body *ast.BlockStmt
		switch outer := outer.(type) {
		case *ast.ForStmt, *ast.RangeStmt:
			loops = append(loops, outer)
			continue
		case *ast.FuncLit:
			fn, body = outer.Type, outer.Body
		case *ast.FuncDecl:
			fn, body = outer.Type, outer.Body
		default:
			continue
		}
		for _, loop := range loops {
			if why := p.endless(loop, fn); why != "" && !p.bounded(body, loop, n) {
				return why
			}
		}
		if _, isGo := n.(*ast.GoStmt); isGo && len(loops) == 0 && p.handler(fn) && !p.bounded(body, body, n) {
			return "one starts for each request"
		}
		return ""
	}
	return ""
}

// endless says why loop has no bound that one can read, or "".
func (p *pass) endless(loop ast.Node, fn *ast.FuncType) string {
	switch loop := loop.(type) {
	case *ast.ForStmt:
		if loop.Cond == nil {
			return "the loop has no end"
		}
	case *ast.RangeStmt:
		t := p.TypesInfo.TypeOf(loop.X)
		if t == nil {
			return ""
		}
		switch t.Underlying().(type) {
		case *types.Chan:
			return "one starts for each element of a channel"
		case *types.Map, *types.Slice:
			if p.parameter(loop.X, fn) {
				return fmt.Sprintf("one starts for each element of %s", types.ExprString(loop.X))
			}
		case *types.Signature:
			return "one starts for each element of a sequence"
		}
	}
	return ""
}

// parameter reports whether e is a parameter of fn, or a field of one.
func (p *pass) parameter(e ast.Expr, fn *ast.FuncType) bool {
	v := p.root(e)
	return v != nil && fn.Params.Pos() <= v.Pos() && v.Pos() < fn.Params.End()
}

// bounded reports whether body, or loop before n, has something that bounds goroutines.
func (p *pass) bounded(body, loop, n ast.Node) (found bool) {
	ast.Inspect(body, func(x ast.Node) bool {
		switch x := x.(type) {
		case *ast.CallExpr:
			if sel, ok := x.Fun.(*ast.SelectorExpr); ok {
				switch name := sel.Sel.Name; {
				case name == "SetLimit", strings.Contains(name, "Acquire"), name == "NumCPU", name == "GOMAXPROCS", strings.HasPrefix(name, "WithMax"):
					found = true
				}
			}
		case *ast.SendStmt:
			if loop.Pos() <= x.Pos() && x.Pos() < n.Pos() {
				found = true
			}
		case *ast.UnaryExpr: // or a token taken from a channel
			if x.Op == token.ARROW && loop.Pos() <= x.Pos() && x.Pos() < n.Pos() && p.tokens(x.X) {
				found = true
			}
		}
		return !found
	})
	return found
}

// tokens reports whether ch is a channel of struct{} or bool, as semaphores are.
func (p *pass) tokens(ch ast.Expr) bool {
	c, ok := p.TypesInfo.TypeOf(ch).Underlying().(*types.Chan)
	if !ok {
		return false
	}
	switch t := c.Elem().Underlying().(type) {
	case *types.Struct:
		return t.NumFields() == 0
	case *types.Basic:
		return t.Kind() == types.Bool
	}
	return false
}

// handler reports whether fn is an HTTP handler.
func (p *pass) handler(fn *ast.FuncType) bool {
	for _, field := range fn.Params.List {
		if types.TypeString(p.TypesInfo.TypeOf(field.Type), nil) == "net/http.ResponseWriter" {
			return true
		}
	}
	return false
}

// submitInstead returns the fix that makes a task of "go func() { ... }()", where an executor and a context are in reach.
func (p *pass) submitInstead(file *ast.File, n ast.Node) []analysis.SuggestedFix {
	g, ok := n.(*ast.GoStmt)
	if !ok || len(g.Call.Args) > 0 || p.importName(file) == "" {
		return nil
	}
	exec, ctx := p.inReach(g.Pos(), func(t types.Type) bool { return receiver(t) == "Executor" && fromHome(t) }), p.inReach(g.Pos(), isContext)
	if exec == "" || ctx == "" {
		return nil
	}
	open, end := fmt.Sprintf("_ = %s.Go(%s, func(%s context.Context) { ", exec, ctx, ctx), " })"
	if lit, ok := g.Call.Fun.(*ast.FuncLit); ok {
		return []analysis.SuggestedFix{{Message: "Make it a task", TextEdits: []analysis.TextEdit{
			{Pos: g.Pos(), End: lit.Body.Lbrace + 1, NewText: []byte(strings.TrimSuffix(open, " "))},
			{Pos: lit.Body.Rbrace + 1, End: g.End(), NewText: []byte(")")},
		}}}
	}
	return []analysis.SuggestedFix{{Message: "Make it a task", TextEdits: []analysis.TextEdit{
		{Pos: g.Pos(), End: g.Call.Pos(), NewText: []byte(open)},
		{Pos: g.End(), End: g.End(), NewText: []byte(end)},
	}}}
}

func fromHome(t types.Type) bool {
	if ptr, ok := t.(*types.Pointer); ok {
		t = ptr.Elem()
	}
	named, ok := t.(*types.Named)
	return ok && named.Obj().Pkg() != nil && named.Obj().Pkg().Path() == home
}

// inReach returns the name of the innermost variable at pos whose type is wanted.
func (p *pass) inReach(pos token.Pos, wanted func(types.Type) bool) string {
	for scope := p.Pkg.Scope().Innermost(pos); scope != nil; scope = scope.Parent() {
		for _, name := range scope.Names() {
			v, ok := scope.Lookup(name).(*types.Var)
			if ok && name != "_" && wanted(v.Type()) && (v.Parent() == p.Pkg.Scope() || v.Pos() < pos) {
				if _, obj := p.Pkg.Scope().Innermost(pos).LookupParent(name, pos); obj == v {
					return name
				}
			}
		}
	}
	return ""
}
