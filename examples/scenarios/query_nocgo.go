//go:build !cgo || windows

package main

const connections = 16

func queryMissing() string { return "needs a library in C: built without cgo, or for Windows" }
func query()               { panic(queryMissing()) }
func mostQueries() int     { panic(queryMissing()) }
