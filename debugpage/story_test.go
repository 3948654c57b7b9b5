package debugpage

import (
	"testing"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
)

// Mutants: the first time that tasks piled up is told, not the longest; a quiet minute has a story; names are counted beside it.
func TestPage_StoryOfTheLastMinute(t *testing.T) {
	begin := time.Date(2026, 1, 2, 14, 3, 0, 0, time.Local)
	d := &State{Stats: executor.Stats{Slots: 4}}
	var o observer
	for i := range 30 {
		p := Point{Time: begin.Add(time.Duration(i) * time.Second), Queued: 3}
		names := map[string]int{"mail": 1, "": 2}
		if i == 2 {
			p.Rejected = 5
		}
		if i >= 10 && i <= 22 {
			p.Queued, p.Waiting, p.WaitP99 = 100*i, i-10, 4100*time.Millisecond
			names = map[string]int{"resize": 3, "mail": 1}
		}
		d.History = append(d.History, p)
		if i >= 5 { // the others are of WithHistory
			o.names = append(o.names, names)
		}
	}
	require.Equal(t, []string{
		"Between 14:03:10 and 14:03:22 tasks named resize held 3.0 of 4 slots; up to 2,200 tasks were queued, 12 submitters waited for room, and the p99 of the wait was 4.1 s.",
	}, o.story(d))
	d.Slots = []Slot{{Slot: 1, Task: "resize", In: "cgo", Age: 12 * time.Second}}
	require.Contains(t, o.story(d), "Slot 1 has been in resize for 12 s (cgo).")
	o.names = nil
	require.Contains(t, o.story(d)[0], "14:03:22 up to 2,200 tasks were queued")
	d.History = d.History[:9]
	require.Contains(t, o.story(d)[0], "Between 14:03:02 and 14:03:02 up to 3 tasks were queued, 5 submissions were refused.")
	d.History = d.History[:2]
	require.Empty(t, o.story(d))
}

// Of more slots than are shown, those are whose tasks have been there for the longest; rules and legends look at all.
//
// Mutants: the first ones are shown; advice is made of what is shown.
func TestPage_OfManySlotsTheBusyOnesAreShown(t *testing.T) {
	p := executor.Report{Lifecycle: "open", Time: time.Now()}
	for i := range 2000 {
		at := executor.SlotInfo{Slot: i, State: "idle"}
		switch {
		case i >= 1100:
			at.State, at.Age = "running", time.Duration(i)*time.Millisecond
		case i%2 == 1:
			at.State = "searching"
		}
		p.Slots = append(p.Slots, at)
	}
	p.Slots[1100].In, p.Slots[1100].Age = "cgo", time.Second // the youngest of those that run
	var o observer
	o.start(&p)
	for range 2 {
		p.Time = p.Time.Add(time.Second)
		require.Empty(t, o.look(&p).Advice)
	}
	p.Time = p.Time.Add(time.Second)
	d := o.look(&p)
	require.Len(t, d.Slots, maxSlots)
	for i, at := range d.Slots {
		require.Equal(t, 2000-maxSlots+i, at.Slot)
	}
	require.Equal(t, map[string]int{"running": 900, "idle": 550, "searching": 550}, d.States)
	require.Len(t, d.Advice, 1)
	require.Contains(t, d.Advice[0].Problem, "slot 1100 has been in a C call")
}

func TestPage_FunctionsWithoutThePathOfTheirPackage(t *testing.T) {
	for task, want := range map[string]string{
		"github.com/some/module/pkg.(*T).run.func1": "pkg.(*T).run.func1", "resize": "resize", "main.main.func1": "main.main.func1",
		"GET /users/{id}": "GET /users/{id}", "example.com/users": "example.com/users", "a/b.c": "a/b.c", "": "",
	} {
		require.Equal(t, want, shortTask(task))
	}
}
