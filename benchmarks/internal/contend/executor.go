package contend

import (
	"context"
	"errors"

	"github.com/seed-97bda89a/executor"
)

func executorContender() Contender {
	return Contender{
		Name:  Executor,
		About: "this library, `Go` on an executor with default options; `Quiesce` is the wait",
		Form:  WithContext,
		Nests: true,
		Tries: true,
		Open: func(c Config) (Pool, error) {
			return OpenExecutor(executor.WithSlots(c.Slots), executor.WithQueueLimit(c.queue()))
		},
	}
}

// OpenExecutor opens an executor with any options as a Pool.
func OpenExecutor(opts ...executor.Option) (*ExecutorPool, error) {
	e, err := executor.New(opts...)
	if err != nil {
		return nil, err
	}
	return &ExecutorPool{e}, nil
}

// ExecutorPool is an executor as a Pool.
type ExecutorPool struct{ E *executor.Executor }

// Submit hands over a task. A task that meets a full queue runs its child in
// place, which is what the documentation tells a caller to do.
func (p *ExecutorPool) Submit(ctx context.Context, t Task) error {
	err := p.E.Go(ctx, t.Ctx)
	if err != nil && errors.Is(err, executor.ErrQueueFull) {
		t.Ctx(ctx)
		return nil
	}
	return err
}

// TrySubmit hands over a task unless the queue is full.
func (p *ExecutorPool) TrySubmit(ctx context.Context, t Task) bool {
	return p.E.TryGo(ctx, t.Ctx) == nil
}

// Wait returns when nothing is queued or running.
func (p *ExecutorPool) Wait() error { return p.E.Quiesce(context.Background()) }

// Counts returns what the executor's own statistics say.
func (p *ExecutorPool) Counts() (stolen, parks uint64) {
	s := p.E.Stats()
	return s.Stolen, s.Parks
}

// Close ends the executor.
func (p *ExecutorPool) Close() { _ = p.E.Close() }
