package execblock

import (
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

func group(rows []string, ch chan string) error { // want group:`blocks: sync.WaitGroup.Wait`
	var g errgroup.Group
	var wg sync.WaitGroup
	for _, row := range rows {
		g.Go(func() error {
			time.Sleep(time.Second) // want `the task waits in time.Sleep`
			return nil
		})
		wg.Go(func() { ch <- row }) // want `a send to a channel`
		go func() { ch <- row }()   // want `a send to a channel`
		go later(ch)
	}
	wg.Wait()
	return g.Wait()
}

func later(ch chan string) { // want later:`blocks: a range over a channel`
	for range ch { // want `a range over a channel`
	}
}
