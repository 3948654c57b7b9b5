// Package panics has the API of github.com/sourcegraph/conc/panics, name for name: it catches panics and keeps where
// they came from. It runs nothing and needs no executor.
package panics

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"sync/atomic"
)

// Catcher keeps the first panic of the functions that it tries. The zero value is ready to use, from any goroutine.
type Catcher struct {
	first atomic.Pointer[Recovered]
}

// Try runs f and catches its panic.
func (c *Catcher) Try(f func()) {
	defer c.tryRecover()
	f()
}

func (c *Catcher) tryRecover() {
	value := recover()
	if value == nil {
		return
	}
	r := NewRecovered(1, value)
	c.first.CompareAndSwap(nil, &r)
}

// Recovered returns the first panic, or nil.
func (c *Catcher) Recovered() *Recovered { return c.first.Load() }

// Repanic panics with the first panic, a *Recovered, if there was one.
func (c *Catcher) Repanic() {
	if r := c.Recovered(); r != nil {
		panic(r)
	}
}

// Try runs f and returns its panic, or nil.
func Try(f func()) *Recovered {
	var c Catcher
	c.Try(f)
	return c.Recovered()
}

// Recovered is a panic that was caught.
type Recovered struct {
	Value   any       // what was passed to panic
	Callers []uintptr // where, for runtime.CallersFrames; at most 64
	Stack   []byte    // the same as text, of the goroutine that caught it
}

// NewRecovered describes the panic with that value, caught by the caller. With a skip of 0 the callers begin with
// NewRecovered; each one more leaves out a frame.
func NewRecovered(skip int, value any) Recovered {
	callers := make([]uintptr, 64)
	n := runtime.Callers(skip+1, callers)
	return Recovered{Value: value, Callers: callers[:n], Stack: debug.Stack()}
}

// String returns the value and the stack.
func (r *Recovered) String() string {
	return fmt.Sprintf("panic: %v\nstacktrace:\n%s\n", r.Value, r.Stack)
}

// AsError returns the panic as an error, or nil for nil.
func (r *Recovered) AsError() error {
	if r == nil {
		return nil
	}
	return &ErrRecovered{*r}
}

// ErrRecovered is a panic as an error.
type ErrRecovered struct{ Recovered }

// Error returns what String does.
func (e *ErrRecovered) Error() string { return e.String() }

// Unwrap returns the value of the panic if that is an error.
func (e *ErrRecovered) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}
