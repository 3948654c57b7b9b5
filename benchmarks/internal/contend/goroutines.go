package contend

import (
	"context"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
)

// plainGo is the go statement, as sync.WaitGroup.Go spells it. Nothing bounds
// it: whatever is submitted runs at once.
func plainGo() Contender {
	return Contender{
		Name:  "go",
		About: "one goroutine a task (`sync.WaitGroup.Go`), with no bound at all",
		Form:  Plain,
		Nests: true,
		Open:  func(Config) (Pool, error) { return new(goPerTask), nil },
	}
}

type goPerTask struct{ wg sync.WaitGroup }

func (p *goPerTask) Submit(_ context.Context, t Task) error {
	p.wg.Go(t.Plain)
	return nil
}

func (p *goPerTask) Wait() error {
	p.wg.Wait()
	return nil
}

func (p *goPerTask) Close() {}

// errGroup is errgroup with a limit: the usual answer to "not too many at
// once".
func errGroup() Contender {
	return Contender{
		Name:   "errgroup",
		About:  "golang.org/x/sync/errgroup with SetLimit; the caller waits for a free place, there is no queue",
		Module: "golang.org/x/sync",
		Form:   WithError,
		Tries:  true,
		Open: func(c Config) (Pool, error) {
			p := new(groupPool)
			p.g.SetLimit(c.Slots)
			return p, nil
		},
	}
}

type groupPool struct{ g errgroup.Group }

func (p *groupPool) Submit(_ context.Context, t Task) error {
	p.g.Go(t.Err)
	return nil
}

func (p *groupPool) TrySubmit(_ context.Context, t Task) bool { return p.g.TryGo(t.Err) }
func (p *groupPool) Wait() error                              { return p.g.Wait() }
func (p *groupPool) Close()                                   {}

// semaphoreAndGo bounds go statements with a weighted semaphore.
func semaphoreAndGo() Contender {
	return Contender{
		Name:   "semaphore",
		About:  "golang.org/x/sync/semaphore around a go statement; the caller waits for a permit",
		Module: "golang.org/x/sync",
		Form:   Plain,
		Tries:  true,
		Open: func(c Config) (Pool, error) {
			return &semaphorePool{sem: semaphore.NewWeighted(int64(c.Slots)), slots: int64(c.Slots)}, nil
		},
	}
}

type semaphorePool struct {
	sem   *semaphore.Weighted
	slots int64
}

func (p *semaphorePool) run(f func()) {
	go func() {
		defer p.sem.Release(1)
		f()
	}()
}

func (p *semaphorePool) Submit(ctx context.Context, t Task) error {
	if err := p.sem.Acquire(ctx, 1); err != nil {
		return err
	}
	p.run(t.Plain)
	return nil
}

func (p *semaphorePool) TrySubmit(_ context.Context, t Task) bool {
	if !p.sem.TryAcquire(1) {
		return false
	}
	p.run(t.Plain)
	return true
}

// Wait takes every permit, which is free only when no task runs.
func (p *semaphorePool) Wait() error { return p.sem.Acquire(context.Background(), p.slots) }
func (p *semaphorePool) Close()      {}
