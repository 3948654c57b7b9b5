package execsql

//lint:file-ignore SA1019 drivers that have only what is deprecated must go on working

import (
	"context"
	"database/sql/driver"
	"fmt"
	"io"
	"reflect"
	"strings"
	"sync"
)

// A log is what a driver was called with, in order.
type log struct {
	mu    sync.Mutex
	lines []string
	wait  func(call string) // called in each call that may wait
}

func (l *log) add(format string, args ...any) {
	l.mu.Lock()
	l.lines = append(l.lines, fmt.Sprintf(format, args...))
	l.mu.Unlock()
}

func (l *log) waits(format string, args ...any) {
	l.add(format, args...)
	if l.wait != nil {
		l.wait(fmt.Sprintf(format, args...))
	}
}

// connectors of drivers that have none, the old, or all of the optional interfaces.
type fake struct {
	log              *log
	conn, stmt, rows string // "bare", "old", "full"
}

func (f *fake) Connect(context.Context) (driver.Conn, error) { return f.Open("") }
func (f *fake) Driver() driver.Driver                        { return f }

func (f *fake) Open(string) (driver.Conn, error) {
	f.log.waits("connect")
	c := &bareConn{f}
	switch f.conn {
	case "old":
		return &oldConn{c}, nil
	case "full":
		return &fullConn{c}, nil
	}
	return c, nil
}

type closingFake struct{ *fake }

func (f closingFake) Close() error { f.log.add("close connector"); return nil }

type bareConn struct{ f *fake }

func (c *bareConn) Close() error { c.f.log.waits("close"); return nil }

func (c *bareConn) Begin() (driver.Tx, error) { c.f.log.waits("begin"); return bareTx{c.f.log}, nil }

func (c *bareConn) Prepare(query string) (driver.Stmt, error) {
	c.f.log.waits("prepare %s", query)
	return c.f.newStmt(query), nil
}

type bareTx struct{ log *log }

func (t bareTx) Commit() error   { t.log.waits("commit"); return nil }
func (t bareTx) Rollback() error { t.log.waits("rollback"); return nil }

type oldConn struct{ *bareConn }

func (c *oldConn) Exec(query string, args []driver.Value) (driver.Result, error) {
	c.f.log.waits("old exec %s %v", query, args)
	return driver.RowsAffected(1), nil
}

func (c *oldConn) Query(query string, args []driver.Value) (driver.Rows, error) {
	c.f.log.waits("old query %s %v", query, args)
	return c.f.newRows(), nil
}

type fullConn struct{ *bareConn }

func (c *fullConn) Ping(context.Context) error { c.f.log.waits("ping"); return nil }

func (c *fullConn) ExecContext(_ context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if strings.HasPrefix(query, "skip") {
		return nil, driver.ErrSkip
	}
	c.f.log.waits("exec %s %v", query, args)
	return driver.RowsAffected(1), nil
}

func (c *fullConn) QueryContext(_ context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if strings.HasPrefix(query, "skip") {
		return nil, driver.ErrSkip
	}
	c.f.log.waits("query %s %v", query, args)
	return c.f.newRows(), nil
}

func (c *fullConn) PrepareContext(_ context.Context, query string) (driver.Stmt, error) {
	c.f.log.waits("prepare with context %s", query)
	return c.f.newStmt(query), nil
}

func (c *fullConn) BeginTx(_ context.Context, opts driver.TxOptions) (driver.Tx, error) {
	c.f.log.waits("begin %v", opts)
	return bareTx{c.f.log}, nil
}

func (c *fullConn) ResetSession(context.Context) error { c.f.log.waits("reset"); return nil }
func (c *fullConn) IsValid() bool                      { c.f.log.add("valid"); return true }

func (c *fullConn) CheckNamedValue(v *driver.NamedValue) error {
	c.f.log.add("conn checks %v", v.Value)
	if v.Value == "skip" {
		return driver.ErrSkip
	}
	return nil
}

func (f *fake) newStmt(query string) driver.Stmt {
	s := &bareStmt{f, query}
	switch f.stmt {
	case "old":
		return &convStmt{s}
	case "full":
		return &fullStmt{s}
	}
	return s
}

type bareStmt struct {
	f     *fake
	query string
}

func (s *bareStmt) Close() error  { s.f.log.waits("close stmt"); return nil }
func (s *bareStmt) NumInput() int { return -1 }

func (s *bareStmt) Exec(args []driver.Value) (driver.Result, error) {
	s.f.log.waits("stmt exec %s %v", s.query, args)
	return driver.RowsAffected(1), nil
}

func (s *bareStmt) Query(args []driver.Value) (driver.Rows, error) {
	s.f.log.waits("stmt query %s %v", s.query, args)
	return s.f.newRows(), nil
}

type convStmt struct{ *bareStmt }

func (s *convStmt) NumInput() int { return 1 }

func (s *convStmt) ColumnConverter(i int) driver.ValueConverter {
	s.f.log.add("converter of %d", i)
	return driver.String
}

type fullStmt struct{ *bareStmt }

func (s *fullStmt) ExecContext(_ context.Context, args []driver.NamedValue) (driver.Result, error) {
	s.f.log.waits("stmt exec with context %s %v", s.query, args)
	return driver.RowsAffected(1), nil
}

func (s *fullStmt) QueryContext(_ context.Context, args []driver.NamedValue) (driver.Rows, error) {
	s.f.log.waits("stmt query with context %s %v", s.query, args)
	return s.f.newRows(), nil
}

func (s *fullStmt) CheckNamedValue(v *driver.NamedValue) error {
	s.f.log.add("stmt checks %v", v.Value)
	v.Value = fmt.Sprint("checked ", v.Value)
	return nil
}

func (f *fake) newRows() driver.Rows {
	r := &bareRows{f: f}
	if f.rows == "full" {
		return &fullRows{r, 0}
	}
	return r
}

type bareRows struct {
	f *fake
	n int
}

func (r *bareRows) Columns() []string { return []string{"a", "b"} }
func (r *bareRows) Close() error      { r.f.log.waits("close rows"); return nil }

func (r *bareRows) Next(dest []driver.Value) error {
	r.f.log.waits("next")
	if r.n++; r.n > 2 {
		return io.EOF
	}
	dest[0], dest[1] = int64(r.n), "x"
	return nil
}

type fullRows struct {
	*bareRows
	set int
}

func (r *fullRows) HasNextResultSet() bool { return r.set == 0 }

func (r *fullRows) NextResultSet() error {
	r.f.log.waits("next set")
	if r.set++; r.set > 1 {
		return io.EOF
	}
	r.n = 0
	return nil
}

func (r *fullRows) ColumnTypeScanType(int) reflect.Type               { return reflect.TypeFor[string]() }
func (r *fullRows) ColumnTypeDatabaseTypeName(int) string             { return "TEXT" }
func (r *fullRows) ColumnTypeLength(int) (int64, bool)                { return 10, true }
func (r *fullRows) ColumnTypeNullable(int) (bool, bool)               { return true, true }
func (r *fullRows) ColumnTypePrecisionScale(int) (int64, int64, bool) { return 3, 2, true }
