package lincheck

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// history and answered are as in history_test.go in the root.
type history struct {
	Kind  string     `json:"kind"`
	Limit int        `json:"limit"`
	Ops   []answered `json:"ops"`
}

type answered struct {
	Client int    `json:"client"`
	Call   int64  `json:"call"`
	Return int64  `json:"return"`
	Op     string `json:"op"`
	Arg    int    `json:"arg"`
	Result string `json:"result"`
	IDs    []int  `json:"ids"`

	concurrent []string // the other operations at the same time
}

// state is that of both structures: what is queued, oldest first.
type state struct {
	queue  []int
	closed bool
}

func (s state) without(i int) state {
	return state{slices.Delete(slices.Clone(s.queue), i, i+1), s.closed}
}

func (s state) with(id int) state { return state{append(slices.Clone(s.queue), id), s.closed} }

// takes checks an operation that takes one entry, from the place at.
func (s state) takes(op answered, at int) (bool, state) {
	if op.Result == "empty" {
		return len(s.queue) == 0, s
	}
	if len(s.queue) == 0 || s.queue[at] != op.IDs[0] {
		return false, s
	}
	return true, s.without(at)
}

// dequeStep is a deque: the owner pushes and pops at the newest end, and thieves take the oldest.
//
// There is one exception. While claimNewest finds out that thieves are too close, a thief may find nothing, though
// there are entries; the owner notifies afterwards.
func dequeStep(s state, op answered) (bool, state) {
	newest := len(s.queue) - 1
	switch op.Op {
	case "push":
		return true, s.with(op.Arg)
	case "pop":
		return s.takes(op, newest)
	case "popHead":
		return s.takes(op, 0)
	case "take":
		if op.Result == "empty" && slices.Contains(op.concurrent, "claimNewest") {
			return true, s
		}
		return s.takes(op, 0)
	case "claimNewest":
		n := len(op.IDs)
		if n == 0 {
			return true, s // it may fail
		}
		from := len(s.queue) - n
		if n > op.Arg || from < 1 || !slices.Equal(s.queue[from:], op.IDs) {
			return false, s
		}
		return true, state{slices.Clone(s.queue[:from]), s.closed}
	}
	panic(op.Op)
}

// injectorStep is a queue, first in first out, that is bounded and can be closed.
func injectorStep(limit int) func(state, answered) (bool, state) {
	return func(s state, op answered) (bool, state) {
		switch op.Op + " " + op.Result {
		case "put ok":
			return !s.closed && len(s.queue) < limit, s.with(op.Arg)
		case "put full":
			return !s.closed && len(s.queue) >= limit, s
		case "put closed":
			return s.closed, s
		case "put canceled":
			return true, s
		case "take ok", "take empty":
			return s.takes(op, 0)
		case "close ok":
			s.closed = true
			return true, s
		}
		panic(op.Op + " " + op.Result)
	}
}

func linearizable(h history) porcupine.CheckResult {
	step := dequeStep
	if h.Kind == "injector" {
		step = injectorStep(h.Limit)
	}
	model := porcupine.Model{
		Init: func() any { return state{} },
		Step: func(s, in, _ any) (bool, any) { return step(s.(state), in.(answered)) },
		Equal: func(a, b any) bool {
			s, t := a.(state), b.(state)
			return s.closed == t.closed && slices.Equal(s.queue, t.queue)
		},
	}
	var ops []porcupine.Operation
	for _, op := range h.Ops {
		for _, other := range h.Ops {
			if other.Client != op.Client && other.Call < op.Return && op.Call < other.Return {
				op.concurrent = append(op.concurrent, other.Op)
			}
		}
		ops = append(ops, porcupine.Operation{ClientId: op.Client, Input: op, Call: op.Call, Output: nil, Return: op.Return})
	}
	return porcupine.CheckOperationsTimeout(model, ops, 20*time.Second)
}

