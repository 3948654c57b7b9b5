package sqlitetest

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/execsql"
	"github.com/stretchr/testify/require"
	"modernc.org/sqlite"
)

var drivers = map[string]driver.Driver{"go": &sqlite.Driver{}}

// each runs test with each driver, on two slots and a new database with a thousand rows.
func each(t *testing.T, test func(t *testing.T, exec *executor.Executor, db *sql.DB), opts ...execsql.Option) {
	for name, d := range drivers {
		t.Run(name, func(t *testing.T) {
			exec, err := executor.New(executor.WithSlots(2), executor.WithStallDetection(false))
			require.NoError(t, err)
			wrapped := execsql.Driver(d, opts...)
			c, err := wrapped.(driver.DriverContext).OpenConnector(filepath.Join(t.TempDir(), "test.db"))
			require.NoError(t, err)
			db := sql.OpenDB(c)
			_, err = db.Exec("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)")
			require.NoError(t, err)
			tx, err := db.Begin()
			require.NoError(t, err)
			insert, err := tx.Prepare("INSERT INTO t (id, name) VALUES (?, ?)")
			require.NoError(t, err)
			for i := range 1000 {
				_, err = insert.Exec(i, "row")
				require.NoError(t, err)
			}
			require.NoError(t, insert.Close())
			require.NoError(t, tx.Commit())
			test(t, exec, db)
			require.NoError(t, exec.Shutdown(t.Context()))
			require.NoError(t, db.Close())
			stats := exec.Stats()
			require.Equal(t, stats.Submitted, stats.Completed)
		})
	}
}

func TestAThousandQueriesAtOnce(t *testing.T) {
	each(t, func(t *testing.T, exec *executor.Executor, db *sql.DB) {
		limit, err := execsql.Limit(db, 10)
		require.NoError(t, err)
		group := exec.NewGroup(t.Context())
		var sum atomic.Int64
		for i := range 1000 {
			group.Go(func(ctx context.Context) (err error) {
				var id int64
				if e := limit.Blocking(ctx, func() {
					err = db.QueryRowContext(ctx, "SELECT id FROM t WHERE id = ?", i).Scan(&id)
				}); e != nil {
					return e
				}
				sum.Add(id)
				return err
			})
		}
		require.NoError(t, group.Wait())
		require.EqualValues(t, 999*1000/2, sum.Load())
		require.Zero(t, db.Stats().WaitCount, "nobody waited for the pool, where no slot is lent")
	})
}

// TestWithoutLimitThePoolIsWaitedForWithTheSlot shows why there is Limit.
func TestWithoutLimitThePoolIsWaitedForWithTheSlot(t *testing.T) {
	each(t, func(t *testing.T, exec *executor.Executor, db *sql.DB) {
		db.SetMaxOpenConns(1)
		only, err := db.Conn(t.Context())
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		group := exec.NewGroup(ctx)
		var entered atomic.Int64
		for range 2 { // both slots
			group.Go(func(ctx context.Context) error {
				entered.Add(1)
				return db.PingContext(ctx)
			})
		}
		for db.Stats().WaitCount < 2 {
			time.Sleep(time.Millisecond)
		}
		require.EqualValues(t, 2, entered.Load())
		require.Zero(t, exec.Stats().Lendable)
		cancel()
		require.ErrorIs(t, group.Wait(), context.Canceled)
		require.NoError(t, only.Close())
	})
}

func TestTransactions(t *testing.T) {
	places, err := executor.NewBulkhead("sqlite", 2)
	require.NoError(t, err)
	each(t, func(t *testing.T, exec *executor.Executor, db *sql.DB) {
		db.SetMaxOpenConns(1) // SQLite has one writer
		group := exec.NewGroup(t.Context())
		group.SetLimit(1)
		for range 50 {
			group.Go(func(ctx context.Context) error {
				tx, err := db.BeginTx(ctx, nil)
				if err != nil {
					return err
				}
				if _, err := tx.ExecContext(ctx, "UPDATE t SET name = name || 'x' WHERE id = 1"); err != nil {
					_ = tx.Rollback()
					return err
				}
				return tx.Commit()
			})
		}
		require.NoError(t, group.Wait())
		var name string
		require.NoError(t, db.QueryRow("SELECT name FROM t WHERE id = 1").Scan(&name))
		require.Len(t, name, len("row")+50)
	}, execsql.WithBulkhead(places))
}

func TestRowsReadSlowlyHoldNobodyUp(t *testing.T) {
	each(t, func(t *testing.T, exec *executor.Executor, db *sql.DB) {
		group := exec.NewGroup(t.Context())
		for range 2 { // both slots
			group.Go(func(ctx context.Context) error {
				rows, err := db.QueryContext(ctx, "SELECT id FROM t")
				if err != nil {
					return err
				}
				defer rows.Close()
				n := 0
				for ; rows.Next(); n++ {
					if n%100 == 0 { // another task runs between two rows
						other, err := executor.Submit(ctx, exec, func(context.Context) (int, error) { return n, nil })
						if err != nil {
							return err
						}
						if _, err := other.Wait(ctx); err != nil {
							return err
						}
					}
				}
				require.Equal(t, 1000, n)
				return rows.Err()
			})
		}
		require.NoError(t, group.Wait())
	})
}

func TestCancelingAQueryEndsIt(t *testing.T) {
	each(t, func(t *testing.T, exec *executor.Executor, db *sql.DB) {
		ctx, cancel := context.WithCancel(t.Context())
		begun := make(chan struct{})
		future, err := executor.Submit(t.Context(), exec, func(context.Context) (n int64, err error) {
			close(begun)
			err = db.QueryRowContext(ctx, "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT count(*) FROM c").Scan(&n)
			return n, err // without an end, but for ctx
		})
		require.NoError(t, err)
		<-begun
		other, err := executor.Submit(t.Context(), exec, func(context.Context) (int, error) { return 1, nil })
		require.NoError(t, err)
		_, err = other.Wait(t.Context())
		require.NoError(t, err)
		cancel()
		_, err = future.Wait(t.Context())
		require.Error(t, err)
	})
}
