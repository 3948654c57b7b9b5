package rules

import (
	"fmt"
	"go/ast"
	"go/types"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis"
)

var execself = rule("execself", `execself: report tasks that wait for themselves

A task that waits for its own group, or ends its own executor, or waits for a task of its own Serial, waits for its own end. The
library answers with ErrSelfWait or ErrInTask; the line is wrong all the same.`, runExecself)

// What a task of the type must not call on the value that it was submitted to.
var selfWaits = map[string][]string{
	"Group":    {"Group.Wait"},
	"Executor": {"Executor.Shutdown", "Executor.Close", "Executor.Quiesce"},
	"Serial":   {"Serial.Do"},
}

func runExecself(p *pass) {
	if ours(p.Pkg.Path()) {
		return
	}
	for _, t := range p.tasks() {
		kind, owner := p.submittedTo(t)
		if owner.root == nil {
			continue
		}
		p.marked(t.body, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			name := libraryCall(p.TypesInfo, call)
			if !slices.Contains(selfWaits[kind], name) {
				return true
			}
			sel, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr)
			if ok && p.root(sel.X) == owner.root && types.ExprString(sel.X) == owner.path {
				p.report(analysis.Diagnostic{
					Pos: call.Pos(), End: call.End(),
					Message: fmt.Sprintf("%s in a task of %s waits for the task itself", name, owner.path),
				})
			}
			return true
		})
	}
}

// submittedTo returns the kind of what t was submitted to, and the variable that holds it.
func (p *pass) submittedTo(t *task) (kind string, owner lock) {
	var e ast.Expr
	if method, _, ok := strings.Cut(t.name, "."); ok {
		sel, ok := ast.Unparen(t.call.Fun).(*ast.SelectorExpr)
		if !ok {
			return "", lock{}
		}
		kind, e = method, sel.X
	} else if len(t.call.Args) > 1 && receiver(p.TypesInfo.TypeOf(t.call.Args[1])) != "" {
		kind, e = receiver(p.TypesInfo.TypeOf(t.call.Args[1])), t.call.Args[1]
	}
	if e == nil {
		return "", lock{}
	}
	return kind, lock{p.root(e), types.ExprString(e)}
}
