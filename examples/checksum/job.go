package main

import (
	"bufio"
	"context"
	"errors"
	"os"
	"runtime"
	"time"

	"github.com/seed-97bda89a/executor"
)

// job is the list of one tree: it puts the parts together.
type job struct {
	root    string
	verbose bool
	out     *os.File // for the list
	screen  *screen  // for everything else
	open    func(path string) (*source, error)

	text  *bufio.Writer // to out; its buffer begins with a line and ends with one
	total summary
}

// run makes the list, as far as it gets before ctx is done. An error means that the list is not complete for another
// reason than its files.
func (j *job) run(ctx context.Context) (err error) {
	j.total.start = time.Now()
	defer func() { j.total.end = time.Now() }()
	exec, err := executor.New()
	if err != nil {
		return err
	}
	defer func() {
		j.total.stats = exec.Stats()
		// Nothing is left to do or, once ctx is done, to be done.
		if left := exec.Shutdown(ctx); ctx.Err() == nil {
			err = errors.Join(err, left)
		}
	}()
	// C calls use the processor: more of them than there are processors would only take turns.
	native, err := executor.NewBulkhead("crc32c", runtime.GOMAXPROCS(0))
	if err != nil {
		return err
	}
	var progress progress
	unwatch, err := j.screen.watch(ctx, exec, j.root, &progress)
	if err != nil {
		return err
	}
	defer unwatch()

	j.text = bufio.NewWriterSize(j.screen.beside(j.out), 64<<10)
	l := &lister{
		exec:    exec,
		buffers: newBuffers(bufferCount, bufferSize),
		hasher:  hasher{open: j.open, native: native, progress: &progress},
		printed: j.printed,
		failed:  j.failed,
		idle:    j.text.Flush,
	}
	if err := l.run(ctx, walk(j.root)); err != nil {
		return err
	}
	return j.text.Flush()
}

// printed takes the next file of the list.
func (j *job) printed(path string, s sum) error {
	j.total.add(s)
	if j.verbose {
		j.screen.printf("crc32c %08x  %s", s.crc, printable(path))
	}
	// Only whole lines go to the buffer, so only whole lines come out, wherever this ends.
	text := line(s.sha[:], path)
	if j.text.Available() < len(text) {
		if err := j.text.Flush(); err != nil {
			return err
		}
	}
	_, err := j.text.WriteString(text)
	return err
}

// failed takes what has no place in the list.
func (j *job) failed(path string, err error) {
	if !errors.Is(err, errOwnOutput) {
		j.total.failed++
	}
	j.screen.printf("checksum: %s: %v", printable(path), cause(err))
}
