package goid

import "testing"

// What may begin and what may wait, for calls outside (0) and in two bubbles. Mutants: Wait looks at calls outside only, or at
// bubbles only; the seal stays after a refusal, or goes while another one waits; a refused call counts.
func TestBorder_WaitsStayOnOneSide(t *testing.T) {
	const enter, leave, wait, waited = "enter", "leave", "wait", "waited"
	type step struct {
		do     string
		bubble uint64
		want   bool
	}
	for name, steps := range map[string][]step{
		"outside only":          {{enter, 0, true}, {enter, 0, true}, {wait, 0, true}, {waited, 0, true}, {leave, 0, true}, {leave, 0, true}},
		"one bubble only":       {{enter, 1, true}, {enter, 1, true}, {wait, 1, true}, {enter, 1, true}, {enter, 0, false}, {enter, 2, false}, {waited, 1, true}, {enter, 0, true}},
		"beside one outside":    {{enter, 0, true}, {enter, 1, true}, {wait, 1, false}, {enter, 2, true}, {leave, 0, true}, {wait, 1, false}, {leave, 2, true}, {wait, 1, true}},
		"a refused one is none": {{enter, 1, true}, {wait, 1, true}, {enter, 0, false}, {enter, 2, false}, {enter, 1, true}, {wait, 1, true}},
		"two wait":              {{enter, 1, true}, {wait, 1, true}, {wait, 1, true}, {waited, 1, true}, {enter, 0, false}, {waited, 1, true}, {enter, 0, true}},
		"one outside waits":     {{enter, 1, true}, {enter, 0, true}, {wait, 0, true}, {wait, 1, false}},
	} {
		var b Border
		for i, s := range steps {
			got := true
			switch s.do {
			case enter:
				got = b.Enter(s.bubble)
			case leave:
				b.Leave(s.bubble)
			case wait:
				got = b.Wait(s.bubble)
			case waited:
				b.Waited(s.bubble)
			}
			if got != s.want {
				t.Errorf("%s, step %d: %s from %d is %v", name, i, s.do, s.bubble, got)
			}
		}
	}
}
