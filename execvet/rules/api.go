package rules

import (
	"go/ast"
	"go/types"
	"slices"
	"strings"

	"golang.org/x/tools/go/types/typeutil"
)

// home is the import path of the library.
const home = "github.com/seed-97bda89a/executor"

// ours reports whether pkg is the library or one of its packages. Examples and tools are not.
func ours(path string) bool {
	rest, ok := strings.CutPrefix(path, home)
	return ok && (rest == "" || rest[0] == '/') && !strings.HasPrefix(rest, "/examples") && !strings.HasPrefix(rest, "/execvet")
}

// callee returns the function or method that call calls, also through an interface, or nil.
func callee(info *types.Info, call *ast.CallExpr) *types.Func {
	fn, _ := typeutil.Callee(info, call).(*types.Func)
	if fn != nil {
		fn = fn.Origin()
	}
	return fn
}

// libraryCall returns the name of the library's own function or method that call calls: "Submit", "Group.Wait".
func libraryCall(info *types.Info, call *ast.CallExpr) string {
	fn := callee(info, call)
	if fn == nil || fn.Pkg() == nil {
		return ""
	}
	if fn.Pkg().Path() != home {
		return peers[fn.FullName()]
	}
	if recv := fn.Signature().Recv(); recv != nil {
		return receiver(recv.Type()) + "." + fn.Name()
	}
	return fn.Name()
}

// receiver is the name of the type of a method's receiver.
func receiver(t types.Type) string {
	if ptr, ok := t.(*types.Pointer); ok {
		t = ptr.Elem()
	}
	if named, ok := t.(*types.Named); ok {
		return named.Obj().Name()
	}
	return ""
}

// These put the calling task aside, or let it wait for other tasks.
var yielding = []string{"Checkpoint", "Yield", "Group.Wait", "Future.Wait", "Forked.Join"}

// What runs inside these may block.
var marking = []string{"Blocking", "OnThread", "Bulkhead.Blocking"}

// Errors of these say that nothing was started, or what has not ended.
var failing = []string{
	"Executor.Go", "Executor.TryGo", "Executor.Do", "Executor.TryDo", "Executor.Shutdown", "Submit", "TrySubmit",
	"Serial.Go", "Serial.TryGo", "Serial.Do", "SubmitOn", "Keyed.Go", "Keyed.TryGo", "Keyed.Do", "SubmitKey",
	"Executor.After", "Executor.Every",
}

func isContext(t types.Type) bool {
	named, ok := types.Unalias(t).(*types.Named)
	return ok && named.Obj().Name() == "Context" && named.Obj().Pkg() != nil && named.Obj().Pkg().Path() == "context"
}

// A task is a function that some call hands to the library to be run as one.
type task struct {
	call *ast.CallExpr // who submits it
	name string        // of the library's function: "Group.Go"
	fn   *ast.FuncType
	body *ast.BlockStmt
	lit  *ast.FuncLit // nil if the function has a name
	ctx  *types.Var   // the task's own context; nil if it has no name

	takesCtx bool // always, but for peers' functions
	file     *ast.File
}

// tasks returns the tasks that are submitted in the package and whose body stands in it.
func (p *pass) tasks() []*task {
	var found []*task
	for _, file := range p.files {
		ast.Inspect(file, func(n ast.Node) bool {
			if g, ok := n.(*ast.GoStmt); ok && peers != nil {
				if t := p.goTask(g, file); t != nil {
					found = append(found, t)
				}
				return true
			}
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			name := libraryCall(p.TypesInfo, call)
			if name == "" || strings.HasPrefix(name, "With") || slices.Contains(marking, name) {
				return true
			}
			for _, arg := range call.Args {
				if t := p.task(arg); t != nil {
					t.call, t.name, t.file = call, name, file
					found = append(found, t)
				}
			}
			return true
		})
	}
	return found
}

// outsideTests returns the tasks that are submitted in files that are no tests: those make tasks wait on purpose.
func (p *pass) outsideTests() []*task {
	return slices.DeleteFunc(p.tasks(), func(t *task) bool {
		return strings.HasSuffix(p.Fset.Position(t.file.Package).Filename, "_test.go")
	})
}

