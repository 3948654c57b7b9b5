// Package sqlitetest tries execsql with two real drivers: SQLite in C and SQLite in Go. It is a module of its own, so that the
// library requires neither.
package sqlitetest
