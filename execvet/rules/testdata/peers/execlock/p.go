package execlock

import (
	"sync"

	"golang.org/x/sync/errgroup"
)

type store struct {
	mu sync.Mutex
	g  errgroup.Group
}

func (s *store) flush() error { // want flush:`yields: executor.Group.Wait`
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.g.Wait() // want `s.mu is held across executor.Group.Wait`
}

func (s *store) close() error { // want close:`yields: executor.Group.Wait`
	s.mu.Lock()
	s.mu.Unlock()
	return s.g.Wait()
}
