// Package difftest runs the same programs on the packages below compat and on those that they stand for, and
// compares what can be seen from outside. It is a module of its own, so that no user of executor gets the peers.
package difftest
