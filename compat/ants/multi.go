package ants

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// LoadBalancingStrategy says which pool of a multi pool gets a task.
type LoadBalancingStrategy int

const (
	// RoundRobin takes one after the other, and the one with the fewest workers when that is full.
	RoundRobin LoadBalancingStrategy = 1 << (iota + 1)

	// LeastTasks takes the one with the fewest workers.
	LeastTasks
)

// single is a pool of a multi pool.
type single interface {
	Running() int
	Free() int
	Waiting() int
	Cap() int
	Tune(size int)
	Release()
	ReleaseContext(ctx context.Context) error
	Reboot()
}

// multi is what all multi pools have.
type multi[P single] struct {
	pools    []P
	turn     atomic.Uint32
	state    atomic.Int32
	strategy LoadBalancingStrategy
}

func newMulti[P single](size int, strategy LoadBalancingStrategy, one func() (P, error)) (*multi[P], error) {
	if size <= 0 {
		return nil, ErrInvalidMultiPoolSize
	}
	if strategy != RoundRobin && strategy != LeastTasks {
		return nil, ErrInvalidLoadBalancingStrategy
	}
	m := &multi[P]{pools: make([]P, size), strategy: strategy}
	m.turn.Store(math.MaxUint32) // the first turn is that of pool 0
	for i := range m.pools {
		p, err := one()
		if err != nil {
			for _, made := range m.pools[:i] {
				made.Release()
			}
			return nil, err
		}
		m.pools[i] = p
	}
	return m, nil
}

// submit gives a task to the pool whose turn it is.
func (m *multi[P]) submit(start func(P) error) error {
	if m.IsClosed() {
		return ErrPoolClosed
	}
	err := start(m.next(m.strategy))
	if err == ErrPoolOverload && m.strategy == RoundRobin {
		return start(m.next(LeastTasks))
	}
	return err
}

func (m *multi[P]) next(strategy LoadBalancingStrategy) P {
	if strategy == RoundRobin {
		return m.pools[m.turn.Add(1)%uint32(len(m.pools))]
	}
	least := m.pools[0]
	n := least.Running()
	for _, p := range m.pools[1:] {
		if r := p.Running(); r < n {
			least, n = p, r
		}
	}
	return least
}

// sum adds up a figure of all pools.
func (m *multi[P]) sum(figure func(P) int) (n int) {
	for _, p := range m.pools {
		n += figure(p)
	}
	return n
}

// of returns a figure of one pool.
func (m *multi[P]) of(idx int, figure func(P) int) (int, error) {
	if idx < 0 || idx >= len(m.pools) {
		return -1, ErrInvalidPoolIndex
	}
	return figure(m.pools[idx]), nil
}

// Running returns how many workers all pools have, the idle ones included.
func (m *multi[P]) Running() int { return m.sum(P.Running) }

// RunningByIndex returns how many workers a pool has, the idle ones included.
func (m *multi[P]) RunningByIndex(idx int) (int, error) { return m.of(idx, P.Running) }

// Free returns how many more workers all pools may have.
func (m *multi[P]) Free() int { return m.sum(P.Free) }

// FreeByIndex returns how many more workers a pool may have.
func (m *multi[P]) FreeByIndex(idx int) (int, error) { return m.of(idx, P.Free) }

// Waiting returns how many callers wait for a worker of any pool.
func (m *multi[P]) Waiting() int { return m.sum(P.Waiting) }

// WaitingByIndex returns how many callers wait for a worker of a pool.
func (m *multi[P]) WaitingByIndex(idx int) (int, error) { return m.of(idx, P.Waiting) }

// Cap returns the size of all pools together.
func (m *multi[P]) Cap() int { return m.sum(P.Cap) }

// Tune changes the size of each pool.
func (m *multi[P]) Tune(size int) {
	for _, p := range m.pools {
		p.Tune(size)
	}
}

