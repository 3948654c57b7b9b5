package rules

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis"
)

var execblock = rule("execblock", `execblock: report tasks that wait outside of Blocking

A task that waits for a timer, a channel, a lock, the network, a database or a file keeps its slot from others, unless the call
is inside executor.Blocking, a Bulkhead or OnThread, or is one of executor.Receive, Send, WaitFor and Lock. Calls of helper
functions are followed, up to three deep, and the path is printed. In test files, where
tasks wait on purpose, nothing is reported.`, runExecblock, func(a *Analyzer) {
	a.FactTypes = []analysis.Fact{new(blocksFact)}
})

// blocksFact says how a function comes to wait.
type blocksFact struct{ Path reach }

func (*blocksFact) AFact()           {}
func (f *blocksFact) String() string { return "blocks: " + f.Path.String() }

func runExecblock(p *pass) {
	if p.standard() || ours(p.Pkg.Path()) {
		return
	}
	s := &search{p: p}
	s.op = func(n ast.Node) (string, bool) { return p.waits(n) }
	s.fact = func(fn *types.Func) reach {
		var fact blocksFact
		if p.ImportObjectFact(fn, &fact) {
			return fact.Path
		}
		return nil
	}
	s.functions(func(fn *types.Func, r reach) { p.ExportObjectFact(fn, &blocksFact{r}) })
	for _, t := range p.outsideTests() {
		s.each(t.body, func(n ast.Node, r reach) {
			p.report(analysis.Diagnostic{
				Pos: n.Pos(), End: n.End(),
				Message:        fmt.Sprintf("the task waits in %s and keeps its slot: wrap it in executor.Blocking", r),
				SuggestedFixes: p.wrap(t, n),
			})
		})
	}
}

// waits reports what n waits for, if that is certain.
func (p *pass) waits(n ast.Node) (what string, inside bool) {
	switch n := n.(type) {
	case *ast.CallExpr:
		if slices.Contains(marking, libraryCall(p.TypesInfo, n)) {
			return "", false
		}
		if fn := callee(p.TypesInfo, n); fn != nil && fn.Pkg() != nil {
			if waiting(fn) || reading[fn.FullName()] && slices.ContainsFunc(n.Args, p.slowReader) {
				return short(fn), true
			}
		}
	case *ast.SendStmt:
		if !p.ofSelect[n] && !p.roomy(n.Chan) && !p.roomyField(n.Chan) {
			return "a send to a channel", true
		}
	case *ast.UnaryExpr:
		if n.Op == token.ARROW && !p.ofSelect[n] && !p.roomy(n.X) && !(p.tokens(n.X) && p.roomyField(n.X)) {
			return "a receive from a channel", true
		}
	case *ast.RangeStmt:
		if t := p.TypesInfo.TypeOf(n.X); t != nil {
			if _, ok := t.Underlying().(*types.Chan); ok && !p.roomy(n.X) {
				return "a range over a channel", true
			}
		}
	case *ast.SelectStmt:
		p.quiet(n)
		return p.selects(n), true
	}
	return "", true
}

// quiet remembers the sends and receives that are the cases of s: the select waits, not they.
func (p *pass) quiet(s *ast.SelectStmt) {
	for _, clause := range s.Body.List {
		if comm := clause.(*ast.CommClause).Comm; comm != nil {
			ast.Inspect(comm, func(n ast.Node) bool {
				if n != nil {
					p.ofSelect[n] = true
				}
				return true
			})
		}
	}
}

// selects reports that s waits: it has no default, and does not end with a context.
func (p *pass) selects(s *ast.SelectStmt) string {
	for _, clause := range s.Body.List {
		comm := clause.(*ast.CommClause).Comm
		if comm == nil {
			return ""
		}
		done := false
		ast.Inspect(comm, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "Done" && isContext(p.TypesInfo.TypeOf(sel.X)) {
				done = true
			}
			return true
		})
		if done {
			return ""
		}
	}
	return "a select"
}

// roomy reports whether ch is a variable that is set once, to a channel with a buffer.
func (p *pass) roomy(ch ast.Expr) bool {
	id, ok := ast.Unparen(ch).(*ast.Ident)
	if !ok {
		return false
	}
	v, ok := p.TypesInfo.Uses[id].(*types.Var)
	if !ok || v.Pkg() != p.Pkg {
		return false
	}
	for _, file := range p.files {
		if v.Pos() < file.FileStart || v.Pos() > file.FileEnd {
			continue
		}
		value, sets := p.onlyValue(file, v)
		made, ok := value.(*ast.CallExpr)
		if !ok || sets != 1 || len(made.Args) != 2 {
			return false
		}
		if b, ok := p.TypesInfo.Uses[identOf(made.Fun)].(*types.Builtin); !ok || b.Name() != "make" {
			return false
		}
		size := p.TypesInfo.Types[made.Args[1]].Value
		return size == nil || constant.Sign(size) > 0
	}
	return false
}

func identOf(e ast.Expr) *ast.Ident {
	id, _ := ast.Unparen(e).(*ast.Ident)
	return id
}

