// Package anteroom bounds how many calls of a server wait for a slot of an executor, for each lane alone.
package anteroom

import (
	"context"
	"sync/atomic"

	"github.com/seed-97bda89a/executor"
)

// Room is where calls wait for a slot.
type Room struct {
	e     *executor.Executor
	lanes map[string]*lane // never changes
}

type lane struct {
	most    int64
	waiting atomic.Int64
}

// New returns a room in which so many calls wait at most, of each lane of e; if that is negative, as many as the lane's
// queue has places.
func New(e *executor.Executor, most int64) *Room {
	s := e.Stats()
	limits := map[string]int{"": s.QueueLimit}
	for _, l := range s.Lanes {
		limits[l.Name] = l.QueueLimit
	}
	r := &Room{e: e, lanes: make(map[string]*lane)}
	for name, limit := range limits {
		if most >= 0 {
			limit = int(most)
		}
		r.lanes[name] = &lane{most: int64(limit)}
	}
	return r
}

// Knows reports whether the executor has the lane of ctx.
func (r *Room) Knows(ctx context.Context) bool { return r.lanes[r.e.LaneOf(ctx)] != nil }

// Do runs fn under the executor's Do, or TryDo where so many wait already. It reports whether fn began; if not, err
// says why.
func (r *Room) Do(ctx context.Context, fn func(context.Context) error) (began bool, err error) {
	l := r.lanes[r.e.LaneOf(ctx)]
	if l == nil { // the executor refuses it
		l = new(lane)
	}
	do := r.e.Do
	if l.waiting.Add(1) > l.most {
		do = r.e.TryDo
	}
	leave := func() { l.waiting.Add(-1) }
	defer func() {
		if !began {
			leave()
		}
	}()
	err = do(ctx, func(ctx context.Context) error {
		began = true
		leave()
		return fn(ctx)
	})
	return began, err
}
