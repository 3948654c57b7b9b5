package cgroup

import (
	"errors"
	"io"
	"os"
)

// controlFile is a small kernel file that is read many times. It is opened at
// the first read and stays open: reading an open file costs a fifth of opening
// it again.
type controlFile struct {
	path string
	file *os.File
}

// read gives the whole text, which it reads into buf. A file that has
// gone stale is opened anew: its group may have been removed and made again.
func (f *controlFile) read(buf *[]byte) (string, error) {
	for {
		fresh := f.file == nil
		if fresh {
			file, err := os.Open(f.path)
			if err != nil {
				return "", err
			}
			f.file = file
		}
		n, err := f.file.ReadAt(*buf, 0)
		switch {
		case err == nil: // the buffer is full, and there may be more
			*buf = make([]byte, 2*len(*buf))
		case errors.Is(err, io.EOF):
			return string((*buf)[:n]), nil
		default:
			f.close()
			if fresh {
				return "", err
			}
		}
	}
}

func (f *controlFile) close() {
	if f.file != nil {
		_ = f.file.Close() // nothing was written
		f.file = nil
	}
}
