package jobs

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
)

// Inbox makes the effects of jobs exactly-once, if they are changes in one SQL database: the note that a job was done commits in the same
// transaction as its effects. It knows databases with INSERT ... ON CONFLICT DO NOTHING: SQLite, PostgreSQL and those that speak like it.
type Inbox struct {
	// Table is the name of its table: letters, digits and _. The default is "executor_inbox". Create makes it.
	Table string
}

// Execer is what a *sql.Tx, a *sql.DB and a *sql.Conn have in common.
type Execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

func (b Inbox) table() (string, error) {
	if b.Table == "" {
		return "executor_inbox", nil
	}
	for _, c := range b.Table {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' {
			return "", fmt.Errorf("jobs: Inbox: table %q: only letters, digits and _", b.Table)
		}
	}
	return b.Table, nil
}

// Create makes the table if it is not there.
func (b Inbox) Create(ctx context.Context, db Execer) error {
	name, err := b.table()
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS "+name+" (job VARCHAR(64) NOT NULL PRIMARY KEY, seen TIMESTAMP DEFAULT CURRENT_TIMESTAMP)")
	return err
}

// First notes in tx that the job of ctx is done, and reports whether it was not done before. If it is false, roll back and
// return nil. If it is true, make the changes in tx and commit: with the note they are there or not, together.
//
// Rows may be deleted when the queue can not hold their jobs any more: after its longest retention.
func (b Inbox) First(ctx context.Context, tx Execer) (bool, error) {
	name, err := b.table()
	if err != nil {
		return false, err
	}
	info, ok := InfoOf(ctx)
	if !ok || info.Ref == "" {
		return false, errors.New("jobs: Inbox.First: ctx belongs to no job")
	}
	// Written out as hexadecimal digits: databases do not agree on what a placeholder looks like.
	sum := sha256.Sum256([]byte(info.Ref))
	r, err := tx.ExecContext(ctx, "INSERT INTO "+name+" (job) VALUES ('"+hex.EncodeToString(sum[:])+"') ON CONFLICT DO NOTHING")
	if err != nil {
		return false, err
	}
	n, err := r.RowsAffected()
	return n == 1, err
}
