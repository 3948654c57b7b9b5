//go:build !linux

package main

func threadsMissing() string { return "counts threads by their numbers, in the way of Linux" }
func threadID() int          { panic(threadsMissing()) }
