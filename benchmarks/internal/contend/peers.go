package contend

import (
	"context"
	"time"

	"github.com/bytedance/gopkg/util/gopool"
	"github.com/gammazero/workerpool"
	concpool "github.com/sourcegraph/conc/pool"
)

func conc() Contender {
	return Contender{
		Name:   "conc",
		About:  "sourcegraph/conc, pool with WithMaxGoroutines; the caller waits for a worker, there is no queue",
		Module: "github.com/sourcegraph/conc",
		Form:   Plain,
		Open: func(c Config) (Pool, error) {
			return concPool{concpool.New().WithMaxGoroutines(c.Slots)}, nil
		},
	}
}

type concPool struct{ p *concpool.Pool }

func (p concPool) Submit(_ context.Context, t Task) error {
	p.p.Go(t.Plain)
	return nil
}

func (p concPool) Wait() error {
	p.p.Wait()
	return nil
}

func (p concPool) Close() {}

func workerPool() Contender {
	return Contender{
		Name:   "workerpool",
		About:  "gammazero/workerpool; one dispatcher goroutine, a queue without a bound",
		Module: "github.com/gammazero/workerpool",
		Form:   Plain,
		Nests:  true,
		Open:   func(c Config) (Pool, error) { return dispatcherPool{workerpool.New(c.Slots)}, nil },
	}
}

type dispatcherPool struct{ p *workerpool.WorkerPool }

func (p dispatcherPool) Submit(_ context.Context, t Task) error { return p.p.Do(t.Plain) }

func (p dispatcherPool) Wait() error {
	p.p.StopWait()
	return nil
}

func (p dispatcherPool) Close() {}

func goPool() Contender {
	return Contender{
		Name:   "gopool",
		About:  "bytedance/gopkg gopool; a queue without a bound. It has no wait: its worker count is polled",
		Module: "github.com/bytedance/gopkg",
		Form:   Plain,
		Nests:  true,
		Open: func(c Config) (Pool, error) {
			return gopoolPool{gopool.NewPool("benchmark", int32(c.Slots), gopool.NewConfig())}, nil
		},
	}
}

type gopoolPool struct{ p gopool.Pool }

func (p gopoolPool) Submit(_ context.Context, t Task) error {
	p.p.Go(t.Plain)
	return nil
}

// Wait polls. Workers leave under the queue's lock when it is empty, so that
// no worker means no task; the poll is short beside any sample.
func (p gopoolPool) Wait() error {
	for p.p.WorkerCount() > 0 {
		time.Sleep(20 * time.Microsecond)
	}
	return nil
}

func (p gopoolPool) Close() {}
