// Package proof kills, stops and cuts off the processes of a cluster of jobs, and counts effects. It has tests only, and is a module of
// its own for what they need: a server, and a database.
//
//	EXECUTOR_CLUSTER_PROOF=10m go test -timeout 30m -run TestProof -v .
//
// Without the variable the same runs for some seconds.
package proof