func record(t *testing.T) []history {
	t.Helper()
	name := filepath.Join(t.TempDir(), "histories")
	run := exec.Command("go", "test", "-count=1", "-run=^TestHistories_Record$", "-v", ".")
	run.Dir = filepath.Join("..", "..")
	run.Env = append(os.Environ(), "EXECUTOR_TEST_HISTORIES="+name, "GOWORK=off")
	out, err := run.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var all []history
	for lines := bufio.NewReader(file); ; {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return all
		}
		var h history
		if err := json.Unmarshal(line, &h); err != nil {
			t.Fatal(err)
		}
		all = append(all, h)
	}
}

func TestHistoriesAreLinearizable(t *testing.T) {
	all := record(t)
	if len(all) < 100 {
		t.Fatalf("%d histories", len(all))
	}
	seen, overlapping, unknown := make(map[string]int), 0, 0
	for _, h := range all {
		switch linearizable(h) {
		case porcupine.Illegal:
			t.Errorf("not linearizable: %s", show(h))
		case porcupine.Unknown:
			unknown++
		}
		for _, op := range h.Ops {
			seen[h.Kind+" "+op.Op+" "+op.Result]++
			for _, other := range h.Ops {
				if other.Call > op.Call && other.Call < op.Return {
					overlapping++
				}
			}
		}
	}
	t.Logf("%d histories, %d pairs of calls at the same time, %d not decided; %v", len(all), overlapping, unknown, seen)
	if unknown > len(all)/10 {
		t.Errorf("%d of %d histories were not decided in time", unknown, len(all))
	}
}

// TestWrongHistoriesAreNot changes one answer, so that no order explains it.
func TestWrongHistoriesAreNot(t *testing.T) {
	op := func(at int64, client int, name string, arg int, result string, ids ...int) answered {
		return answered{Client: client, Call: 10 * at, Return: 10*at + 15, Op: name, Arg: arg, Result: result, IDs: ids}
	}
	then := func(at int64, client int, name string, arg int, result string, ids ...int) answered {
		o := op(at, client, name, arg, result, ids...)
		o.Return = o.Call + 5
		return o
	}
	for _, h := range []history{
		{Kind: "deque", Ops: []answered{op(0, 0, "push", 1, "ok"), op(1, 1, "take", 0, "ok", 1), op(2, 2, "take", 0, "ok", 1)}},
		{Kind: "deque", Ops: []answered{op(0, 0, "push", 1, "ok"), op(2, 0, "push", 2, "ok"), op(4, 1, "take", 0, "ok", 2)}},
		{Kind: "deque", Ops: []answered{op(0, 0, "push", 1, "ok"), op(2, 0, "push", 2, "ok"), op(4, 0, "pop", 0, "ok", 1)}},
		{Kind: "deque", Ops: []answered{then(0, 0, "push", 1, "ok"), then(1, 1, "take", 0, "empty")}},
		{Kind: "deque", Ops: []answered{then(0, 0, "push", 1, "ok"), then(1, 0, "claimNewest", 4, "ok", 1)}},
		{Kind: "injector", Limit: 1, Ops: []answered{then(0, 0, "put", 1, "ok"), then(1, 1, "put", 2, "ok")}},
		{Kind: "injector", Limit: 2, Ops: []answered{then(0, 0, "put", 1, "ok"), then(1, 1, "put", 2, "full")}},
		{Kind: "injector", Limit: 2, Ops: []answered{then(0, 0, "put", 1, "ok"), then(1, 0, "put", 2, "ok"), then(2, 1, "take", 0, "ok", 2)}},
		{Kind: "injector", Limit: 2, Ops: []answered{then(0, 0, "close", 0, "ok"), then(1, 1, "put", 1, "ok")}},
		{Kind: "injector", Limit: 2, Ops: []answered{then(0, 0, "put", 1, "closed"), then(1, 1, "close", 0, "ok")}},
	} {
		if got := linearizable(h); got != porcupine.Illegal {
			t.Errorf("%s is taken for linearizable: %v", show(h), got)
		}
	}
}

func show(h history) string {
	text, _ := json.Marshal(h)
	return fmt.Sprintf("%s", text)
}
