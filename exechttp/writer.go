package exechttp

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
)

// writer is a ResponseWriter whose writes lend the slot. The types below it add what the one that it wraps can do
// beyond that, so that a handler finds what it would find without it; http.ResponseController sees through it.
type writer struct{ http.ResponseWriter }

// Unwrap is for http.ResponseController.
func (w writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w writer) Write(p []byte) (n int, err error) {
	lend(func() { n, err = w.ResponseWriter.Write(p) })
	return n, err
}

// WriteString is for io.WriteString.
func (w writer) WriteString(s string) (n int, err error) {
	lend(func() { n, err = io.WriteString(w.ResponseWriter, s) })
	return n, err
}

// WriteHeader of an informational status writes at once.
func (w writer) WriteHeader(status int) {
	if status >= 200 {
		w.ResponseWriter.WriteHeader(status)
		return
	}
	lend(func() { w.ResponseWriter.WriteHeader(status) })
}

type flusher struct{ w http.ResponseWriter }

func (f flusher) Flush() { _ = f.FlushError() }

// FlushError is for http.ResponseController.
func (f flusher) FlushError() (err error) {
	lend(func() {
		switch w := f.w.(type) {
		case interface{ FlushError() error }:
			err = w.FlushError()
		case http.Flusher:
			w.Flush()
		}
	})
	return err
}

type hijacker struct{ http.Hijacker }

// Hijack returns a connection whose reads and writes lend the slot, also those through the buffers.
func (h hijacker) Hijack() (c net.Conn, buffers *bufio.ReadWriter, err error) {
	lend(func() { c, buffers, err = h.Hijacker.Hijack() }) // waits for a read that goes on in the background
	if err != nil {
		return nil, nil, err
	}
	c = waitingConn(c)
	if buffers.Reader != nil {
		n := buffers.Reader.Buffered()
		came, _ := buffers.Reader.Peek(n) // what came already
		buffers.Reader.Reset(io.MultiReader(bytes.NewReader(bytes.Clone(came)), c))
		_, _ = buffers.Reader.Peek(n) // stays buffered: some look
	}
	if buffers.Writer != nil && buffers.Writer.Buffered() == 0 {
		buffers.Writer.Reset(c)
	}
	return c, buffers, nil
}

type readerFrom struct{ io.ReaderFrom }

func (f readerFrom) ReadFrom(r io.Reader) (n int64, err error) {
	lend(func() { n, err = f.ReaderFrom.ReadFrom(r) })
	return n, err
}

// waitingWriter wraps w, with as many of the optional interfaces as it has.
func waitingWriter(w http.ResponseWriter) http.ResponseWriter {
	base := writer{w}
	f := flusher{w}
	hijack, canHijack := w.(http.Hijacker)
	h := hijacker{hijack}
	read, canRead := w.(io.ReaderFrom)
	r := readerFrom{read}
	push, canPush := w.(http.Pusher)
	_, canFlush := w.(http.Flusher)
	if !canFlush {
		_, canFlush = w.(interface{ FlushError() error })
	}
	has := 0
	for i, can := range []bool{canFlush, canHijack, canRead, canPush} {
		if can {
			has |= 1 << i
		}
	}
	switch has {
	case 1:
		return struct {
			writer
			flusher
		}{base, f}
	case 2:
		return struct {
			writer
			hijacker
		}{base, h}
	case 3:
		return struct {
			writer
			flusher
			hijacker
		}{base, f, h}
	case 4:
		return struct {
			writer
			readerFrom
		}{base, r}
	case 5:
		return struct {
			writer
			flusher
			readerFrom
		}{base, f, r}
	case 6:
		return struct {
			writer
			hijacker
			readerFrom
		}{base, h, r}
	case 7:
		return struct {
			writer
			flusher
			hijacker
			readerFrom
		}{base, f, h, r}
	case 8:
		return struct {
			writer
			http.Pusher
		}{base, push}
	case 9:
		return struct {
			writer
			flusher
			http.Pusher
		}{base, f, push}
	case 10:
		return struct {
			writer
			hijacker
			http.Pusher
		}{base, h, push}
	case 11:
		return struct {
			writer
			flusher
			hijacker
			http.Pusher
		}{base, f, h, push}
	case 12:
		return struct {
			writer
			readerFrom
			http.Pusher
		}{base, r, push}
	case 13:
		return struct {
			writer
			flusher
			readerFrom
			http.Pusher
		}{base, f, r, push}
	case 14:
		return struct {
			writer
			hijacker
			readerFrom
			http.Pusher
		}{base, h, r, push}
	case 15:
		return struct {
			writer
			flusher
			hijacker
			readerFrom
			http.Pusher
		}{base, f, h, r, push}
	}
	return base
}
