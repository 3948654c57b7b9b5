// A queue without a bound, in order; a pause, and an end that runs what waits.
package main

import (
	"context"
	"fmt"

	"github.com/gammazero/workerpool"
)

func main() {
	one := workerpool.New(1)
	var order []int
	for i := range 1000 {
		one.Submit(func() { order = append(order, i) })
	}
	one.SubmitWait(func() {})
	inOrder := true
	for i, n := range order {
		inOrder = inOrder && i == n
	}
	fmt.Println(len(order), inOrder, one.Size())

	ctx, resume := context.WithCancel(context.Background())
	one.Pause(ctx)
	ran := false
	one.Submit(func() { ran = ctx.Err() != nil })
	fmt.Println(one.Stopped())
	resume()
	one.StopWait()
	fmt.Println(ran, one.Stopped())

	all := workerpool.New(8)
	letters := make(chan string, 26)
	for _, r := range "abcdefghijklmnopqrstuvwxyz" {
		all.Submit(func() { letters <- string(r) })
	}
	all.StopWait()
	fmt.Println(len(letters))
}
