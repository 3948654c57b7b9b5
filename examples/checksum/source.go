package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

var (
	errChanged   = errors.New("changed while it was read")
	errOwnOutput = errors.New("left out, this output goes there")
)

// file is what is needed of an *os.File.
type file interface {
	io.ReadCloser
	Stat() (fs.FileInfo, error)
}

// source reads a file to its end, and notices when the file does not hold still. A sum of bytes that were never in the
// file together helps nobody, and a file that grows as fast as it is read has no end: both are errChanged, as far as
// size and modification time tell.
type source struct {
	file
	opened fs.FileInfo
	read   int64
}

// next reads into buf and returns what it read, which is all that fits or the rest of the file. io.EOF comes with the
// rest, and only if the file is as it was when it was opened.
func (s *source) next(buf []byte) ([]byte, error) {
	n, err := io.ReadFull(s.file, buf)
	s.read += int64(n)
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		err = io.EOF
	case err != nil && !errors.Is(err, io.EOF):
		return nil, err
	case err == nil && s.read <= s.opened.Size():
		return buf[:n], nil
	}
	// At the end, or past the size it had, which alone means nothing: files of the kernel say they are empty.
	now, statErr := s.Stat()
	switch {
	case statErr != nil:
		return nil, statErr
	case now.Size() != s.opened.Size() || !now.ModTime().Equal(s.opened.ModTime()):
		return nil, errChanged
	}
	return buf[:n], err
}

// opener opens the files of a tree.
type opener struct {
	own []fs.FileInfo // what this program writes to: a sum of it would be wrong with the next line
}

// newOpener returns an opener that refuses the given files.
func newOpener(outputs ...*os.File) opener {
	var o opener
	for _, f := range outputs {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			o.own = append(o.own, info)
		}
	}
	return o
}

// open opens a file that was regular when the walk saw it, and makes sure that it still is.
func (o opener) open(path string) (*source, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|openFlags, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = errKind
	case o.isOwn(info):
		err = errOwnOutput
	default:
		return &source{file: f, opened: info}, nil
	}
	f.Close()
	return nil, err
}

func (o opener) isOwn(info fs.FileInfo) bool {
	for _, own := range o.own {
		if os.SameFile(info, own) {
			return true
		}
	}
	return false
}
