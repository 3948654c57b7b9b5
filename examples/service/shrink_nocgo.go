//go:build !cgo

package main

import "image"

// shrinkBy says who makes pictures smaller.
const shrinkBy = "Go, without cgo"

func shrink(dst, src *image.RGBA) { shrinkGo(dst, src) }
