package main

import (
	"context"
	"errors"
	"iter"

	"github.com/seed-97bda89a/executor"
)

// windowSize is how many files may lie between the next one to be printed and the last one submitted. More keeps the
// others busy for longer behind one huge file, less holds fewer results; one is about 300 bytes.
const windowSize = 4096

// lister turns a walk into lines. The walk runs ahead of the printing by windowSize files at most, and each file inside
// the executor has a buffer, so memory depends neither on how many files there are nor on how large they are.
type lister struct {
	exec    *executor.Executor
	buffers buffers
	hasher  hasher

	// Called by the goroutine that called run, the first two in the order of the walk. An error ends the run.
	printed func(path string, s sum) error
	failed  func(path string, err error)
	idle    func() error // the next file is not ready yet
}

// pending is a file on its way, or a place that could not be read.
type pending struct {
	path   string
	err    error
	future *executor.Future[sum] // nil if err is set
}

// run sums the files of tree until ctx is done; what was finished by then is still printed. The error is that of
// printed or idle, or tells that the executor refused a file: never one of a file.
func (l *lister) run(ctx context.Context, tree iter.Seq[entry]) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	window := make(chan pending, windowSize)
	var refused error
	go func() {
		defer close(window)
		refused = l.submit(ctx, tree, window)
	}()

	err := l.print(ctx, window)
	cancel()
	for range window {
		// The submitter may be waiting for room, and has to see that ctx is done.
	}
	return errors.Join(err, refused)
}

// submit starts a task for each file, in order, until ctx is done. A file waits for its buffer here, outside the
// executor, so that no task ever waits for another.
func (l *lister) submit(ctx context.Context, tree iter.Seq[entry], window chan<- pending) error {
	for e := range tree {
		if e.err != nil {
			window <- pending{path: e.path, err: e.err}
			continue
		}
		buf, err := l.buffers.get(ctx)
		if err != nil {
			return nil
		}
		future, err := executor.Submit(ctx, l.exec, func(ctx context.Context) (sum, error) {
			defer l.buffers.put(buf) //executor:allow execblock there is room for every buffer
			return l.hasher.sum(ctx, e.path, buf)
		})
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		window <- pending{path: e.path, future: future}
	}
	return nil
}

// print prints what comes out of the window until it is closed. Once ctx is done nothing waits any more: what is not
// finished is left out.
func (l *lister) print(ctx context.Context, window <-chan pending) error {
	for {
		p, ok, err := l.next(window)
		if err != nil || !ok {
			return err
		}
		if p.err == nil {
			var s sum
			if s, p.err = p.future.Wait(ctx); p.err == nil {
				if err := l.printed(p.path, s); err != nil {
					return err
				}
				continue
			}
		}
		if stop := ctx.Err(); stop == nil || !errors.Is(p.err, stop) {
			l.failed(p.path, p.err)
		}
	}
}

// next takes a file from the window, and calls idle once if it or its sum is not there yet. ok is false at the end.
func (l *lister) next(window <-chan pending) (p pending, ok bool, err error) {
	select {
	case p, ok = <-window:
	default:
		if err = l.idle(); err != nil {
			return p, false, err
		}
		p, ok = <-window
	}
	if ok && p.future != nil {
		select {
		case <-p.future.Done():
		default:
			err = l.idle()
		}
	}
	return p, ok, err
}
