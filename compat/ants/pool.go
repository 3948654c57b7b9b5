package ants

// Pool runs tasks, at most as many at once as its size says.
type Pool struct{ *poolCommon }

// NewPool returns a pool of that size; below 1 there is no limit.
func NewPool(size int, options ...Option) (*Pool, error) {
	p, err := newPool(size, options...)
	if err != nil {
		return nil, err
	}
	return &Pool{p}, nil
}

// Submit runs task. When all workers are busy it waits for one, or returns ErrPoolOverload if it may not wait. A nil
// task ends a worker.
func (p *Pool) Submit(task func()) error {
	if task == nil {
		return p.start(dismissal{p.poolCommon})
	}
	return p.start(&job[func()]{p.poolCommon, call, task})
}

func call(task func()) { task() }

// PoolWithFunc calls one function with many arguments, at most as many at once as its size says.
type PoolWithFunc struct {
	*poolCommon
	fn func(any)
}

// NewPoolWithFunc returns a pool of that size for pf; below 1 there is no limit.
func NewPoolWithFunc(size int, pf func(any), options ...Option) (*PoolWithFunc, error) {
	if pf == nil {
		return nil, ErrLackPoolFunc
	}
	p, err := newPool(size, options...)
	if err != nil {
		return nil, err
	}
	return &PoolWithFunc{p, pf}, nil
}

// Invoke calls the function with arg. When all workers are busy it waits for one, or returns ErrPoolOverload if it may
// not wait. A nil arg ends a worker.
func (p *PoolWithFunc) Invoke(arg any) error {
	if arg == nil {
		return p.start(dismissal{p.poolCommon})
	}
	return p.start(&job[any]{p.poolCommon, p.fn, arg})
}

// PoolWithFuncGeneric is PoolWithFunc for arguments of one type.
type PoolWithFuncGeneric[T any] struct {
	*poolCommon
	fn func(T)
}

// NewPoolWithFuncGeneric returns a pool of that size for pf; below 1 there is no limit.
func NewPoolWithFuncGeneric[T any](size int, pf func(T), options ...Option) (*PoolWithFuncGeneric[T], error) {
	if pf == nil {
		return nil, ErrLackPoolFunc
	}
	p, err := newPool(size, options...)
	if err != nil {
		return nil, err
	}
	return &PoolWithFuncGeneric[T]{p, pf}, nil
}

// Invoke calls the function with arg. When all workers are busy it waits for one, or returns ErrPoolOverload if it may
// not wait.
func (p *PoolWithFuncGeneric[T]) Invoke(arg T) error {
	return p.start(&job[T]{p.poolCommon, p.fn, arg})
}
