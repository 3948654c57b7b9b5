// Package lincheck checks that the injector and the deque of package executor are linearizable: for what goroutines
// were answered that used them at once, there must be an order, in keeping with time, in which one goroutine alone
// would have been answered the same. It has tests only:
//
//	cd internal/lincheck && go test
//
// The answers come from TestHistories_Record in the root, which runs on the real types; see there for why.
package lincheck
