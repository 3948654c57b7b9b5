package exechttp

import (
	"context"
	"io"
	"net"

	"github.com/seed-97bda89a/executor"
)

// lend runs fn with the slot lent, if a task calls it. A task is recognised by its goroutine.
func lend(fn func()) { executor.Blocking(context.Background(), fn) }

// body is a body whose reads lend the slot.
type body struct {
	io.ReadCloser
	wait func(fn func()) error
}

func (b *body) Read(p []byte) (n int, err error) {
	if refused := b.wait(func() { n, err = b.ReadCloser.Read(p) }); refused != nil {
		return 0, refused
	}
	return n, err
}

// Close may have to read the rest of the body.
func (b *body) Close() (err error) {
	lend(func() { err = b.ReadCloser.Close() })
	return err
}

// duplex is the body of an answer that switched protocols.
type duplex struct {
	body
	io.Writer
}

func (d *duplex) Write(p []byte) (n int, err error) {
	if refused := d.wait(func() { n, err = d.Writer.Write(p) }); refused != nil {
		return 0, refused
	}
	return n, err
}

// waiting returns b with reads, and writes if it has those, inside wait.
func waiting(b io.ReadCloser, wait func(fn func()) error) io.ReadCloser {
	marked := body{b, wait}
	if w, ok := b.(io.Writer); ok {
		return &duplex{marked, w}
	}
	return &marked
}

func always(fn func()) error {
	lend(fn)
	return nil
}

// conn is a hijacked connection whose reads and writes lend the slot.
type conn struct{ net.Conn }

func (c conn) Read(p []byte) (n int, err error) {
	lend(func() { n, err = c.Conn.Read(p) })
	return n, err
}

func (c conn) Write(p []byte) (n int, err error) {
	lend(func() { n, err = c.Conn.Write(p) })
	return n, err
}

func (c conn) ReadFrom(r io.Reader) (n int64, err error) {
	lend(func() { n, err = io.Copy(c.Conn, r) })
	return n, err
}

func (c conn) Close() (err error) {
	lend(func() { err = c.Conn.Close() })
	return err
}

// NetConn returns the connection itself, for who needs its type.
func (c conn) NetConn() net.Conn { return c.Conn }

// halfConn is a conn that can close one direction.
type halfConn struct {
	conn
	half interface{ CloseWrite() error }
}

// CloseWrite closes the direction from here.
func (c halfConn) CloseWrite() error { return c.half.CloseWrite() }

func waitingConn(c net.Conn) net.Conn {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return halfConn{conn{c}, half}
	}
	return conn{c}
}
