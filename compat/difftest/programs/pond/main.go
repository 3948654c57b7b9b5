// Results, errors, groups, subpools, a bounded queue, a panic, and counters.
package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/alitto/pond/v2"
)

func main() {
	p := pond.NewPool(10)
	var n atomic.Int64
	for range 1000 {
		p.Submit(func() { n.Add(1) })
	}
	err := p.SubmitErr(func() error { return errors.New("a task fails") }).Wait()
	fmt.Println(err)
	err = p.Submit(func() { panic("oh") }).Wait()
	fmt.Println(errors.Is(err, pond.ErrPanic))

	group := p.NewGroup()
	for i := range 20 {
		group.SubmitErr(func() error {
			if i == 7 {
				return fmt.Errorf("number %d", i)
			}
			return nil
		})
	}
	fmt.Println(group.Wait())

	below := p.NewSubpool(1)
	var order []int
	for i := range 10 {
		below.Submit(func() { order = append(order, i) })
	}
	below.StopAndWait()
	fmt.Println(order)

	p.StopAndWait()
	fmt.Println(n.Load(), p.RunningWorkers(), p.WaitingTasks(), p.Stopped())
	fmt.Println(p.Go(func() {}))

	squares := pond.NewResultPool[int](4)
	results := squares.NewGroup()
	for i := range 10 {
		results.Submit(func() int { return i * i })
	}
	fmt.Println(results.Wait())
	squares.StopAndWait()

	ctx, cancel := context.WithCancel(context.Background())
	bounded := pond.NewPool(1, pond.WithContext(ctx), pond.WithQueueSize(1), pond.WithNonBlocking(true))
	started := make(chan struct{})
	running := bounded.Submit(func() { close(started); <-ctx.Done() })
	<-started
	waiting := bounded.Submit(func() {})
	fmt.Println(bounded.Submit(func() {}).Wait())
	cancel()
	fmt.Println(running.Wait() != nil, waiting.Wait() != nil)
}
