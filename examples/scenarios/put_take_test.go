package main

import (
	"testing"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
)

// One of four workers works before; in the time of the executor there is also what the monitor needs to be sure: with as many
// goroutines at work as tasks that stand still, it can not tell them apart.
func TestPutTake_TheWaitingKeepNobodyFromWorking(t *testing.T) {
	o := try(t, putTake, 0.3)
	before := o.before.get(t, putTakeBusy)
	require.Less(t, before, 0.4)
	require.Greater(t, o.after.get(t, putTakeMarked), 2*before)
	require.Greater(t, o.after.get(t, putTakeBusy), 1.2*before)
	require.LessOrEqual(t, o.after.get(t, putTakeWaiting), o.after.get(t, putTakeBound))

	report, ok := o.after.values.get(putTakeBeyond)
	require.True(t, ok)
	require.Equal(t, executor.StallSpares, report.String())
	require.Regexp(t, `, marked: reason "spares".* queued 8, standing still \d, the oldest in put_take\.go:\d+`, o.after.remarks[0])
	require.Regexp(t, `, unmarked: reason "spares".* queued 8, standing still 8, the oldest in put_take\.go:\d+`, o.after.remarks[1])
}
