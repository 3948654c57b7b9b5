//go:build !cgo || windows

// Package cgotest is C code for the tests of package executor. This build of it has none.
package cgotest

import "time"

// Missing says why this package can not do anything.
const Missing = "needs C: built without cgo, or for Windows"

func Sleep(int)          { panic(Missing) }
func Burn(time.Duration) { panic(Missing) }
func Hold()              { panic(Missing) }
func Open()              { panic(Missing) }
func Shut()              { panic(Missing) }
func Inside() int        { panic(Missing) }
func Most() int          { panic(Missing) }
func SwapMine(int) int   { panic(Missing) }
func Mine() int          { panic(Missing) }
func MaskUsr2() bool     { panic(Missing) }
func MasksUsr2() bool    { panic(Missing) }
func CallBack(func())    { panic(Missing) }
