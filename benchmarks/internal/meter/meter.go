// Package meter measures one sample of a benchmark: time, allocations and
// voluntary context switches, each per operation.
package meter

import (
	"runtime"
	"time"
)

// Units that every sample has. NsPerOp comes from the clock unless the
// benchmark sets it itself.
const (
	NsPerOp     = "ns/op"
	BytesPerOp  = "B/op"
	AllocsPerOp = "allocs/op"
	// SwitchesPerOp counts how often a thread of the process went to sleep.
	// Wake-ups are what a scheduler pays for most, so it stands beside every
	// throughput number. It is 0 where the system does not count.
	SwitchesPerOp = "vcsw/op"
)

// A Value is one measured number.
type Value struct {
	Unit string
	V    float64
}

// A Sample is the outcome of one run of one contender.
type Sample struct {
	Ops    int
	Values []Value // in the order in which they were set
}

// Get returns the value with the given unit.
func (s Sample) Get(unit string) (float64, bool) {
	for _, v := range s.Values {
		if v.Unit == unit {
			return v.V, true
		}
	}
	return 0, false
}

// A Meter is handed to a benchmark, which brackets the part that counts with
// Start and Stop. Several brackets add up.
type Meter struct {
	N     int  // operations asked for
	Slots int  // tasks that may run at once
	Quick bool // a sample may be small

	ops    int
	begun  reading
	total  reading
	own    []Value
	before func() // called by Start, outside the measured part
	after  func() // called by Stop, outside the measured part
}

// OnBracket sets functions to call just before a measured part begins and
// just after it ends. The testing package's timer is driven by them.
func (m *Meter) OnBracket(before, after func()) { m.before, m.after = before, after }

// Start begins the measured part.
func (m *Meter) Start() {
	if m.before != nil {
		m.before()
	}
	m.begun = readCosts()
	m.begun.at = time.Now()
}

// Stop ends the measured part.
func (m *Meter) Stop() {
	took := time.Since(m.begun.at)
	now := readCosts()
	m.total.took += took
	m.total.mallocs += now.mallocs - m.begun.mallocs
	m.total.bytes += now.bytes - m.begun.bytes
	m.total.switches += now.switches - m.begun.switches
	m.total.cpu += now.cpu - m.begun.cpu
	if m.after != nil {
		m.after()
	}
}

// Ops says how many operations the measured parts did in all, where that is
// not N.
func (m *Meter) Ops(n int) { m.ops += n }

// Set records a number that the benchmark computed itself. It replaces what
// the meter would say in that unit.
func (m *Meter) Set(unit string, v float64) {
	for i := range m.own {
		if m.own[i].Unit == unit {
			m.own[i].V = v
			return
		}
	}
	m.own = append(m.own, Value{unit, v})
}

// Elapsed is the length of the measured parts so far.
func (m *Meter) Elapsed() time.Duration { return m.total.took }

// CPU is the processor time that the process used in the measured parts.
func (m *Meter) CPU() time.Duration { return m.total.cpu }

// Switches is the number of voluntary context switches in the measured parts.
func (m *Meter) Switches() int64 { return m.total.switches }

// OpsDone is the number of operations that everything is divided by.
func (m *Meter) OpsDone() int {
	if m.ops != 0 {
		return m.ops
	}
	return max(m.N, 1)
}

// Sample returns everything that was measured.
func (m *Meter) Sample() Sample {
	ops := m.OpsDone()
	per := func(x float64) float64 { return x / float64(ops) }
	values := []Value{
		{NsPerOp, per(float64(m.total.took.Nanoseconds()))},
		{BytesPerOp, per(float64(m.total.bytes))},
		{AllocsPerOp, per(float64(m.total.mallocs))},
		{SwitchesPerOp, per(float64(m.total.switches))},
	}
	for _, own := range m.own {
		values = set(values, own)
	}
	return Sample{Ops: ops, Values: values}
}

func set(values []Value, v Value) []Value {
	for i := range values {
		if values[i].Unit == v.Unit {
			values[i] = v
			return values
		}
	}
	return append(values, v)
}

// reading is what the process has used so far, or a difference of two.
type reading struct {
	at       time.Time
	took     time.Duration
	mallocs  uint64
	bytes    uint64
	switches int64
	cpu      time.Duration
}

func readCosts() reading {
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	switches, cpu := usage()
	return reading{mallocs: mem.Mallocs, bytes: mem.TotalAlloc, switches: switches, cpu: cpu}
}
