package rules

import (
	"go/ast"
	"go/types"
)

// peers says what a call of somebody else's pool would be in this library. It is nil but for measurements.
var peers map[string]string

// AsPeers makes the rules read programs that do not use the library as if they did: functions given to errgroup, conc, ants,
// pond, workerpool, sync.WaitGroup and go statements are tasks, and these groups' Wait is Group.Wait. The
// measure command uses it, since no rule but execgo and execdoors has a subject in foreign code. Call it before the rules run.
func AsPeers() {
	peers = map[string]string{
		"(*sync.WaitGroup).Go":   "Group.Go",
		"(*sync.WaitGroup).Wait": "Group.Wait",

		"(*golang.org/x/sync/errgroup.Group).Go":    "Group.Go",
		"(*golang.org/x/sync/errgroup.Group).TryGo": "Group.TryGo",
		"(*golang.org/x/sync/errgroup.Group).Wait":  "Group.Wait",

		"(*github.com/sourcegraph/conc.WaitGroup).Go":                   "Group.Go",
		"(*github.com/sourcegraph/conc.WaitGroup).Wait":                 "Group.Wait",
		"(*github.com/sourcegraph/conc/pool.Pool).Go":                   "Group.Go",
		"(*github.com/sourcegraph/conc/pool.Pool).Wait":                 "Group.Wait",
		"(*github.com/sourcegraph/conc/pool.ErrorPool).Go":              "Group.Go",
		"(*github.com/sourcegraph/conc/pool.ErrorPool).Wait":            "Group.Wait",
		"(*github.com/sourcegraph/conc/pool.ContextPool).Go":            "Group.Go",
		"(*github.com/sourcegraph/conc/pool.ContextPool).Wait":          "Group.Wait",
		"(*github.com/sourcegraph/conc/pool.ResultPool[T]).Go":          "Group.Go",
		"(*github.com/sourcegraph/conc/pool.ResultPool[T]).Wait":        "Group.Wait",
		"(*github.com/sourcegraph/conc/pool.ResultErrorPool[T]).Go":     "Group.Go",
		"(*github.com/sourcegraph/conc/pool.ResultErrorPool[T]).Wait":   "Group.Wait",
		"(*github.com/sourcegraph/conc/pool.ResultContextPool[T]).Go":   "Group.Go",
		"(*github.com/sourcegraph/conc/pool.ResultContextPool[T]).Wait": "Group.Wait",

		"(*github.com/panjf2000/ants/v2.Pool).Submit":      "Executor.Go",
		"(*github.com/panjf2000/ants/v2.MultiPool).Submit": "Executor.Go",
		"github.com/panjf2000/ants/v2.Submit":              "Executor.Go",

		"(github.com/alitto/pond/v2.Pool).Go":             "Executor.Go",
		"(github.com/alitto/pond/v2.Pool).Submit":         "Group.Go", // its error comes later
		"(github.com/alitto/pond/v2.Pool).SubmitErr":      "Group.Go",
		"(github.com/alitto/pond/v2.TaskGroup).Submit":    "Group.Go",
		"(github.com/alitto/pond/v2.TaskGroup).SubmitErr": "Group.Go",
		"(github.com/alitto/pond/v2.TaskGroup).Wait":      "Group.Wait",

		"(*github.com/gammazero/workerpool.WorkerPool).Submit":     "Group.Go",
		"(*github.com/gammazero/workerpool.WorkerPool).SubmitWait": "Group.Go",
	}
}

// goTask returns the function that a go statement starts, in a measurement.
func (p *pass) goTask(g *ast.GoStmt, file *ast.File) *task {
	t := p.task(g.Call.Fun)
	if t != nil {
		t.call, t.name, t.file = g.Call, "go", file
	}
	return t
}

// takesContext reports whether the first parameter of sig is a context, as that of each task of the library is.
func takesContext(sig *types.Signature) bool {
	return sig.Params().Len() > 0 && isContext(sig.Params().At(0).Type())
}
