// Package execsql marks what a database driver waits for, so that tasks which use database/sql need no Blocking of their own:
//
//	connector, err := pq.NewConnector(dsn)
//	db := sql.OpenDB(execsql.Connector(connector))
//
// or, for a driver that is known by its name,
//
//	sql.Register("sqlite3-exec", execsql.Driver(&sqlite3.SQLiteDriver{}))
//	db, err := sql.Open("sqlite3-exec", "file.db")
//
// Each call of the driver that may wait runs inside executor.Blocking: the task's slot is lent meanwhile. Outside of tasks nothing
// changes. Every optional interface of the driver below works as before: where it has one, it is called, and where
// it has none, database/sql does what it does without this package.
//
// The pool's own wait for a free connection is not the driver's, and so it is not marked. If the number of connections is
// limited (SetMaxOpenConns), use [Limit] and call through the Bulkhead that it returns.
//
// A connection that [sql.Conn.Raw] hands out is a wrapper; its method Unwrap returns the driver's own.
package execsql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"io"

	"github.com/seed-97bda89a/executor"
)

// An Option changes how calls are marked.
type Option func(*marker)

// WithBulkhead lets calls that connect, ping, prepare, query, execute or begin wait for a place in b, so that no more than its limit
// are in progress at once over the whole process. It is for drivers that call C, where each call holds a thread. Calls
// inside a transaction never wait for a place: others that hold all of them might wait for its locks. Nor do
// commits, rollbacks, and the reading of rows. A nil b is ignored.
func WithBulkhead(b *executor.Bulkhead) Option { return func(m *marker) { m.bulkhead = b } }

// marker knows how a call is marked.
type marker struct{ bulkhead *executor.Bulkhead }

func newMarker(opts []Option) *marker {
	m := &marker{}
	for _, opt := range opts {
		if opt != nil {
			opt(m)
		}
	}
	return m
}

// start runs a call that starts something: inside the Bulkhead, if there is one. If its error is not nil, fn has not run.
func (m *marker) start(ctx context.Context, fn func()) error {
	if m.bulkhead != nil {
		return m.bulkhead.Blocking(ctx, fn)
	}
	executor.Blocking(ctx, fn)
	return nil
}

// wait runs a call that goes on with something, or ends it.
func wait(fn func()) { executor.Blocking(context.Background(), fn) }

// Connector returns a connector whose connections are those of c, with every call that waits marked. It panics if c is nil.
func Connector(c driver.Connector, opts ...Option) driver.Connector {
	if c == nil {
		panic("execsql: Connector(nil): must be a connector")
	}
	return &connector{c, newMarker(opts)}
}

type connector struct {
	driver.Connector
	mark *marker
}

func (c *connector) Connect(ctx context.Context) (conn driver.Conn, err error) {
	if e := c.mark.start(ctx, func() { conn, err = c.Connector.Connect(ctx) }); e != nil {
		return nil, e
	}
	return newConn(conn, err, c.mark)
}

func (c *connector) Driver() driver.Driver { return &wrapper{c.Connector.Driver(), c.mark} }

// Close closes the connector below, if it can be closed.
func (c *connector) Close() (err error) {
	if closer, ok := c.Connector.(io.Closer); ok {
		wait(func() { err = closer.Close() })
	}
	return err
}

// Driver returns a driver whose connections are those of d, with every call that waits marked. It panics if d is nil.
func Driver(d driver.Driver, opts ...Option) driver.Driver {
	if d == nil {
		panic("execsql: Driver(nil): must be a driver")
	}
	return &wrapper{d, newMarker(opts)}
}

type wrapper struct {
	driver.Driver
	mark *marker
}

func (d *wrapper) Open(name string) (conn driver.Conn, err error) {
	if e := d.mark.start(context.Background(), func() { conn, err = d.Driver.Open(name) }); e != nil {
		return nil, e
	}
	return newConn(conn, err, d.mark)
}

func (d *wrapper) OpenConnector(name string) (driver.Connector, error) {
	dc, ok := d.Driver.(driver.DriverContext)
	if !ok {
		return &dsn{d, name}, nil
	}
	c, err := dc.OpenConnector(name)
	if err != nil {
		return nil, err
	}
	return &connector{c, d.mark}, nil
}

// Unwrap returns the driver below.
func (d *wrapper) Unwrap() driver.Driver { return d.Driver }

// dsn is the connector of a driver that makes none, as database/sql has one.
type dsn struct {
	driver *wrapper
	name   string
}

func (c *dsn) Connect(context.Context) (driver.Conn, error) { return c.driver.Open(c.name) }
func (c *dsn) Driver() driver.Driver                        { return c.driver }

// Limit allows at most n open connections of db (SetMaxOpenConns), and returns a Bulkhead of the same size. Calls through it find a
// connection without waiting for the pool, which no slot is lent for; they wait for the Bulkhead instead, with the slot lent:
//
//	limit, err := execsql.Limit(db, 10)
//	...
//	err = limit.Blocking(ctx, func() { rows, err2 = db.QueryContext(ctx, query) })
//
// Rows and transactions keep their connection until they are closed: close them inside the call, or use fewer of them
// at once than n. n must be at least 1.
func Limit(db *sql.DB, n int) (*executor.Bulkhead, error) {
	if db == nil {
		return nil, fmt.Errorf("execsql: Limit(nil, %d): must be a database", n)
	}
	if n < 1 {
		return nil, fmt.Errorf("execsql: Limit(db, %d): must be at least 1", n)
	}
	b, err := executor.NewBulkhead("database/sql", n)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(n)
	return b, nil
}
