package executor

import "testing"

// Settings of the pool in which nobody blocks: PARKING.md.
var parkSettings = map[string]pool{
	"two submitters":           {slots: 2, runners: 2, tasks: []string{"", ""}, outside: []string{"0", "1"}},
	"one runs for ever":        {slots: 2, runners: 2, tasks: []string{"z", "", ""}, outside: []string{"0", "12"}},
	"children":                 {slots: 2, runners: 2, tasks: []string{"p1p2z", "", ""}, outside: []string{"0"}},
	"children and a submitter": {slots: 2, runners: 2, tasks: []string{"p1z", "", ""}, outside: []string{"0", "2"}},
	"a batch":                  {slots: 2, runners: 2, tasks: []string{"z", "", ""}, outside: []string{"012"}},
	"three slots":              {slots: 3, runners: 3, tasks: []string{"p1z", "z", "z"}, outside: []string{"0", "2"}},
	"push back":                {slots: 2, runners: 2, tasks: []string{"p1tz", ""}, outside: []string{"0"}},
	"overflow":                 {slots: 2, runners: 2, tasks: []string{"p1p2p3oz", "", "", ""}, outside: []string{"0"}},
}

func TestExplorePark_EveryInterleavingKeepsP0(t *testing.T) {
	total := 0
	for name, p := range parkSettings {
		total += mustHold(t, name, p.model())
	}
	t.Logf("%d states", total)
}

func TestExplorePark_FindsMutants(t *testing.T) {
	for name, bug := range map[string]poolMutant{
		"parkers do not look again":                   {noRescan: true},
		"only searching runners look again":           {searchersRescan: true},
		"the last searcher does not wake the next":    {lastFoundQuiet: true},
		"a batch is moved without notify":             {batchQuiet: true},
		"stolen tasks are moved without notify":       {stealQuiet: true},
		"a token is sent before the runner unlists":   {tokenListed: true},
		"a token's receiver is counted late":          {searchAfterToken: true},
		"the slot is freed after the second look":     {giveAfterList: true},
		"an entry is pushed back without notify":      {pushBackQuiet: true},
		"a lowered tail is restored without notify":   {undoQuiet: true},
		"unpark does not look whether a token comes ": {alwaysUnpark: true},
	} {
		mustFail(t, name, withBug(parkSettings, bug)...)
	}
}

// withBug returns the models of all settings, with a bug.
func withBug(settings map[string]pool, bug poolMutant) []*model[poolState] {
	var models []*model[poolState]
	for _, p := range settings {
		p.bug = bug
		models = append(models, p.model())
	}
	return models
}
