package execsql

import (
	"database/sql/driver"
	"io"
	"reflect"
)

// rows has every optional interface. What the rows below do not know is answered as database/sql assumes it then.
type rows struct{ driver.Rows }

func newRows(r driver.Rows, err error) (driver.Rows, error) {
	if err != nil || r == nil {
		return nil, err
	}
	return &rows{r}, nil
}

// Unwrap returns the driver's own rows.
func (r *rows) Unwrap() driver.Rows { return r.Rows }

func (r *rows) Next(dest []driver.Value) (err error) {
	wait(func() { err = r.Rows.Next(dest) })
	for i, value := range dest { // a column may be rows of its own
		if inner, ok := value.(driver.Rows); ok && err == nil {
			dest[i] = &rows{inner}
		}
	}
	return err
}

func (r *rows) Close() (err error) {
	wait(func() { err = r.Rows.Close() })
	return err
}

func (r *rows) HasNextResultSet() bool {
	next, ok := r.Rows.(driver.RowsNextResultSet)
	return ok && next.HasNextResultSet()
}

func (r *rows) NextResultSet() (err error) {
	next, ok := r.Rows.(driver.RowsNextResultSet)
	if !ok {
		return io.EOF
	}
	wait(func() { err = next.NextResultSet() })
	return err
}

func (r *rows) ColumnTypeScanType(index int) reflect.Type {
	if t, ok := r.Rows.(driver.RowsColumnTypeScanType); ok {
		return t.ColumnTypeScanType(index)
	}
	return reflect.TypeFor[any]()
}

func (r *rows) ColumnTypeDatabaseTypeName(index int) string {
	if t, ok := r.Rows.(driver.RowsColumnTypeDatabaseTypeName); ok {
		return t.ColumnTypeDatabaseTypeName(index)
	}
	return ""
}

func (r *rows) ColumnTypeLength(index int) (length int64, ok bool) {
	if t, has := r.Rows.(driver.RowsColumnTypeLength); has {
		return t.ColumnTypeLength(index)
	}
	return 0, false
}

func (r *rows) ColumnTypeNullable(index int) (nullable, ok bool) {
	if t, has := r.Rows.(driver.RowsColumnTypeNullable); has {
		return t.ColumnTypeNullable(index)
	}
	return false, false
}

func (r *rows) ColumnTypePrecisionScale(index int) (precision, scale int64, ok bool) {
	if t, has := r.Rows.(driver.RowsColumnTypePrecisionScale); has {
		return t.ColumnTypePrecisionScale(index)
	}
	return 0, 0, false
}
