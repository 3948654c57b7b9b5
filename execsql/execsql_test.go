package execsql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"testing"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
)

// script uses all of database/sql that reaches a driver, and returns what it was answered.
func script(t *testing.T, db *sql.DB) []string {
	t.Helper()
	ctx := t.Context()
	var told []string
	tell := func(what string, args ...any) { told = append(told, fmt.Sprint(what, ": ", fmt.Sprintln(args...))) }
	all := func(what string, rows *sql.Rows, err error) {
		if err != nil {
			tell(what, err)
			return
		}
		types, err := rows.ColumnTypes()
		for _, ct := range types {
			length, hasLength := ct.Length()
			nullable, hasNullable := ct.Nullable()
			precision, scale, hasScale := ct.DecimalSize()
			tell(what, ct.Name(), ct.DatabaseTypeName(), ct.ScanType(), length, hasLength, nullable, hasNullable, precision, scale, hasScale, err)
		}
		for {
			for rows.Next() {
				var a, b any
				err := rows.Scan(&a, &b)
				tell(what, a, b, err)
			}
			if !rows.NextResultSet() {
				break
			}
			tell(what, "next set")
		}
		tell(what, rows.Err(), rows.Close())
	}
	tell("ping", db.PingContext(ctx))
	for _, args := range [][]any{{1}, {"skip"}, {sql.Named("n", 2)}, {struct{ odd int }{1}}} {
		for _, query := range []string{"q", "skip q"} {
			res, err := db.ExecContext(ctx, query, args...)
			tell("exec", res != nil, err)
			rows, err := db.QueryContext(ctx, query, args...)
			all("query", rows, err)
		}
		s, err := db.PrepareContext(ctx, "p")
		if err != nil {
			tell("prepare", err)
			continue
		}
		res, err := s.ExecContext(ctx, args...)
		tell("stmt exec", res != nil, err)
		rows, err := s.QueryContext(ctx, args...)
		all("stmt query", rows, err)
		tell("close", s.Close())
	}
	for _, opts := range []*sql.TxOptions{nil, {Isolation: sql.LevelSerializable}, {ReadOnly: true}} {
		tx, err := db.BeginTx(ctx, opts)
		tell("begin", err)
		if err != nil {
			continue
		}
		_, err = tx.ExecContext(ctx, "in tx")
		tell("in tx", err, tx.Commit(), tx.Rollback())
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, err := db.ExecContext(ended, "q")
	tell("canceled", err)
	tell("close", db.Close())
	return told
}

// TestEveryDriverWorksAsBefore compares what a driver is asked, and what the program is answered, with and without this package.
func TestEveryDriverWorksAsBefore(t *testing.T) {
	for _, conn := range []string{"bare", "old", "full"} {
		for _, stmt := range []string{"bare", "old", "full"} {
			for _, rows := range []string{"bare", "full"} {
				for _, closes := range []bool{false, true} {
					t.Run(fmt.Sprintf("conn=%s,stmt=%s,rows=%s,closes=%v", conn, stmt, rows, closes), func(t *testing.T) {
						run := func(wrap func(driver.Connector) driver.Connector) (calls, answers []string) {
							f := &fake{log: &log{}, conn: conn, stmt: stmt, rows: rows}
							var c driver.Connector = f
							if closes {
								c = closingFake{f}
							}
							answers = script(t, sql.OpenDB(wrap(c)))
							return f.log.lines, answers
						}
						calls, answers := run(func(c driver.Connector) driver.Connector { return c })
						wrappedCalls, wrappedAnswers := run(func(c driver.Connector) driver.Connector { return Connector(c) })
						require.Equal(t, answers, wrappedAnswers)
						require.Equal(t, calls, wrappedCalls)
					})
				}
			}
		}
	}
}

// TestEveryCallThatWaitsLendsTheSlot has one slot and no stall detection: a call of the driver ends only when another task has run.
// A call that is not marked would wait for ever.
func TestEveryCallThatWaitsLendsTheSlot(t *testing.T) {
	exec, err := executor.New(executor.WithSlots(1), executor.WithStallDetection(false))
	require.NoError(t, err)
	defer func() { require.NoError(t, exec.Close()) }()
	places, err := executor.NewBulkhead("test", 1)
	require.NoError(t, err)
	for _, opts := range [][]Option{nil, {WithBulkhead(places)}, {WithBulkhead(nil), nil}} {
		f := &fake{log: &log{}, conn: "full", stmt: "full", rows: "full"}
		f.log.wait = func(call string) {
			other := make(chan struct{})
			require.NoError(t, exec.Go(context.Background(), func(context.Context) { close(other) }))
			<-other
		}
		future, err := executor.Submit(t.Context(), exec, func(context.Context) ([]string, error) {
			return script(t, sql.OpenDB(Connector(f, opts...))), nil
		})
		require.NoError(t, err)
		told, err := future.Wait(t.Context())
		require.NoError(t, err)
		require.NotEmpty(t, told)
	}
}

// TestATransactionNeverWaitsForAPlace: whoever holds the only place waits for a lock that the transaction has.
func TestATransactionNeverWaitsForAPlace(t *testing.T) {
	places, err := executor.NewBulkhead("test", 1)
	require.NoError(t, err)
	f := &fake{log: &log{}, conn: "full", stmt: "full", rows: "full"}
	committed := make(chan struct{})
	waiting := make(chan struct{})
	f.log.wait = func(call string) {
		switch call {
		case "exec wants the lock []":
			close(waiting)
			<-committed
		case "commit":
			close(committed)
		}
	}
	db := sql.OpenDB(Connector(f, WithBulkhead(places)))
	tx, err := db.Begin()
	require.NoError(t, err)
	done := make(chan error)
	go func() {
		_, err := db.Exec("wants the lock")
		done <- err
	}()
	<-waiting
	_, err = tx.Exec("has the lock")
	require.NoError(t, err)
	require.NoError(t, tx.Commit())
	require.NoError(t, <-done)
	require.NoError(t, db.Close())
}

func TestDriver_OpensAsTheOneBelow(t *testing.T) {
	f := &fake{log: &log{}, conn: "full", stmt: "bare", rows: "bare"}
	name := fmt.Sprintf("execsql-test-%p", f) // a name can be used once in a process, and the test may run again
	sql.Register(name, Driver(f))
	db, err := sql.Open(name, "name")
	require.NoError(t, err)
	require.NoError(t, db.Ping())
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	require.NoError(t, conn.Raw(func(c any) error {
		require.IsType(t, &fullConn{}, c.(interface{ Unwrap() driver.Conn }).Unwrap())
		return nil
	}))
	require.NoError(t, conn.Close())
	require.NoError(t, db.Close())
	require.Panics(t, func() { Driver(nil) })
	require.Panics(t, func() { Connector(nil) })
}

func TestLimit(t *testing.T) {
	f := &fake{log: &log{}}
	db := sql.OpenDB(Connector(f))
	defer db.Close()
	b, err := Limit(db, 3)
	require.NoError(t, err)
	require.Equal(t, 3, db.Stats().MaxOpenConnections)
	require.NotNil(t, b)
	_, err = Limit(db, 0)
	require.EqualError(t, err, "execsql: Limit(db, 0): must be at least 1")
	_, err = Limit(nil, 1)
	require.Error(t, err)
}