// IsClosed reports whether the pools were released.
func (m *multi[P]) IsClosed() bool { return m.state.Load() == CLOSED }

// ReleaseTimeout closes all pools and waits for their tasks, for that long.
func (m *multi[P]) ReleaseTimeout(timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return m.ReleaseContext(ctx)
}

// ReleaseContext closes all pools and waits for their tasks, until ctx is done. Its error names the pools.
func (m *multi[P]) ReleaseContext(ctx context.Context) error {
	if !m.state.CompareAndSwap(OPENED, CLOSED) {
		return ErrPoolClosed
	}
	failed := make([]error, len(m.pools))
	var all sync.WaitGroup
	for i, p := range m.pools {
		all.Go(func() { failed[i] = p.ReleaseContext(ctx) })
	}
	all.Wait()
	var texts []string
	for i, err := range failed {
		if err != nil {
			texts = append(texts, fmt.Sprintf("pool %d: %v", i, err))
		}
	}
	if texts == nil {
		return nil
	}
	return errors.New(strings.Join(texts, " | "))
}

// Reboot opens all pools again.
func (m *multi[P]) Reboot() {
	if !m.state.CompareAndSwap(CLOSED, OPENED) {
		return
	}
	m.turn.Store(0)
	for _, p := range m.pools {
		p.Reboot()
	}
}

// MultiPool is several pools of one size.
type MultiPool struct{ *multi[*Pool] }

// NewMultiPool returns size pools of sizePerPool each.
func NewMultiPool(size, sizePerPool int, lbs LoadBalancingStrategy, options ...Option) (*MultiPool, error) {
	m, err := newMulti(size, lbs, func() (*Pool, error) { return NewPool(sizePerPool, options...) })
	if err != nil {
		return nil, err
	}
	return &MultiPool{m}, nil
}

// Submit runs task in one of the pools, as Pool.Submit does.
func (m *MultiPool) Submit(task func()) error {
	return m.submit(func(p *Pool) error { return p.Submit(task) })
}

// MultiPoolWithFunc is several pools of one size that call one function.
type MultiPoolWithFunc struct{ *multi[*PoolWithFunc] }

// NewMultiPoolWithFunc returns size pools of sizePerPool each that call fn.
func NewMultiPoolWithFunc(size, sizePerPool int, fn func(any), lbs LoadBalancingStrategy, options ...Option) (*MultiPoolWithFunc, error) {
	m, err := newMulti(size, lbs, func() (*PoolWithFunc, error) { return NewPoolWithFunc(sizePerPool, fn, options...) })
	if err != nil {
		return nil, err
	}
	return &MultiPoolWithFunc{m}, nil
}

// Invoke calls the function in one of the pools, as PoolWithFunc.Invoke does.
func (m *MultiPoolWithFunc) Invoke(args any) error {
	return m.submit(func(p *PoolWithFunc) error { return p.Invoke(args) })
}

// MultiPoolWithFuncGeneric is several pools of one size that call one function.
type MultiPoolWithFuncGeneric[T any] struct {
	*multi[*PoolWithFuncGeneric[T]]
}

// NewMultiPoolWithFuncGeneric returns size pools of sizePerPool each that call fn.
func NewMultiPoolWithFuncGeneric[T any](size, sizePerPool int, fn func(T), lbs LoadBalancingStrategy, options ...Option) (*MultiPoolWithFuncGeneric[T], error) {
	m, err := newMulti(size, lbs, func() (*PoolWithFuncGeneric[T], error) {
		return NewPoolWithFuncGeneric(sizePerPool, fn, options...)
	})
	if err != nil {
		return nil, err
	}
	return &MultiPoolWithFuncGeneric[T]{m}, nil
}

// Invoke calls the function in one of the pools, as PoolWithFuncGeneric.Invoke does.
func (m *MultiPoolWithFuncGeneric[T]) Invoke(args T) error {
	return m.submit(func(p *PoolWithFuncGeneric[T]) error { return p.Invoke(args) })
}
