package contend

import (
	"context"

	antslib "github.com/panjf2000/ants/v2"
)

func ants() Contender {
	return Contender{
		Name:   "ants",
		About:  "panjf2000/ants; the caller waits for an idle worker, there is no queue",
		Module: "github.com/panjf2000/ants/v2",
		Form:   Plain,
		Tries:  true,
		Open: func(c Config) (Pool, error) {
			p, err := antslib.NewPool(c.Slots, antslib.WithNonblocking(c.Try))
			return antsPool{p}, err
		},
	}
}

type antsPool struct{ p *antslib.Pool }

func (p antsPool) Submit(_ context.Context, t Task) error   { return p.p.Submit(t.Plain) }
func (p antsPool) TrySubmit(_ context.Context, t Task) bool { return p.p.Submit(t.Plain) == nil }
func (p antsPool) Wait() error                              { return p.p.ReleaseContext(context.Background()) }
func (p antsPool) Close()                                   {}

// ReleaseDefaults ends what contenders start when they are imported: the
// default pool of ants has two tickers, which would be counted against
// everybody where idleness is measured.
func ReleaseDefaults() { antslib.Release() }
