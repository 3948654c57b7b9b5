package main

import "syscall"

func threadsMissing() string { return "" }

// threadID is the number of the calling thread.
func threadID() int { return syscall.Gettid() }
