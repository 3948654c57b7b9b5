//go:build !unix

package main

// slowPipe would be a pipe whose reads block their threads.
type slowPipe struct{}

const noSlowPipe = "needs the read call of a Unix"

func slowPipeMissing() string         { return noSlowPipe }
func newSlowPipe() (*slowPipe, error) { panic(noSlowPipe) }
func (*slowPipe) wait() error         { panic(noSlowPipe) }
func (*slowPipe) answer()             { panic(noSlowPipe) }
func (*slowPipe) close()              { panic(noSlowPipe) }
