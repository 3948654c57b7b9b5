package execlock

import (
	"context"
	"sync"

	"example.com/wrong/execlock/helper"
	"github.com/seed-97bda89a/executor"
)

type store struct {
	mu sync.Mutex
	rw sync.RWMutex
	n  int
}

func (s *store) direct(ctx context.Context) { // want direct:`yields`
	s.mu.Lock()
	_ = executor.Checkpoint(ctx) // want `s.mu is held across executor.Checkpoint`
	s.mu.Unlock()
	_ = executor.Checkpoint(ctx)
}

func (s *store) deferred(ctx context.Context, g *executor.Group) error { // want deferred:`yields`
	s.rw.RLock()
	defer s.rw.RUnlock()
	if err := g.Wait(); err != nil { // want `s.rw is held across executor.Group.Wait`
		return err
	}
	return nil
}

func (s *store) helper(ctx context.Context) { // want helper:`yields: helper.Pause -> executor.Checkpoint`
	s.mu.Lock()
	defer s.mu.Unlock()
	for range s.n {
		helper.Pause(ctx) // want `s.mu is held across helper.Pause -> executor.Checkpoint`
	}
}

func (s *store) maybe(ctx context.Context, lock bool) { // want maybe:`yields`
	if lock {
		s.mu.Lock()
	}
	_ = executor.Yield(ctx) // not on every way
	if lock {
		s.mu.Unlock()
	}
}

func (s *store) loop(ctx context.Context) { // want loop:`yields`
	for {
		s.mu.Lock()
		s.n++
		s.mu.Unlock()
		if executor.Checkpoint(ctx) != nil {
			return
		}
	}
}

func (s *store) blocking(ctx context.Context) {
	s.mu.Lock()
	executor.Blocking(ctx, func() {})
	s.mu.Unlock()
}

func (s *store) literal(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	later := func() { _ = executor.Checkpoint(ctx) } // runs when nobody knows
	_ = later
}

func local(ctx context.Context, f *executor.Future[int]) { // want local:`yields`
	var mu sync.Mutex
	mu.Lock()
	_, _ = f.Wait(ctx) // want `mu is held across executor.Future.Wait`
	mu.Unlock()
}