// task returns the function that arg is, if its first parameter is a context.
func (p *pass) task(arg ast.Expr) *task {
	sig, ok := p.TypesInfo.TypeOf(arg).(*types.Signature)
	if !ok || !takesContext(sig) && peers == nil {
		return nil
	}
	t := &task{takesCtx: takesContext(sig)}
	switch arg := ast.Unparen(arg).(type) {
	case *ast.FuncLit:
		t.lit, t.fn, t.body = arg, arg.Type, arg.Body
	case *ast.Ident:
		t.fn, t.body, t.lit = p.definition(p.TypesInfo.Uses[arg])
	case *ast.SelectorExpr:
		t.fn, t.body, t.lit = p.definition(p.TypesInfo.Uses[arg.Sel])
	}
	if t.body == nil {
		return nil
	}
	if !t.takesCtx {
		return t
	}
	if names := t.fn.Params.List[0].Names; len(names) > 0 {
		t.ctx, _ = p.TypesInfo.Defs[names[0]].(*types.Var)
	}
	return t
}

// definition finds the function that obj names: one of this package, or a variable that is set once, to a literal.
func (p *pass) definition(obj types.Object) (*ast.FuncType, *ast.BlockStmt, *ast.FuncLit) {
	if obj == nil || obj.Pkg() != p.Pkg {
		return nil, nil, nil
	}
	for _, file := range p.files {
		if obj.Pos() < file.FileStart || obj.Pos() > file.FileEnd {
			continue
		}
		switch obj := obj.(type) {
		case *types.Func:
			for _, decl := range file.Decls {
				if fn, ok := decl.(*ast.FuncDecl); ok && p.TypesInfo.Defs[fn.Name] == obj.Origin() {
					return fn.Type, fn.Body, nil
				}
			}
		case *types.Var:
			if lit := p.onlyLiteral(file, obj); lit != nil {
				return lit.Type, lit.Body, lit
			}
		}
	}
	return nil, nil, nil
}

// onlyLiteral returns the literal that v is set to, if nothing else is ever assigned to it.
func (p *pass) onlyLiteral(file *ast.File, v *types.Var) *ast.FuncLit {
	value, sets := p.onlyValue(file, v)
	lit, _ := value.(*ast.FuncLit)
	if sets != 1 {
		return nil
	}
	return lit
}

// onlyValue returns what v is set to in file, and how often it is set.
func (p *pass) onlyValue(file *ast.File, v *types.Var) (value ast.Expr, sets int) {
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for i, left := range n.Lhs {
				if id, ok := left.(*ast.Ident); ok && (p.TypesInfo.Defs[id] == v || p.TypesInfo.Uses[id] == v) {
					sets++
					value = n.Rhs[min(i, len(n.Rhs)-1)]
				}
			}
		case *ast.ValueSpec:
			for i, id := range n.Names {
				if p.TypesInfo.Defs[id] == v && i < len(n.Values) {
					sets++
					value = n.Values[i]
				}
			}
		case *ast.UnaryExpr:
			if id, ok := n.X.(*ast.Ident); ok && n.Op.String() == "&" && p.TypesInfo.Uses[id] == v {
				sets++ // somebody else may set it
			}
		}
		return true
	})
	return value, sets
}

// runs visits the parts of body that the goroutine of body runs itself: not what go statements start, nor function literals,
// but for those that are called or deferred on the spot. If visit returns false, the node's inside is left out.
func runs(body ast.Node, visit func(ast.Node) bool) {
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			for _, arg := range n.Call.Args {
				runs(arg, visit)
			}
			return false
		case *ast.FuncLit:
			return false
		case *ast.CallExpr:
			if lit, ok := ast.Unparen(n.Fun).(*ast.FuncLit); ok {
				for _, arg := range n.Args {
					runs(arg, visit)
				}
				runs(lit.Body, visit)
				return false
			}
		}
		return n == nil || visit(n)
	})
}

// marked visits body as runs does, and also what stands inside Blocking and its like.
func (p *pass) marked(body ast.Node, visit func(ast.Node) bool) {
	runs(body, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && slices.Contains(marking, libraryCall(p.TypesInfo, call)) {
			for _, arg := range call.Args {
				if lit, ok := ast.Unparen(arg).(*ast.FuncLit); ok {
					p.marked(lit.Body, visit)
				}
			}
		}
		return visit(n)
	})
}
