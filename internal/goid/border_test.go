package goid

import (
	"testing"
	"time"
)

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

// Who is about to be refused does nothing to others in that moment. Mutants: Enter believes the seal of a Wait that is about to be
// refused; Wait counts a call that is about to be refused.
func TestBorder_TheRefusedDisturbNobody(t *testing.T) {
	var one, two Border
	one.Enter(0)
	one.Enter(1)
	one.mu.Lock()
	one.sealed.Store(1) // Wait, which is going to see the call outside
	entered := make(chan bool)
	go func() { entered <- one.Enter(0) }()
	select {
	case <-entered:
		t.Error("a call outside does not wait for the answer")
		return
	case <-time.After(20 * time.Millisecond):
	}
	one.sealed.Store(0)
	one.mu.Unlock()
	if !<-entered {
		t.Error("a call outside is refused, and nobody waits")
	}

	two.Enter(1)
	two.Enter(1)
	two.Wait(1)
	two.outside.Add(1) // Enter, which is going to see the seal
	if !two.Wait(1) {
		t.Error("a call in the bubble may not wait, and nobody else is there")
	}
}
