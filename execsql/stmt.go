//lint:file-ignore SA1019 drivers that have only what is deprecated must go on working

package execsql

import (
	"context"
	"database/sql/driver"
)

// stmt has every optional interface but ColumnConverter, without which database/sql converts arguments in another way.
type stmt struct {
	driver.Stmt
	conn *conn
}

// convertingStmt is a stmt that has it.
type convertingStmt struct {
	*stmt
	columns driver.ColumnConverter
}

func (s convertingStmt) ColumnConverter(i int) driver.ValueConverter {
	return s.columns.ColumnConverter(i)
}

var _ driver.ColumnConverter = convertingStmt{}

func newStmt(s driver.Stmt, c *conn) driver.Stmt {
	wrapped := &stmt{s, c}
	if cc, ok := s.(driver.ColumnConverter); ok {
		return convertingStmt{wrapped, cc}
	}
	return wrapped
}

// Unwrap returns the driver's own statement.
func (s *stmt) Unwrap() driver.Stmt { return s.Stmt }

func (s *stmt) Close() (err error) {
	wait(func() { err = s.Stmt.Close() })
	return err
}

func (s *stmt) Exec(args []driver.Value) (res driver.Result, err error) {
	wait(func() { res, err = s.Stmt.Exec(args) })
	return res, err
}

func (s *stmt) Query(args []driver.Value) (r driver.Rows, err error) {
	wait(func() { r, err = s.Stmt.Query(args) })
	return newRows(r, err)
}

func (s *stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (res driver.Result, err error) {
	e := s.conn.start(ctx, func() {
		if x, ok := s.Stmt.(driver.StmtExecContext); ok {
			res, err = x.ExecContext(ctx, args)
			return
		}
		var values []driver.Value
		if values, err = valuesOf(ctx, args); err == nil {
			res, err = s.Stmt.Exec(values)
		}
	})
	if e != nil {
		return nil, e
	}
	return res, err
}

func (s *stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (r driver.Rows, err error) {
	e := s.conn.start(ctx, func() {
		if x, ok := s.Stmt.(driver.StmtQueryContext); ok {
			r, err = x.QueryContext(ctx, args)
			return
		}
		var values []driver.Value
		if values, err = valuesOf(ctx, args); err == nil {
			r, err = s.Stmt.Query(values)
		}
	})
	if e != nil {
		return nil, e
	}
	return newRows(r, err)
}

// CheckNamedValue asks the statement, else the connection, as database/sql does.
func (s *stmt) CheckNamedValue(v *driver.NamedValue) error {
	if checker, ok := s.Stmt.(driver.NamedValueChecker); ok {
		return checker.CheckNamedValue(v)
	}
	return s.conn.CheckNamedValue(v)
}
