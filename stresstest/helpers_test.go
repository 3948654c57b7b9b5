package stresstest

import (
	"github.com/seed-97bda89a/executor/internal/cgotest"
	"github.com/seed-97bda89a/executor/internal/testkit"
	"github.com/seed-97bda89a/executor/internal/testkit/pools"
)

// What all rooms share, under the names that tests use here.
var (
	scaled   = testkit.Scaled
	within   = testkit.Within
	spin     = testkit.Spin
	needC    = cgotest.Need
	newBench = pools.ForBench
	child    = testkit.Child
	runChild = testkit.RunChild

	newExecutor = pools.New
	bare        = pools.Bare
	spared      = pools.Spared
	quiet       = pools.Quiet
	balanced    = pools.Balanced
	alive       = pools.Alive
)

const guard = testkit.Guard

type peak = testkit.Peak
