package benchmarks

import (
	"testing"

	"runtime"

	"github.com/seed-97bda89a/executor/benchmarks/internal/meter"
	"github.com/seed-97bda89a/executor/benchmarks/internal/suite"
)

func BenchmarkSubmit(b *testing.B)     { group(b, "Submit") }
func BenchmarkSpawn(b *testing.B)      { group(b, "Spawn") }
func BenchmarkPingPong(b *testing.B)   { group(b, "PingPong") }
func BenchmarkEfficiency(b *testing.B) { group(b, "Efficiency") }
func BenchmarkFork(b *testing.B)       { group(b, "Fork") }
func BenchmarkFor(b *testing.B)        { group(b, "For") }
func BenchmarkBlocking(b *testing.B)   { group(b, "Blocking") }
func BenchmarkWaits(b *testing.B)      { group(b, "Waits") }
func BenchmarkCheckpoint(b *testing.B) { group(b, "Checkpoint") }
func BenchmarkTelemetry(b *testing.B)  { group(b, "Telemetry") }
func BenchmarkLanes(b *testing.B)      { group(b, "Lanes") }
func BenchmarkTail(b *testing.B)       { group(b, "Tail") }
func BenchmarkOverload(b *testing.B)   { group(b, "Overload") }
func BenchmarkOrdered(b *testing.B)    { group(b, "Ordered") }
func BenchmarkService(b *testing.B)    { group(b, "Service") }
func BenchmarkScale(b *testing.B)      { group(b, "Scale") }
func BenchmarkIdle(b *testing.B)       { group(b, "Idle") }
func BenchmarkMemory(b *testing.B)     { group(b, "Memory") }
func BenchmarkSort(b *testing.B)       { group(b, "Sort") }
func BenchmarkWork(b *testing.B)       { group(b, "Work") }
func BenchmarkTree(b *testing.B)       { group(b, "Tree") }
func BenchmarkStream(b *testing.B)     { group(b, "Stream") }
func BenchmarkPipeline(b *testing.B)   { group(b, "Pipeline") }
func BenchmarkStart(b *testing.B)      { group(b, "Start") }

// groups are the functions above, and BenchmarkCrawl.
var groups = []string{
	"Submit", "Spawn", "PingPong", "Efficiency", "Fork", "For", "Blocking", "Waits", "Checkpoint", "Telemetry", "Lanes",
	"Tail", "Overload", "Ordered", "Service", "Scale", "Idle", "Memory", "Sort", "Work", "Tree",
	"Stream", "Pipeline", "Start", "Crawl",
}

// group runs every entry of every row of a group as a sub-benchmark. With
// -short, samples of a fixed size are small ones.
func group(b *testing.B, name string) {
	for _, r := range suite.All() {
		if r.Group != name {
			continue
		}
		b.Run(r.Scenario, func(b *testing.B) {
			if r.Setup != nil {
				teardown, err := r.Setup(testing.Short())
				if err != nil {
					b.Fatal(err)
				}
				defer teardown()
			}
			for _, e := range r.Entries {
				if e.Run != nil {
					b.Run("pool="+e.Name, func(b *testing.B) { entry(b, r, e) })
				}
			}
		})
	}
}

// entry runs one contender. A row whose sample is a whole is repeated as it is;
// its numbers are the medians of the repetitions.
func entry(b *testing.B, r suite.Row, e suite.Entry) {
	b.ReportAllocs()
	b.StopTimer() // the meter starts it around what counts
	if !r.Whole {
		report(b, []meter.Sample{sample(b, e, b.N)})
		return
	}
	var samples []meter.Sample
	for range b.N {
		samples = append(samples, sample(b, e, r.SizeFor(testing.Short())))
	}
	report(b, samples)
}

func sample(b *testing.B, e suite.Entry, n int) meter.Sample {
	m := &meter.Meter{N: n, Slots: runtime.GOMAXPROCS(0), Quick: testing.Short()}
	m.OnBracket(b.StartTimer, b.StopTimer)
	if err := e.Run(m); err != nil {
		b.Fatal(err)
	}
	return m.Sample()
}

func report(b *testing.B, samples []meter.Sample) {
	for _, v := range samples[0].Values {
		var all []float64
		for _, s := range samples {
			if x, ok := s.Get(v.Unit); ok {
				all = append(all, x)
			}
		}
		b.ReportMetric(meter.Median(all), v.Unit)
	}
}
