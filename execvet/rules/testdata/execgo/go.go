package execgo

import (
	"context"
	"net"
	"net/http"
	"runtime"
	"sync"

	"github.com/seed-97bda89a/executor"
)

func handle(int) {}

func each(ctx context.Context, exec *executor.Executor, rows []int, ch chan int) {
	for _, row := range rows {
		go handle(row) // want `nothing bounds the number of these goroutines: one starts for each element of rows`
	}
	for range ch {
		go func() { // want `one starts for each element of a channel`
			handle(1)
		}()
	}
	var wg sync.WaitGroup
	for _, row := range rows {
		wg.Go(func() { handle(row) }) // want `each element of rows`
	}
	own := []int{1, 2, 3}
	for _, row := range own {
		go handle(row)
	}
}

func accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go conn.Close() // want `the loop has no end`
	}
}

func serve(w http.ResponseWriter, req *http.Request) {
	go handle(1) // want `one starts for each request`
}

func workers(rows chan int) {
	for range runtime.NumCPU() {
		go func() {
			for row := range rows {
				handle(row)
			}
		}()
	}
}

func semaphore(rows []int) {
	places := make(chan struct{}, 10)
	for _, row := range rows {
		places <- struct{}{}
		go func() { handle(row); <-places }()
	}
}
