package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"

	"github.com/seed-97bda89a/executor"
)

// sum is what one file comes to.
type sum struct {
	sha  [sha256.Size]byte
	crc  uint32 // CRC-32C
	size int64  // bytes read
}

// hasher sums files. It is shared by all tasks.
type hasher struct {
	open     func(path string) (*source, error)
	native   *executor.Bulkhead
	progress *progress
}

// sum runs as a task and reads the file at path through buf. The slot is busy only while SHA-256 is computed: it is
// lent to others while the disk is busy, and while C is.
func (h *hasher) sum(ctx context.Context, path string, buf []byte) (s sum, err error) {
	var src *source
	executor.Blocking(ctx, func() { src, err = h.open(path) })
	if err != nil {
		return sum{}, err
	}
	defer executor.Blocking(ctx, func() { src.Close() })

	digest := sha256.New()
	for {
		var chunk []byte
		executor.Blocking(ctx, func() { chunk, err = src.next(buf) })
		if err != nil && !errors.Is(err, io.EOF) {
			return sum{}, err
		}
		// Two readers of one chunk: the C one is a child, which another slot may take while SHA-256 runs here.
		native := executor.Fork(ctx, func(ctx context.Context) error {
			return h.native.Blocking(ctx, func() { s.crc = crc32c(s.crc, chunk) })
		})
		digest.Write(chunk)
		if err := native.Join(ctx); err != nil {
			return sum{}, err
		}
		s.size += int64(len(chunk))
		h.progress.done.Add(int64(len(chunk)))
		if errors.Is(err, io.EOF) {
			digest.Sum(s.sha[:0])
			return s, nil
		}
		// A large file is many chunks: between two of them it leaves when it must, and lets others have the slot
		// when its time is up.
		if err := executor.Checkpoint(ctx); err != nil {
			return sum{}, err
		}
	}
}
