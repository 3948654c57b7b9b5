package executor

import "testing"

// Settings of the pool in which tasks block: "Blocking" in ARCHITECTURE.md.
var blockingSettings = map[string]pool{
	"later work":            {slots: 1, runners: 2, credits: 1, tasks: []string{"ew1l", ""}, outside: []string{"0", "1"}},
	"earlier work":          {slots: 1, runners: 2, credits: 1, tasks: []string{"p1ew1l", ""}, outside: []string{"0"}},
	"back to work":          {slots: 1, runners: 2, credits: 1, tasks: []string{"el", "el"}, outside: []string{"01"}},
	"twice":                 {slots: 1, runners: 2, credits: 1, tasks: []string{"elel", ""}, outside: []string{"0", "1"}},
	"no spares":             {slots: 1, runners: 1, credits: 0, tasks: []string{"el", ""}, outside: []string{"0", "1"}},
	"two slots":             {slots: 2, runners: 3, credits: 1, running: 2, tasks: []string{"ew2l", "z", ""}, outside: []string{"2"}},
	"two block":             {slots: 1, runners: 3, credits: 2, running: 1, tasks: []string{"Bw1l", "el"}, outside: []string{"1"}},
	"one spare for two":     {slots: 2, runners: 3, credits: 1, running: 2, tasks: []string{"Bw2l", "Bl", ""}, outside: []string{"2"}},
	"free for a moment":     {slots: 2, runners: 3, credits: 1, running: 2, tasks: []string{"Bw2l", "Tlz", ""}, outside: []string{"2"}},
	"surplus submits":       {slots: 1, runners: 2, credits: 1, tasks: []string{"elp2", "", ""}, outside: []string{"0", "1"}},
	"surplus blocks again":  {slots: 1, runners: 3, credits: 2, running: 1, tasks: []string{"elew1l", ""}, outside: []string{"1"}},
	"surplus runs for ever": {slots: 1, runners: 2, credits: 1, tasks: []string{"ew1lz", "p2", ""}, outside: []string{"0", "1"}},
}

func TestExploreBlocking_EveryInterleavingKeepsB1ToB5(t *testing.T) {
	total := 0
	for name, p := range blockingSettings {
		t.Run(name, func(t *testing.T) { total += mustHold(t, name, p.model()) })
	}
	t.Logf("%d states", total)
}

func TestExploreBlocking_FindsMutants(t *testing.T) {
	for name, bug := range map[string]poolMutant{
		"wake does not look for a blocked slot":          {wakeGivesUp: true},
		"enter looks before it publishes BLOCKED":        {lookFirst: true},
		"enter does not look":                            {noLook: true},
		"enter does not set lent":                        {noLent: true},
		"lent is cleared after the scan":                 {clearLate: true},
		"lent is not set after a retake":                 {lentOnce: true},
		"the retaker does not look at the epoch":         {noEpoch: true},
		"retake loads the slot after the CAS":            {heldLate: true},
		"deny does not try again":                        {denyLate: true},
		"a denial makes retake fail":                     {casOnce: true},
		"returnCredit does not look who was denied":      {returnQuiet: true},
		"retake takes no credit":                         {freeCredit: true},
		"leave keeps the old slot":                       {leaveKeeps: true},
		"a runner with a slot does not repay":            {settleKeeps: true},
		"who repays does not take the credit over":       {repayKeeps: true},
		"a credit is returned before its runner parks":   {creditFirst: true},
		"a parker frees its slot beside surplus runners": {surplusUnpaid: true},
		"a gift is not looked for under the lock":        {giftWithoutMu: true},
	} {
		mustFail(t, name, withBug(blockingSettings, bug)...)
	}
}