// Functions that wait, by package and receiver. A name that ends in * stands for all that begin so.
var waits = map[string]string{
	"time":                                 "Sleep",
	"sync.WaitGroup":                       "Wait",
	"sync.Cond":                            "Wait",
	"net/http":                             "Get Head Post PostForm",
	"net/http.Client":                      "Do Get Head Post PostForm",
	"net":                                  "Dial* Lookup*",
	"net.Dialer":                           "Dial*",
	"net.Resolver":                         "Lookup*",
	"net.Conn":                             "Read Write",
	"net.TCPConn":                          "Read Write ReadFrom",
	"net.Listener":                         "Accept",
	"database/sql.DB":                      "Query* Exec* Begin* Ping* Prepare* Conn",
	"database/sql.Tx":                      "Query* Exec* Prepare* Commit Rollback",
	"database/sql.Stmt":                    "Query* Exec*",
	"database/sql.Conn":                    "Query* Exec* Begin* Ping* Prepare*",
	"database/sql.Rows":                    "Next",
	"os":                                   "ReadFile WriteFile Open OpenFile Create ReadDir RemoveAll CopyFS",
	"os.File":                              "Read* Write* Sync",
	"os/exec.Cmd":                          "Run Wait Output CombinedOutput",
	"golang.org/x/sync/errgroup.Group":     "Wait",
	"golang.org/x/sync/semaphore.Weighted": "Acquire",
	"google.golang.org/grpc.ClientConn":    "Invoke",
	"google.golang.org/grpc.ClientStream":  "RecvMsg SendMsg",
	"github.com/redis/go-redis/v9.Client":  "Process Ping",
	"github.com/jackc/pgx/v5.Conn":         "Query* Exec Begin* Ping",
	"github.com/jackc/pgx/v5/pgxpool.Pool": "Query* Exec Begin* Ping Acquire",
	"github.com/nats-io/nats.go.Conn":      "Request* Flush*",
	"github.com/gorilla/websocket.Conn":    "ReadMessage WriteMessage ReadJSON WriteJSON",
}

func waiting(fn *types.Func) bool {
	key := fn.Pkg().Path()
	if recv := fn.Signature().Recv(); recv != nil {
		key += "." + receiver(recv.Type())
	}
	for pattern := range strings.FieldsSeq(waits[key]) {
		prefix, open := strings.CutSuffix(pattern, "*")
		if fn.Name() == pattern || open && strings.HasPrefix(fn.Name(), prefix) {
			return true
		}
	}
	return false
}

// reading are functions that wait if what they are given does.
var reading = map[string]bool{
	"io.ReadAll": true, "io.Copy": true, "io.CopyN": true, "io.CopyBuffer": true, "io.ReadFull": true, "io.WriteString": true,
}

// slowReader reports whether e is a file, a connection, or the body of a request or an answer.
func (p *pass) slowReader(e ast.Expr) bool {
	if t := p.TypesInfo.TypeOf(e); t != nil {
		switch strings.TrimPrefix(types.TypeString(t, nil), "*") {
		case "os.File", "net.Conn", "net.TCPConn":
			id, _ := ast.Unparen(e).(*ast.SelectorExpr) // os.Stdout and its like are no files to wait for
			return id == nil || !strings.HasPrefix(types.ExprString(id), "os.Std")
		}
	}
	sel, ok := ast.Unparen(e).(*ast.SelectorExpr)
	if !ok || sel.Sel.Name != "Body" {
		return false
	}
	of := strings.TrimPrefix(types.TypeString(p.TypesInfo.TypeOf(sel.X), nil), "*")
	return of == "net/http.Response" || of == "net/http.Request"
}

// wrap returns the fix that puts the statement of n inside Blocking, if it is one whose meaning that keeps: a call, a send, or
// an assignment to variables that are there already.
func (p *pass) wrap(t *task, n ast.Node) []analysis.SuggestedFix {
	stmt := p.statement(t.body, n)
	if t.ctx == nil || t.ctx.Name() == "_" || stmt == nil {
		return nil
	}
	if s, ok := stmt.(*ast.AssignStmt); ok && s.Tok == token.DEFINE {
		return nil
	}
	lib := p.importName(t.file)
	if lib == "" {
		return nil
	}
	if scope := p.Pkg.Scope().Innermost(n.Pos()); scope != nil {
		if _, obj := scope.LookupParent(t.ctx.Name(), n.Pos()); obj != t.ctx {
			return nil // another variable of that name
		}
	}
	return []analysis.SuggestedFix{{
		Message: "Wrap it in " + lib + ".Blocking",
		TextEdits: []analysis.TextEdit{
			{Pos: stmt.Pos(), End: stmt.Pos(), NewText: []byte(lib + ".Blocking(" + t.ctx.Name() + ", func() { ")},
			{Pos: stmt.End(), End: stmt.End(), NewText: []byte(" })")},
		},
	}}
}

// statement returns the statement of a block, on one line, that n is the whole of.
func (p *pass) statement(body *ast.BlockStmt, n ast.Node) (found ast.Stmt) {
	consider := func(list []ast.Stmt) {
		for _, stmt := range list {
			if stmt.Pos() > n.Pos() || stmt.End() < n.End() {
				continue
			}
			switch s := stmt.(type) {
			case *ast.ExprStmt, *ast.SendStmt:
				found = s
			case *ast.AssignStmt:
				if len(s.Rhs) == 1 && ast.Unparen(s.Rhs[0]) == n {
					found = s
				}
			default:
				found = nil
			}
		}
	}
	ast.Inspect(body, func(x ast.Node) bool {
		switch x := x.(type) {
		case *ast.BlockStmt:
			consider(x.List)
		case *ast.CaseClause:
			consider(x.Body)
		}
		return x == nil || x.Pos() <= n.Pos() && n.End() <= x.End()
	})
	return found
}

// importName returns the name by which file knows the library, or "".
func (p *pass) importName(file *ast.File) string {
	for _, spec := range file.Imports {
		if spec.Path.Value != `"`+home+`"` {
			continue
		}
		if spec.Name == nil {
			return "executor"
		}
		if spec.Name.Name != "_" && spec.Name.Name != "." {
			return spec.Name.Name
		}
	}
	return ""
}
