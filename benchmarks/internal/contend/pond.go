package contend

import (
	"context"

	pondlib "github.com/alitto/pond/v2"
)

func pond() Contender {
	return Contender{
		Name:   "pond",
		About:  "alitto/pond v2; its queue has no bound unless one is set, and none is set where callers may wait",
		Module: "github.com/alitto/pond/v2",
		Form:   Plain,
		Nests:  true,
		Tries:  true,
		Open: func(c Config) (Pool, error) {
			var opts []pondlib.Option
			if c.Try {
				opts = append(opts, pondlib.WithQueueSize(c.queue()), pondlib.WithNonBlocking(true))
			}
			return pondPool{pondlib.NewPool(c.Slots, opts...)}, nil
		},
	}
}

type pondPool struct{ p pondlib.Pool }

func (p pondPool) Submit(_ context.Context, t Task) error   { return p.p.Go(t.Plain) }
func (p pondPool) TrySubmit(_ context.Context, t Task) bool { return p.p.Go(t.Plain) == nil }

func (p pondPool) Wait() error {
	p.p.StopAndWait()
	return nil
}

func (p pondPool) Close() {}
