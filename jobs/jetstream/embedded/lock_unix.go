//go:build unix && !solaris && !illumos && !aix

package embedded

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// lock keeps a second server, of this or of another process, out of dir. It ends with the process.
func lock(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.New("another server uses this directory")
		}
		return nil, err
	}
	return func() { _ = f.Close() }, nil
}
