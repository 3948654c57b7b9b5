package suite

import (
	"time"

	"github.com/seed-97bda89a/executor/benchmarks/internal/work"
)

// All returns every row, in the order in which they are run and shown.
func All() []Row {
	return []Row{
		outside(1, []Goal{atMostTimes(0.9, "channel"), noAllocs()}),
		outside(4, []Goal{atMostTimes(0.9, "channel"), noAllocs()}),
		children(),
		pingPong(),
		efficiency(time.Microsecond, 0.94),
		efficiency(10*time.Microsecond, 0.98),
		fib(),
		skynet(),
		queens(),
		evenLoop(),
		unevenLoop(),
		blockingIdle(),
		blockingShort(),
		blockingUnknown(),
		markedWaits(),
		unmarkedWaits(),
		checkpoints(),
		telemetry(),
		oneLane(),
		tail(),
		overload(),
		ordered(),
		streams(),
		stages(),
		crawl(),
		service(),
		scaleOutside(),
		scaleChildren(),
		idle(),
		startAndEnd(),
		queuedTask(),
		orderedMemory(),
		parkedWaiter(),
		idleExecutor(),
		quickSortRow(),
		mergeSortRow(),
		matrix(),
		mandelbrot(),
		treeSearch(work.T1, work.SmallT1, "geometric tree"),
		treeSearch(work.T3, work.SmallT3, "binomial tree"),
		documents(),
		files(),
		deepStacks(),
	}
}
