package main

import "context"

// The buffers are the memory that file contents may take, 32 MiB. Their number also limits the open files. Larger ones
// save system calls, and leave the processor's cache.
const (
	bufferCount = 128
	bufferSize  = 256 << 10
)

// buffers hands out a fixed number of buffers, each made when it is first needed.
type buffers struct {
	free chan []byte // a nil one has not been made yet
	size int
}

func newBuffers(count, size int) buffers {
	b := buffers{make(chan []byte, count), size}
	for range count {
		b.free <- nil
	}
	return b
}

// get waits for a buffer, or until ctx is done.
func (b buffers) get(ctx context.Context) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case buf := <-b.free:
		if buf == nil {
			buf = make([]byte, b.size)
		}
		return buf, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// put gives back a buffer that get returned.
func (b buffers) put(buf []byte) { b.free <- buf }
