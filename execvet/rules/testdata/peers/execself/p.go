package execself

import "golang.org/x/sync/errgroup"

func wait() error {
	var g errgroup.Group
	g.Go(func() error {
		return g.Wait() // want `Group.Wait in a task of g waits for the task itself`
	})
	return g.Wait()
}
