// A pool of a size, a pool of a function, one that refuses, and one that is opened again.
package main

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/panjf2000/ants/v2"
)

func main() {
	var sum atomic.Int64
	var all sync.WaitGroup
	p, err := ants.NewPool(10, ants.WithPanicHandler(func(v any) { fmt.Println("panic:", v); all.Done() }))
	must(err)
	for i := range 1000 {
		all.Add(1)
		must(p.Submit(func() { sum.Add(int64(i)); all.Done() }))
	}
	all.Wait()
	fmt.Println(sum.Load(), p.Cap())
	all.Add(1)
	must(p.Submit(func() { panic("one task") }))
	all.Wait()

	p.Release()
	fmt.Println(p.IsClosed(), p.Submit(func() {}))
	p.Reboot()
	all.Add(1)
	must(p.Submit(all.Done))
	all.Wait()
	must(p.ReleaseTimeout(time.Minute))

	squares := make([]int, 5)
	f, err := ants.NewPoolWithFunc(2, func(i any) { squares[i.(int)] = i.(int) * i.(int); all.Done() })
	must(err)
	for i := range squares {
		all.Add(1)
		must(f.Invoke(i))
	}
	all.Wait()
	f.Release()
	fmt.Println(squares)

	full, err := ants.NewPool(2, ants.WithNonblocking(true))
	must(err)
	release := make(chan struct{})
	for range 2 {
		all.Add(1)
		must(full.Submit(func() { <-release; all.Done() }))
	}
	err = full.Submit(func() {})
	fmt.Println(errors.Is(err, ants.ErrPoolOverload), err, full.Running(), full.Free())
	close(release)
	all.Wait()
	full.Release()
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
