package main

import (
	"slices"
	"sync"
	"time"

	"github.com/petermattis/goid"
)

// timeline records what each goroutine of one side did when. Every goroutine that calls run has a row, whether it is
// a worker of a pool, a runner of the executor or a goroutine with one task. A call costs two readings of the clock
// and an uncontended lock, about 150 ns in all; wrap a stretch of work, not a loop's body.
type timeline struct {
	rows sync.Map // of *recording, by the number of the goroutine

	mu     sync.Mutex
	start  time.Time
	labels []string
	all    []*recording
	ended  *picture
}

// What a span can be besides a label, whose number is 0 or more.
const (
	idle    = -1
	blocked = -2
)

// merged is how close two spans of one kind must be to become one: too short to see, and it bounds what is kept.
const merged = 20 * time.Microsecond

type span struct {
	kind       int // the number of a label, blocked, or idle, which is also where no span is
	begin, end time.Duration
}

// recording is the row of one goroutine.
type recording struct {
	mu     sync.Mutex // only the goroutine itself writes; end reads
	spans  []span
	doing  []int // what it is in the middle of, the innermost last
	since  time.Duration
	labels []numbered // the timeline's that it has met, without its lock
}

type numbered struct {
	label  string
	number int
}

func newTimeline() *timeline { return &timeline{start: time.Now()} }

// begin throws away what was recorded before: the preparations are not part of the picture. Nobody may be recording.
func (tl *timeline) begin() {
	tl.mu.Lock()
	defer tl.mu.Unlock()
	tl.start, tl.all = time.Now(), nil
	tl.rows.Clear()
}

// run calls fn, and shows it in the colour of the label on the row of the calling goroutine. Calls may be nested: the
// inner one interrupts the outer one.
func (tl *timeline) run(label string, fn func()) {
	r := tl.recording()
	r.enter(tl, r.number(tl, label))
	defer r.leave(tl)
	fn()
}

// block calls fn, which blocks, and shows that in grey.
func (tl *timeline) block(fn func()) {
	r := tl.recording()
	r.enter(tl, blocked)
	defer r.leave(tl)
	fn()
}

// worker calls fn, the whole life of a worker. It has a row of its own then, an empty one if it gets no task.
func (tl *timeline) worker(fn func()) { tl.rest(fn) }

// rest calls fn, in which the goroutine has nothing to do or is not given a slot, and shows that in white.
func (tl *timeline) rest(fn func()) {
	r := tl.recording()
	r.enter(tl, idle)
	defer r.leave(tl)
	fn()
}

func (tl *timeline) recording() *recording {
	id := goid.Get()
	if r, ok := tl.rows.Load(id); ok {
		return r.(*recording)
	}
	r := &recording{}
	tl.mu.Lock()
	defer tl.mu.Unlock()
	tl.all = append(tl.all, r)
	tl.rows.Store(id, r)
	return r
}

func (r *recording) number(tl *timeline, label string) int {
	for _, known := range r.labels {
		if known.label == label {
			return known.number
		}
	}
	tl.mu.Lock()
	defer tl.mu.Unlock()
	n := slices.Index(tl.labels, label)
	if n < 0 {
		n = len(tl.labels)
		tl.labels = append(tl.labels, label)
	}
	r.labels = append(r.labels, numbered{label, n})
	return n
}

func (r *recording) enter(tl *timeline, kind int) {
	now := time.Since(tl.start)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cut(now)
	r.doing = append(r.doing, kind)
}

func (r *recording) leave(tl *timeline) {
	now := time.Since(tl.start)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cut(now)
	r.doing = r.doing[:len(r.doing)-1]
}

// cut ends the span that goes on, if there is one.
func (r *recording) cut(now time.Duration) {
	begin := r.since
	r.since = now
	if len(r.doing) == 0 {
		return
	}
	kind := r.doing[len(r.doing)-1]
	if n := len(r.spans); n > 0 && r.spans[n-1].kind == kind && begin-r.spans[n-1].end < merged {
		r.spans[n-1].end = now
		return
	}
	r.spans = append(r.spans, span{kind, begin, now})
}

// picture is a timeline that is over.
type picture struct {
	labels []string
	lanes  [][]span // a lane shows one goroutine after the other
	took   time.Duration
}

// end ends the recording, if it has not ended. Goroutines may still be at work; they are not seen any more.
func (tl *timeline) end() picture {
	tl.mu.Lock()
	defer tl.mu.Unlock()
	if tl.ended != nil {
		return *tl.ended
	}
	p := picture{labels: tl.labels, took: time.Since(tl.start)}
	var rows [][]span
	for _, r := range tl.all {
		r.mu.Lock()
		r.cut(p.took)
		if len(r.spans) > 0 {
			rows = append(rows, slices.Clone(r.spans))
		}
		r.mu.Unlock()
	}
	p.lanes = pack(rows)
	tl.ended = &p
	return p
}

// pack puts goroutines that were never alive together into one lane, so that ten thousand short ones need only as
// many lanes as there were at once.
func pack(rows [][]span) [][]span {
	slices.SortStableFunc(rows, func(a, b []span) int { return int(a[0].begin - b[0].begin) })
	var lanes [][]span
next:
	for _, row := range rows {
		for i, lane := range lanes {
			if lane[len(lane)-1].end <= row[0].begin {
				lanes[i] = append(lane, row...)
				continue next
			}
		}
		lanes = append(lanes, row)
	}
	return lanes
}

// working is for how long goroutines ran tasks, added up: not idle, not blocked.
func (p picture) working() time.Duration {
	var sum time.Duration
	for _, lane := range p.lanes {
		for _, s := range lane {
			if s.kind >= 0 {
				sum += s.end - s.begin
			}
		}
	}
	return sum
}

// utilization is the share of the time in which so many workers ran tasks.
func (p picture) utilization(workers int) float64 {
	return p.working().Seconds() / (float64(workers) * p.took.Seconds())
}
