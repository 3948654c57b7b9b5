package rules

import (
	"go/ast"
	"go/types"
	"slices"
	"strings"
)

// A reach is how a function comes to an operation that a rule looks for: the functions that it calls on the way,
// and the operation last.
type reach []string

func (r reach) String() string { return strings.Join(r, " -> ") }

// maxCalls is how many helper functions away an operation may be.
const maxCalls = 3

// A search finds operations in the functions of a package, and in those that they call.
type search struct {
	p     *pass
	op    func(ast.Node) (what string, inside bool) // what n does, or ""; whether to look inside n too
	fact  func(*types.Func) reach                   // of a function of another package
	local map[*types.Func]reach
}

// functions computes what each function of the package reaches, and tells keep about those that reach something.
func (s *search) functions(keep func(*types.Func, reach)) {
	s.local = map[*types.Func]reach{}
	bodies := map[*types.Func]*ast.BlockStmt{}
	var order []*types.Func
	for _, file := range s.p.files {
		for _, decl := range file.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Body != nil {
				if obj, ok := s.p.TypesInfo.Defs[fn.Name].(*types.Func); ok {
					bodies[obj] = fn.Body
					order = append(order, obj)
				}
			}
		}
	}
	for range maxCalls { // what is n calls away is known after n rounds
		for _, obj := range order {
			if s.local[obj] != nil {
				continue
			}
			s.each(bodies[obj], func(_ ast.Node, r reach) {
				if s.local[obj] == nil && len(r) <= maxCalls {
					s.local[obj] = r
				}
			})
		}
	}
	for _, obj := range order {
		if r := s.local[obj]; r != nil {
			keep(obj, r)
		}
	}
}

// each tells found about the operations in body, and about the calls that lead to some.
func (s *search) each(body ast.Node, found func(ast.Node, reach)) {
	runs(body, func(n ast.Node) bool {
		what, inside := s.op(n)
		if what != "" {
			found(n, reach{what})
			return inside
		}
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return inside
		}
		fn := callee(s.p.TypesInfo, call)
		if fn == nil || fn.Pkg() == nil || slices.Contains(marking, libraryCall(s.p.TypesInfo, call)) {
			return inside
		}
		r := s.local[fn]
		if fn.Pkg() != s.p.Pkg && s.fact != nil {
			r = s.fact(fn)
		}
		if r != nil {
			found(n, append(reach{short(fn)}, r...))
		}
		return inside
	})
}

// short is a function's name as one writes it in its package's neighbourhood: "store.(*DB).Load".
func short(fn *types.Func) string {
	name := fn.Name()
	if recv := fn.Signature().Recv(); recv != nil {
		name = receiver(recv.Type()) + "." + name
	}
	return fn.Pkg().Name() + "." + name
}

// standard reports whether the package of the pass is of the standard library, whose functions are known by name.
func (p *pass) standard() bool {
	first, _, _ := strings.Cut(p.Pkg.Path(), "/")
	return !strings.Contains(first, ".") && (p.Module == nil || p.Module.Path == "" || p.Module.Path == "std")
}
