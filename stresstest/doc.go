// Package stresstest has the tests of package executor that take long, or that need root, real cgroups, threads or
// C: see docs/TESTING.md. They use the executor as any user does.
//
//	cd stresstest && GOWORK=off go test ./...
package stresstest
