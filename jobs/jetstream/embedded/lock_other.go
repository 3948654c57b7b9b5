//go:build !unix || solaris || illumos || aix

package embedded

import "os"

func lock(dir string) (unlock func(), err error) { return func() {}, os.MkdirAll(dir, 0o700) }
