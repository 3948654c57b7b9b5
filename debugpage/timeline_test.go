package debugpage

import (
	"testing"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
)

// What is seen at looks becomes spans: a task that stays is one, short ones of one name are one that says so, and a change is
// between two looks. Memory is bounded, and what is left out is said.
//
// Mutants: a task of the same name after another one is the same task; the end is the last look; spans are not bounded; the
// first 64 slots are shown.
func TestTimeline_IsMadeOfLooks(t *testing.T) {
	e, err := executor.New(executor.WithSlots(1))
	require.NoError(t, err)
	defer func() { require.NoError(t, e.Close()) }()
	const ms = time.Millisecond
	begin := time.Now().Truncate(time.Second)
	var tr track
	look := func(at time.Duration, slots ...executor.SlotInfo) {
		for i := range slots {
			slots[i].Slot = i
		}
		tr.look(e, &executor.Report{Time: begin.Add(at), Slots: slots})
	}
	run := func(task string, age time.Duration) executor.SlotInfo {
		return executor.SlotInfo{State: "running", Task: task, Age: age}
	}
	idle := executor.SlotInfo{State: "idle"}
	look(0, idle, run("short", 0))
	look(100*ms, run("long", 0), run("short", 0))
	look(200*ms, run("long", 100*ms), run("short", 0))
	look(300*ms, executor.SlotInfo{State: "blocking", Task: "long", Age: 0}, run("other", 0))
	look(400*ms, idle, idle)
	tl := tr.timeline("x")
	require.Equal(t, []Span{
		{Slot: 1, State: "running", Task: "short", Start: 0, End: 250 * ms, Many: true, By: -1},
		{Slot: 0, State: "running", Task: "long", Start: 50 * ms, End: 250 * ms, By: -1},
		{Slot: 0, State: "blocking", Task: "long", Start: 250 * ms, End: 350 * ms, By: -1},
		{Slot: 1, State: "running", Task: "other", Start: 250 * ms, End: 350 * ms, By: -1},
	}, tl.Spans)
	require.Equal(t, []int{0, 1}, tl.Slots)
	require.NotContains(t, tl.Note, "busiest")

	look(90*time.Second, idle, idle)
	require.Empty(t, tr.timeline("x").Spans, "older than a minute")

	many := make([]executor.SlotInfo, 200)
	for i := range 2 * maxSpans / len(many) { // each look ends as many spans as there are slots
		for j := range many {
			many[j] = run([]string{"a", "b"}[i%2], 0)
		}
		many[7] = idle
		look(100*time.Second+time.Duration(i)*ms, many...)
		require.LessOrEqual(t, len(tr.spans), maxSpans)
	}
	tl = tr.timeline("x")
	require.Len(t, tl.Slots, maxShownSlots)
	require.NotContains(t, tl.Slots, 7)
	require.Equal(t, 200-maxShownSlots, tl.Hidden)
	require.Contains(t, tl.Note, "Of 200 slots the 64 busiest are shown.")
	require.LessOrEqual(t, len(tl.Spans), maxShownSpans)
	require.True(t, tl.From.After(begin.Add(100*time.Second)), "what was let go of is not in the timeline")
}
