package rules

import (
	"fmt"
	"go/ast"
	"go/types"
	"maps"
	"slices"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/passes/ctrlflow"
	"golang.org/x/tools/go/cfg"
)

var execlock = rule("execlock", `execlock: report locks held across Checkpoint, Yield, Wait and Join

These put the task aside, or run another task first, which may want the same lock: a deadlock. Only locks that are certainly held are
reported: a Mutex or RWMutex that was locked on every way to the call and not unlocked since; a deferred Unlock counts as
held. Functions that yield are known across packages. Blocking is allowed with a lock held.`, runExeclock, func(a *Analyzer) {
	a.Requires = []*analysis.Analyzer{ctrlflow.Analyzer}
	a.FactTypes = []analysis.Fact{new(yieldsFact)}
})

// yieldsFact says how a function comes to yield or wait for a task.
type yieldsFact struct{ Path reach }

func (*yieldsFact) AFact()           {}
func (f *yieldsFact) String() string { return "yields: " + f.Path.String() }

func runExeclock(p *pass) {
	if p.standard() || ours(p.Pkg.Path()) {
		return
	}
	s := &search{p: p}
	s.op = func(n ast.Node) (string, bool) {
		if call, ok := n.(*ast.CallExpr); ok {
			if name := libraryCall(p.TypesInfo, call); slices.Contains(yielding, name) {
				return "executor." + name, true
			}
		}
		return "", true
	}
	s.fact = func(fn *types.Func) reach {
		var fact yieldsFact
		if p.ImportObjectFact(fn, &fact) {
			return fact.Path
		}
		return nil
	}
	s.functions(func(fn *types.Func, r reach) { p.ExportObjectFact(fn, &yieldsFact{r}) })

	flows := p.ResultOf[ctrlflow.Analyzer].(*ctrlflow.CFGs)
	for _, file := range p.files {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Body != nil {
					p.held(s, flows.FuncDecl(n))
				}
			case *ast.FuncLit:
				p.held(s, flows.FuncLit(n))
			}
			return true
		})
	}
}

// locks are the locks held, as they are written, and the objects that their names begin with.
type locks map[lock]bool

type lock struct {
	root types.Object
	path string
}

// held follows the locks through g, and reports those that are held where it yields.
func (p *pass) held(s *search, g *cfg.CFG) {
	if g == nil {
		return
	}
	before := make([]locks, len(g.Blocks))
	before[0] = locks{}
	reports := map[ast.Node]func(){}
	work := []*cfg.Block{g.Blocks[0]}
	for len(work) > 0 {
		b := work[0]
		work = work[1:]
		now := maps.Clone(before[b.Index])
		for _, n := range b.Nodes {
			p.step(s, n, now, reports)
		}
		for _, next := range b.Succs {
			old := before[next.Index]
			if old == nil {
				before[next.Index] = maps.Clone(now)
				work = append(work, next)
				continue
			}
			less := false
			for l := range old { // held is what is held on every way
				if !now[l] {
					delete(old, l)
					less = true
				}
			}
			if less {
				work = append(work, next)
			}
		}
	}
	for _, report := range reports {
		report()
	}
}

// step changes now by what n locks and unlocks, and remembers to report yields in it.
func (p *pass) step(s *search, n ast.Node, now locks, reports map[ast.Node]func()) {
	if _, ok := n.(*ast.DeferStmt); ok {
		return // happens at the end
	}
	runs(n, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			_, deferred := n.(*ast.DeferStmt)
			return !deferred
		}
		if fn := callee(p.TypesInfo, call); fn != nil {
			if l, ok := p.lockOf(call, fn); ok {
				switch fn.Name() {
				case "Lock", "RLock":
					now[l] = true
				case "Unlock", "RUnlock":
					delete(now, l)
				}
				return true
			}
		}
		delete(reports, n)
		r := s.yields(call)
		if r == nil || len(now) == 0 {
			return true
		}
		var names []string
		for l := range now {
			names = append(names, l.path)
		}
		slices.Sort(names)
		reports[n] = func() {
			p.report(analysis.Diagnostic{
				Pos: call.Pos(), End: call.End(),
				Message: fmt.Sprintf("%s is held across %s: the tasks that go first may want it", names[0], r),
			})
		}
		return true
	})
}

// yields returns how call comes to yield, or nil.
func (s *search) yields(call *ast.CallExpr) (found reach) {
	if what, _ := s.op(call); what != "" {
		return reach{what}
	}
	fn := callee(s.p.TypesInfo, call)
	if fn == nil || fn.Pkg() == nil {
		return nil
	}
	r := s.local[fn]
	if fn.Pkg() != s.p.Pkg {
		r = s.fact(fn)
	}
	if r == nil {
		return nil
	}
	return append(reach{short(fn)}, r...)
}

// lockOf returns the lock that call, of fn, locks or unlocks.
func (p *pass) lockOf(call *ast.CallExpr, fn *types.Func) (lock, bool) {
	switch fn.FullName() {
	case "(*sync.Mutex).Lock", "(*sync.Mutex).Unlock", "(*sync.RWMutex).Lock", "(*sync.RWMutex).Unlock",
		"(*sync.RWMutex).RLock", "(*sync.RWMutex).RUnlock", "(sync.Locker).Lock", "(sync.Locker).Unlock":
	default:
		return lock{}, false
	}
	sel, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr)
	if !ok {
		return lock{}, false
	}
	root := p.root(sel.X)
	return lock{root, types.ExprString(sel.X)}, root != nil
}

// root returns the variable that e begins with: that of s in s.queue.mu.
func (p *pass) root(e ast.Expr) types.Object {
	for {
		switch x := ast.Unparen(e).(type) {
		case *ast.Ident:
			return p.TypesInfo.Uses[x]
		case *ast.SelectorExpr:
			if id, ok := x.X.(*ast.Ident); ok {
				if _, ok := p.TypesInfo.Uses[id].(*types.PkgName); ok {
					return p.TypesInfo.Uses[x.Sel]
				}
			}
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		default:
			return nil
		}
	}
}
