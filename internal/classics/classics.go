// Package classics has the classic bugs of concurrent programs, written as users of the executor would write them, each
// beside its right version: executortest.Explore has to find the one and to let the other one pass.
package classics

import (
	"testing"

	"github.com/seed-97bda89a/executor"
)

// Bug is one of them.
type Bug struct {
	Name  string
	Wrong func(t *testing.T, e *executor.Executor)
	Right func(t *testing.T, e *executor.Executor)
	Slots int // for executortest.Slots, or 0
}

// All are the bugs.
var All = []Bug{
	{Name: "lost update", Wrong: lostUpdate(false), Right: lostUpdate(true)},
	{Name: "check then act", Wrong: checkThenAct(false), Right: checkThenAct(true)},
	{Name: "overdraft", Wrong: overdraft(false), Right: overdraft(true)},
	{Name: "torn read", Wrong: tornRead(false), Right: tornRead(true)},
	{Name: "half-built value", Wrong: halfBuilt(false), Right: halfBuilt(true)},
	{Name: "double close", Wrong: doubleClose(false), Right: doubleClose(true)},
	{Name: "send on a closed channel", Wrong: sendOnClosed(false), Right: sendOnClosed(true)},
	{Name: "index after a delete", Wrong: indexAfterDelete(false), Right: indexAfterDelete(true)},
	{Name: "queue over its bound", Wrong: overBound(false), Right: overBound(true)},
	{Name: "reference count", Wrong: refCount(false), Right: refCount(true)},
	{Name: "ABA", Wrong: aba(false), Right: aba(true)},
	{Name: "stale cache", Wrong: staleCache(false), Right: staleCache(true)},
	{Name: "missed signal", Wrong: missedSignal(false), Right: missedSignal(true)},
	{Name: "one signal for two", Wrong: oneSignal(false), Right: oneSignal(true)},
	{Name: "deadlock by order", Wrong: lockOrder(false), Right: lockOrder(true)},
	{Name: "philosophers", Wrong: philosophers(false), Right: philosophers(true)},
	{Name: "deadlock through a full channel", Wrong: fullChannel(false), Right: fullChannel(true)},
	{Name: "waits with a lock held", Wrong: waitsLocked(false), Right: waitsLocked(true)},
	{Name: "leak after an early return", Wrong: earlyReturn(false), Right: earlyReturn(true)},
	{Name: "leak after a timeout", Wrong: timeoutLeak(false), Right: timeoutLeak(true)},
	{Name: "order assumed between children", Wrong: orderAssumed(false), Right: orderAssumed(true)},
	{Name: "result used after cancel", Wrong: resultAfterCancel(false), Right: resultAfterCancel(true)},
	{Name: "canceled before it starts", Wrong: neverStarts(false), Right: neverStarts(true)},
	{Name: "Add inside the task", Wrong: addInside(false), Right: addInside(true)},
	{Name: "closed while in use", Wrong: closedInUse(false), Right: closedInUse(true)},
	{Name: "done twice", Wrong: doneTwice(false), Right: doneTwice(true)},
}
