package seeds

import (
	"strconv"

	"github.com/seed-97bda89a/executor/internal/goid"
	"github.com/seed-97bda89a/executor/internal/sched"
)

// pool is an executor of the bubble.
type pool struct {
	run    *run
	slots  int // that it is to have; 0: as many as there are tasks
	size   int // that it has
	resize func(int) error

	// The root's own.
	tasks  int // that have not ended
	held   int // that have a slot of theirs
	queued int // that wait for one
	loans  int // slots beyond
}

// Open is called by the executor.
func (r *run) Open(slots int, resize func(int) error) (sched.Pool, int) {
	p := &pool{run: r, slots: slots, size: 8, resize: resize}
	r.pools.mu.Lock()
	defer r.pools.mu.Unlock()
	r.pools.list = append(r.pools.list, p)
	return p, p.size
}

func (p *pool) Submit(by sched.Task, name string) sched.Task {
	above, ok := by.(*actor)
	if !ok {
		above = p.run.main
	}
	id := strconv.Itoa(len(above.born) + 1)
	if above != p.run.main {
		id = above.id + "." + id
	}
	a := p.run.newActor(id, name)
	a.pool, a.above = p, above
	above.born = append(above.born, a)
	return a
}

// Adopt is called by a goroutine that is not known, and runs no task of an executor.
func (r *run) Adopt() sched.Task {
	r.adopted.mu.Lock()
	defer r.adopted.mu.Unlock()
	r.adopted.n++
	a := r.newActor("g"+strconv.Itoa(r.adopted.n), "goroutine")
	a.state.Store(actorRunning)
	r.adopted.list = append(r.adopted.list, a)
	r.know(a)
	return a
}

// know makes the calling goroutine known, as an actor or, for nil, as none.
func (r *run) know(a *actor) {
	id := goid.ID()
	if a == nil {
		sched.Know(id, nil)
	} else {
		a.goid.Store(id)
		sched.Know(id, a)
	}
	r.known.mu.Lock()
	r.known.ids = append(r.known.ids, id)
	r.known.mu.Unlock()
}

// forget is called at the end.
func (r *run) forget() {
	r.known.mu.Lock()
	defer r.known.mu.Unlock()
	for _, id := range r.known.ids {
		sched.Forget(id)
	}
}
