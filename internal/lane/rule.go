// Package lane decides which of several queues goes next: by weight, by what each has reserved, and in a fair queue by
// how long the tasks of each tenant ran. It is arithmetic: no locks, no clocks, no goroutines.
package lane

import "math/bits"

// Class is what the rule knows of one lane.
type Class struct {
	Weight   int // at least 1
	Reserved int
	Max      int // 0: none

	Queued  int // entries that wait
	Running int // tasks that run and are counted; of lanes with Reserved or Max

	share  int    // what is left of Reserved with the slots that there are
	pass   uint64 // when the lane's next turn is
	stride uint64 // how far a turn moves that
}

// MaxWeight is the highest weight. A lane of weight 1 moves by stride(1) at each turn.
const MaxWeight = 1_000_000

func stride(weight int) uint64 { return (1 << 40) / uint64(weight) }

// Rule chooses between lanes. It is stride scheduling: each lane has a pass, the one with the lowest goes next, and moves up by
// the inverse of its weight. A lane that comes back after a pause begins where the others are.
//
//	N1 A lane at its Max is not chosen.
//	N2 A lane below its share that has entries is chosen before all that are not.
//	N3 Between lanes that are equal under N2, and have entries all the time, the numbers of entries taken are to
//	   each other as the weights, within one turn each.
type Rule struct {
	Classes   []Class // changed by the methods of Rule, but for Queued while it is not 0
	now       uint64  // the pass of the lane that went last
	ready     uint64  // the lanes that are Ready, a bit each
	reserving uint64  // those with Reserved
}

// NewRule returns the rule for these lanes, which are empty.
func NewRule(slots int, classes ...Class) *Rule {
	r := &Rule{Classes: classes}
	for i := range classes {
		classes[i].stride = stride(classes[i].Weight)
		if classes[i].Reserved > 0 {
			r.reserving |= 1 << i
		}
	}
	r.Resize(slots)
	return r
}

// Next returns the lane that goes next, or -1.
func (r *Rule) Next() int {
	best, bestBelow := -1, false
	if r.ready&(r.ready-1) == 0 { // one, or none
		return bits.Len64(r.ready) - 1
	}
	for rest := r.ready; rest != 0; rest &= rest - 1 {
		i := bits.TrailingZeros64(rest)
		c := &r.Classes[i]
		below := c.below()
		switch {
		case best < 0 || below && !bestBelow:
		case bestBelow && !below:
			continue
		case int64(c.pass-r.Classes[best].pass) >= 0: // they wrap
			continue
		}
		best, bestBelow = i, below
	}
	return best
}

// Ready reports whether the lane has an entry that may start (N1).
func (c *Class) Ready() bool { return c.Queued > 0 && (c.Max == 0 || c.Running < c.Max) }

// below reports whether the lane has less than its share (N2).
func (c *Class) below() bool { return c.Running < c.share }

// Share returns what the lane has reserved, with the slots that there are.
func (c *Class) Share() int { return c.share }

// Came says that n entries have been queued in a lane.
func (r *Rule) Came(i, n int) {
	c := &r.Classes[i]
	if c.Queued == 0 && int64(c.pass-r.now) < 0 {
		c.pass = r.now
	}
	c.Queued += n
	r.settle(i, c)
}

// Took says that n entries of a lane have been taken.
func (r *Rule) Took(i, n int) {
	c := &r.Classes[i]
	r.now = c.pass
	c.pass += uint64(n) * c.stride
	c.Queued -= n
	r.settle(i, c)
}

// Gone says that n entries of a lane have gone without a turn.
func (r *Rule) Gone(i, n int) {
	c := &r.Classes[i]
	c.Queued -= n
	r.settle(i, c)
}

// Runs says that n more tasks of a lane run, or fewer.
func (r *Rule) Runs(i, n int) {
	c := &r.Classes[i]
	c.Running += n
	r.settle(i, c)
}

// settle notes whether a lane is ready, after it has changed.
func (r *Rule) settle(i int, c *Class) {
	if bit := uint64(1) << i; c.Ready() {
		r.ready |= bit
	} else {
		r.ready &^= bit
	}
}

// contested is how many entries are taken at once, at most, while several lanes have some.
const contested = 32

// Batch returns how many entries may be taken at once from the lane that goes next, at most most. While others wait a lane gets
// no more than its part of it, so that a light one does not hold up the others for long.
func (r *Rule) Batch(i, most int) int {
	c := &r.Classes[i]
	most = min(most, c.Queued)
	if c.Max > 0 || r.reserving != 0 {
		return min(most, 1)
	}
	others := r.ready &^ (1 << i)
	if others == 0 {
		return most
	}
	heaviest := c.Weight
	for ; others != 0; others &= others - 1 {
		heaviest = max(heaviest, r.Classes[bits.TrailingZeros64(others)].Weight)
	}
	return max(1, int(int64(min(most, contested))*int64(c.Weight)/int64(heaviest)))
}

// Ready returns how many lanes have an entry that may start.
func (r *Rule) Ready() int { return bits.OnesCount64(r.ready) }

// Resize says how many slots there are. Where the lanes have reserved more than all but one, the largest shares shrink
// first, so that lanes without one always have a slot to go to.
func (r *Rule) Resize(slots int) {
	sum := 0
	for i := range r.Classes {
		c := &r.Classes[i]
		c.share = c.Reserved
		sum += c.share
	}
	for ; sum > 0 && sum > slots-1; sum-- {
		most := 0
		for i := range r.Classes {
			if r.Classes[i].share >= r.Classes[most].share { // the last of equals
				most = i
			}
		}
		r.Classes[most].share--
	}
}
