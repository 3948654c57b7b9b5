package main

import "runtime/metrics"

// threads is how many threads this process has, as far as Go has started them.
func threads() int {
	sample := []metrics.Sample{{Name: "/sched/threads/total:threads"}}
	metrics.Read(sample)
	return int(sample[0].Value.Uint64())
}
