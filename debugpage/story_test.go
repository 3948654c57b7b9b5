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
