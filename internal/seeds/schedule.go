package seeds

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// strategy chooses who goes on.
type strategy interface {
	// choose returns one of r.ready, of which there are at least two.
	choose(r *run, usual *actor) *actor
}

// Turn is a choice that is not the usual one: after so many steps of one actor, another one goes on.
type Turn struct {
	after string
	moves int
	to    string
}

// Schedule is what a run can be repeated by: its seed, which Rand depends on, and its turns. Its string is what
// EXECUTOR_REPLAY takes: 17/0@4>2,2@1>1 is seed 17, and after 4 steps of task 0 task 2 goes on.
type Schedule struct {
	Seed  uint64
	Turns []Turn
}

func (s Schedule) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d/", s.Seed)
	for i, t := range s.Turns {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%s@%d>%s", t.after, t.moves, t.to)
	}
	return b.String()
}

// Parse is the opposite of String.
func Parse(text string) (s Schedule, err error) {
	wrong := func(part string) error {
		return fmt.Errorf("schedule %q: %q is not of the form 17/0@4>2,2@1>1", text, part)
	}
	seed, turns, ok := strings.Cut(strings.TrimSpace(text), "/")
	if s.Seed, err = strconv.ParseUint(seed, 10, 64); err != nil || !ok {
		return s, wrong(seed)
	}
	if turns == "" {
		return s, nil
	}
	for part := range strings.SplitSeq(turns, ",") {
		after, rest, ok1 := strings.Cut(part, "@")
		moves, to, ok2 := strings.Cut(rest, ">")
		n, err := strconv.Atoi(moves)
		if !ok1 || !ok2 || err != nil || n < 0 || after == "" || to == "" {
			return s, wrong(part)
		}
		s.Turns = append(s.Turns, Turn{after, n, to})
	}
	return s, nil
}

// replay follows a schedule. Turns that do not fit are left out.
type replay struct{ turns map[Turn]bool }

func newReplay(turns []Turn) *replay {
	p := &replay{turns: make(map[Turn]bool, len(turns))}
	for _, t := range turns {
		p.turns[t] = true
	}
	return p
}

func (p *replay) choose(r *run, usual *actor) *actor {
	if len(p.turns) == 0 {
		return usual
	}
	for _, a := range r.ready {
		if p.turns[Turn{r.current.id, r.current.moves, a.id}] {
			return a
		}
	}
	return usual
}

// random chooses each with the same probability.
type random struct{ rng *rand.Rand }

func newRandom(seed uint64) *random { return &random{rand.New(rand.NewPCG(seed, 0x5eed))} }

func (p *random) choose(r *run, _ *actor) *actor { return r.ready[p.rng.IntN(len(r.ready))] }
