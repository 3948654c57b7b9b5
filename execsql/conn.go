//lint:file-ignore SA1019 drivers that have only what is deprecated must go on working

package execsql

import (
	"context"
	"database/sql/driver"
	"errors"
)

// conn has every optional interface but those of connections that execute and query without a statement, which database/sql treats
// differently: their arguments are converted first. Where the connection below lacks another one, conn does what
// database/sql does then.
type conn struct {
	driver.Conn
	mark          *marker
	inTransaction bool // database/sql uses a connection from one goroutine at a time
}

func newConn(c driver.Conn, err error, mark *marker) (driver.Conn, error) {
	if err != nil || c == nil {
		return nil, err
	}
	wrapped := &conn{Conn: c, mark: mark}
	_, execContext := c.(driver.ExecerContext)
	_, exec := c.(driver.Execer)
	_, queryContext := c.(driver.QueryerContext)
	_, query := c.(driver.Queryer)
	switch execs, queries := execContext || exec, queryContext || query; {
	case execs && queries:
		return struct {
			*conn
			execer
			queryer
		}{wrapped, execer{wrapped}, queryer{wrapped}}, nil
	case execs:
		return struct {
			*conn
			execer
		}{wrapped, execer{wrapped}}, nil
	case queries:
		return struct {
			*conn
			queryer
		}{wrapped, queryer{wrapped}}, nil
	}
	return wrapped, nil
}

// execer and queryer are what a conn has if the connection below has it.
type (
	execer  struct{ of *conn }
	queryer struct{ of *conn }
)

// Unwrap returns the driver's own connection.
func (c *conn) Unwrap() driver.Conn { return c.Conn }

// start is marker.start, but for calls inside a transaction.
func (c *conn) start(ctx context.Context, fn func()) error {
	if c.inTransaction {
		wait(fn)
		return nil
	}
	return c.mark.start(ctx, fn)
}

func (c *conn) Ping(ctx context.Context) (err error) {
	p, ok := c.Conn.(driver.Pinger)
	if !ok {
		return nil
	}
	if e := c.start(ctx, func() { err = p.Ping(ctx) }); e != nil {
		return e
	}
	return err
}

func (c *conn) Close() (err error) {
	wait(func() { err = c.Conn.Close() })
	return err
}

func (c *conn) Prepare(query string) (driver.Stmt, error) {
	return c.PrepareContext(context.Background(), query)
}

func (c *conn) PrepareContext(ctx context.Context, query string) (s driver.Stmt, err error) {
	e := c.start(ctx, func() {
		if p, ok := c.Conn.(driver.ConnPrepareContext); ok {
			s, err = p.PrepareContext(ctx, query)
			return
		}
		if s, err = c.Conn.Prepare(query); err == nil && ctx.Err() != nil {
			_ = s.Close()
			s, err = nil, ctx.Err()
		}
	})
	if e != nil {
		return nil, e
	}
	if err != nil {
		return nil, err
	}
	return newStmt(s, c), nil
}

func (c *conn) Begin() (driver.Tx, error) {
	return c.BeginTx(context.Background(), driver.TxOptions{})
}

func (c *conn) BeginTx(ctx context.Context, opts driver.TxOptions) (tx driver.Tx, err error) {
	e := c.start(ctx, func() {
		if b, ok := c.Conn.(driver.ConnBeginTx); ok {
			tx, err = b.BeginTx(ctx, opts)
			return
		}
		switch {
		case opts.Isolation != 0:
			err = errors.New("sql: driver does not support non-default isolation level")
			return
		case opts.ReadOnly:
			err = errors.New("sql: driver does not support read-only transactions")
			return
		}
		if tx, err = c.Conn.Begin(); err == nil && ctx.Err() != nil {
			_ = tx.Rollback()
			tx, err = nil, ctx.Err()
		}
	})
	if e != nil {
		return nil, e
	}
	if err != nil {
		return nil, err
	}
	c.inTransaction = true
	return &transaction{tx, c}, nil
}

func (x execer) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (res driver.Result, err error) {
	e := x.of.start(ctx, func() {
		if below, ok := x.of.Conn.(driver.ExecerContext); ok {
			res, err = below.ExecContext(ctx, query, args)
			return
		}
		var values []driver.Value
		if values, err = valuesOf(ctx, args); err == nil {
			res, err = x.of.Conn.(driver.Execer).Exec(query, values)
		}
	})
	if e != nil {
		return nil, e
	}
	return res, err
}

func (q queryer) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (r driver.Rows, err error) {
	e := q.of.start(ctx, func() {
		if below, ok := q.of.Conn.(driver.QueryerContext); ok {
			r, err = below.QueryContext(ctx, query, args)
			return
		}
		var values []driver.Value
		if values, err = valuesOf(ctx, args); err == nil {
			r, err = q.of.Conn.(driver.Queryer).Query(query, values)
		}
	})
	if e != nil {
		return nil, e
	}
	return newRows(r, err)
}

func (c *conn) ResetSession(ctx context.Context) (err error) {
	c.inTransaction = false
	if r, ok := c.Conn.(driver.SessionResetter); ok {
		wait(func() { err = r.ResetSession(ctx) })
	}
	return err
}

func (c *conn) IsValid() bool {
	v, ok := c.Conn.(driver.Validator)
	return !ok || v.IsValid()
}

func (c *conn) CheckNamedValue(v *driver.NamedValue) error {
	if checker, ok := c.Conn.(driver.NamedValueChecker); ok {
		return checker.CheckNamedValue(v)
	}
	return driver.ErrSkip // database/sql converts it
}

// valuesOf is what database/sql does with arguments for drivers that know no names and no contexts.
func valuesOf(ctx context.Context, args []driver.NamedValue) ([]driver.Value, error) {
	values := make([]driver.Value, len(args))
	for i, arg := range args {
		if arg.Name != "" {
			return nil, errors.New("sql: driver does not support the use of Named Parameters")
		}
		values[i] = arg.Value
	}
	return values, ctx.Err()
}

type transaction struct {
	driver.Tx
	conn *conn
}

func (t *transaction) Commit() (err error) {
	wait(func() { err = t.Tx.Commit() })
	t.conn.inTransaction = false
	return err
}

func (t *transaction) Rollback() (err error) {
	wait(func() { err = t.Tx.Rollback() })
	t.conn.inTransaction = false
	return err
}
