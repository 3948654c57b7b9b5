//go:build cgo

package sqlitetest

import "github.com/mattn/go-sqlite3"

func init() { drivers["cgo"] = &sqlite3.SQLiteDriver{} }
