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

// pct is probabilistic concurrency testing (Burckhardt et al., ASPLOS 2010): each actor has a random priority, and the first that is
// ready goes on. At depth-1 random steps the one that would go on gets the lowest priority. An order of depth constraints is found with a
// probability of at least 1/(n*k^(depth-1)), for n tasks and k steps.
type pct struct {
	rng      *rand.Rand
	priority map[*actor]int
	lower    map[int]bool // steps
	lowest   int
}

func newPCT(seed uint64, depth, length int) *pct {
	p := &pct{rng: rand.New(rand.NewPCG(seed, 0x9c7)), priority: map[*actor]int{}, lower: map[int]bool{}}
	for range depth - 1 {
		p.lower[p.rng.IntN(max(1, length))] = true
	}
	return p
}

func (p *pct) choose(r *run, usual *actor) *actor {
	a := p.first(r)
	if p.lower[len(r.steps)] || a != usual && r.inRow >= maxInRow || a == r.current && r.yields() {
		p.lowest--
		p.priority[a] = p.lowest
		a = p.first(r)
	}
	return a
}

func (p *pct) first(r *run) (best *actor) {
	for _, a := range r.ready {
		if _, ok := p.priority[a]; !ok {
			p.priority[a] = 1 + p.rng.IntN(1<<30)
		}
		if best == nil || p.priority[a] > p.priority[best] {
			best = a
		}
	}
	return best
}

// every makes every choice, depth first: the usual one first.
type every struct {
	choices, of []int
	at          int
}

func (p *every) again() *every {
	p.at = 0
	return p
}

// next goes to the next schedule, if there is one.
func (p *every) next() bool {
	n := p.at
	p.choices, p.of = p.choices[:n], p.of[:n]
	for n--; n >= 0; n-- {
		if p.choices[n]++; p.choices[n] < p.of[n] {
			p.choices, p.of = p.choices[:n+1], p.of[:n+1]
			return true
		}
	}
	return false
}

func (p *every) choose(r *run, usual *actor) *actor {
	if p.at == len(p.choices) {
		p.choices, p.of = append(p.choices, 0), append(p.of, len(r.ready))
	}
	n := p.choices[p.at]
	p.at++
	if n == 0 {
		return usual
	}
	for _, a := range r.ready {
		if a == usual {
			continue
		}
		if n--; n == 0 {
			return a
		}
	}
	return usual // the program is not deterministic
}
