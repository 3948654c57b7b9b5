//go:build unix

package main

import "syscall"

// openFlags keep an open from waiting for a writer if the file became a pipe since the walk saw it.
const openFlags = syscall.O_NONBLOCK
