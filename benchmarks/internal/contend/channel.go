package contend

import (
	"context"
	"sync"
)

func channel() Contender {
	return Contender{
		Name:  "channel",
		About: "the twin that anybody can write: fixed workers that range over one buffered channel",
		Form:  Plain,
		Tries: true,
		Open: func(c Config) (Pool, error) {
			p := &channelPool{tasks: make(chan func(), c.queue())}
			for range c.Slots {
				p.workers.Go(func() {
					for f := range p.tasks {
						f()
					}
				})
			}
			return p, nil
		},
	}
}

type channelPool struct {
	tasks   chan func()
	workers sync.WaitGroup
}

func (p *channelPool) Submit(_ context.Context, t Task) error {
	p.tasks <- t.Plain
	return nil
}

func (p *channelPool) TrySubmit(_ context.Context, t Task) bool {
	select {
	case p.tasks <- t.Plain:
		return true
	default:
		return false
	}
}

func (p *channelPool) Wait() error {
	close(p.tasks)
	p.workers.Wait()
	return nil
}

func (p *channelPool) Close() {}
