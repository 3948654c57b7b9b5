// Package benchmarks compares package executor with the pools, groups and
// idioms that Go programs use today. It is a module of its own, so that none of
// them is a dependency of the library.
//
// As Go benchmarks, from the root of the repository:
//
//	go test -run '^$' -bench . ./benchmarks/
//	go test -run '^$' -bench 'Submit/outside=1' -count 10 ./benchmarks/ | benchstat -col /pool -
//
// Contenders run one after the other there. For numbers to quote, use the
// runner, which alternates them round by round and judges the goals:
//
//	go run ./benchmarks/cmd/compare -out DIR
package benchmarks
