package explore

import (
	"maps"
	"slices"
	"testing"
)

// Settings of the pool in which nobody blocks: PARKING.md.
var parkSettings = []pool{
	{name: "push back", slots: 2, runners: 2, tasks: []string{"p1tz", ""}, outside: []string{"0"}},
	{name: "children", slots: 2, runners: 2, tasks: []string{"p1p2z", "", ""}, outside: []string{"0"}},
	{name: "overflow", slots: 2, runners: 2, tasks: []string{"p1p2p3oz", "", "", ""}, outside: []string{"0"}},
	{name: "a batch", slots: 2, runners: 2, tasks: []string{"z", "", ""}, outside: []string{"012"}},
	{name: "three slots", slots: 3, runners: 3, tasks: []string{"p1z", "z", "z"}, outside: []string{"0", "2"}},
	{name: "children and a submitter", slots: 2, runners: 2, tasks: []string{"p1z", "", ""}, outside: []string{"0", "2"}},
	{name: "two submitters", slots: 2, runners: 2, tasks: []string{"", ""}, outside: []string{"0", "1"}},
	{name: "handed over, and has a child", slots: 2, runners: 2, tasks: []string{"", "p2", ""}, outside: []string{"01"}},
	{name: "one runs for ever", slots: 2, runners: 2, tasks: []string{"z", "", ""}, outside: []string{"0", "12"}},
}

func TestExplorePark_EveryInterleavingKeepsP0(t *testing.T) {
	if exploredBefore(t) {
		return
	}
	holdAll(t, parkSettings)
}

// Not among them: a batch out of the injector, or a theft, without notify. The model says that nothing is
// lost then: hasWork looks at the injector before the deques, in the direction in which a batch moves, and
// a thief is counted as searching until found, which looks at everything.
func TestExplorePark_FindsMutants(t *testing.T) {
	if exploredBefore(t) {
		return
	}
	findAll(t, parkSettings, map[string]poolMutant{
		"parkers do not look again":                  {noRescan: true},
		"only searching runners look again":          {searchersRescan: true},
		"the last searcher does not wake the next":   {lastFoundQuiet: true},
		"overflow moves tasks without notify":        {overflowQuiet: true},
		"a token is sent before the runner unlists":  {tokenListed: true},
		"a token's receiver is counted late":         {searchAfterToken: true},
		"the slot is freed after the second look":    {giveAfterList: true},
		"an entry is pushed back without notify":     {pushBackQuiet: true},
		"a lowered tail is restored without notify":  {undoQuiet: true},
		"unpark does not look whether a token comes": {alwaysUnpark: true},
		"a hand-over leaves its runner listed":       {handListed: true},
		"a hand-over does not count its runner":      {handUncounted: true},
		"a hand-over leaves the task behind":         {handNothing: true},
	})
}

// holdAll wants nothing to be wrong in any setting.
func holdAll(t *testing.T, settings []pool) {
	total := 0
	for _, p := range settings {
		total += mustHold(t, p.model())
	}
	t.Logf("%d states", total)
}

// findAll wants every mutant to be found in one of the settings.
func findAll(t *testing.T, settings []pool, mutants map[string]poolMutant) {
	for _, name := range slices.Sorted(maps.Keys(mutants)) {
		var models []*model[poolState]
		for _, p := range settings {
			p.bug = mutants[name]
			models = append(models, p.model())
		}
		mustFail(t, name, models...)
	}
}
