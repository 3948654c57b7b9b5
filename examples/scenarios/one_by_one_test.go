package main

import "testing"

func TestOneByOne_BatchesNeedTheLockLess(t *testing.T) {
	requireShorterLockWaits(t, oneByOne, 1.5)
}
