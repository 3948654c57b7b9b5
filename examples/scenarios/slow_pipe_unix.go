//go:build unix

package main

import (
	"errors"
	"syscall"
)

// slowPipe is a pipe whose reads block their threads. Those of package os do not: the poller waits for them.
type slowPipe struct{ from, to int }

func slowPipeMissing() string { return "" }

func newSlowPipe() (*slowPipe, error) {
	var ends [2]int
	err := syscall.Pipe(ends[:])
	return &slowPipe{ends[0], ends[1]}, err
}

// wait reads one byte, which takes until there is one.
func (p *slowPipe) wait() error {
	for {
		n, err := syscall.Read(p.from, make([]byte, 1))
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return err
		case n == 1:
			return nil
		default:
			return errors.New("the pipe has an end")
		}
	}
}

// answer lets one wait go. There are never so many bytes in the pipe that a write blocks or fails.
func (p *slowPipe) answer() { _, _ = syscall.Write(p.to, []byte{0}) }

func (p *slowPipe) close() {
	_ = syscall.Close(p.to)
	_ = syscall.Close(p.from)
}
