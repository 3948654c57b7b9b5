//go:build !linux

package main

import "os"

// wasClosed reports whether f was closed when the program started, where that is known.
func wasClosed(f *os.File) bool {
	_, err := f.Stat()
	return err != nil
}
