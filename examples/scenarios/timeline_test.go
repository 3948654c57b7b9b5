package main

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// kinds are what the spans of a lane show, by name.
func kinds(p picture, lane int) []string {
	var names []string
	for _, s := range p.lanes[lane] {
		switch s.kind {
		case blocked:
			names = append(names, "blocked")
		case idle:
			names = append(names, "idle")
		default:
			names = append(names, p.labels[s.kind])
		}
	}
	return names
}

func TestTimeline_InnerSpansInterruptOuterOnes(t *testing.T) {
	tl := newTimeline()
	pause := func() { time.Sleep(time.Millisecond) }
	tl.run("outer", func() {
		pause()
		tl.block(pause)
		tl.run("inner", pause)
		tl.rest(pause)
		pause()
	})
	p := tl.end()
	// Between two calls there is a moment of the outer one.
	p.lanes[0] = slices.DeleteFunc(p.lanes[0], func(s span) bool { return s.end-s.begin < time.Millisecond })
	require.Equal(t, []string{"outer", "blocked", "inner", "idle", "outer"}, kinds(p, 0))
	lane := p.lanes[0]
	for i := range lane[1:] {
		require.LessOrEqual(t, lane[i].end, lane[i+1].begin)
	}
	require.GreaterOrEqual(t, p.working(), 3*time.Millisecond)
	require.LessOrEqual(t, p.working(), p.took-2*time.Millisecond)
	require.Equal(t, p.took, tl.end().took, "it has ended")
}

func TestTimeline_ShortSpansMerge(t *testing.T) {
	tl := newTimeline()
	for range 10_000 {
		tl.run("short", func() {})
	}
	require.Less(t, len(tl.end().lanes[0]), 1000)
}

func TestTimeline_AGoroutineIsARow(t *testing.T) {
	tl := newTimeline()
	var all, met sync.WaitGroup
	met.Add(3)
	for range 3 {
		all.Go(func() {
			tl.run("together", func() {
				met.Done()
				met.Wait()
			})
		})
	}
	all.Wait()
	require.Len(t, tl.end().lanes, 3)

	tl = newTimeline()
	for range 3 {
		all.Go(func() { tl.run("one after the other", func() {}) })
		all.Wait()
	}
	require.Len(t, tl.end().lanes, 1, "goroutines that never met share a lane")
}

func TestTimeline_AWorkerWithoutTasksHasARow(t *testing.T) {
	tl := newTimeline()
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() { tl.worker(func() {}) })
	}
	all.Wait()
	p := tl.end()
	require.NotEmpty(t, p.lanes)
	require.Equal(t, []string{"idle"}, kinds(p, 0)[:1])
	require.Zero(t, p.utilization(3))
}

func TestTimeline_BeginForgets(t *testing.T) {
	tl := newTimeline()
	tl.run("before", func() {})
	tl.begin()
	tl.run("after", func() {})
	p := tl.end()
	require.Len(t, p.lanes, 1)
	require.Equal(t, []string{"after"}, kinds(p, 0))
}

func TestRaster_ShowsWhatTookMost(t *testing.T) {
	const whole = cells * 10
	row := raster([]span{{kind: 0, begin: 0, end: 15}, {kind: 1, begin: 15, end: 20}, {kind: blocked, begin: 21, end: 29}, {kind: 2, begin: 41, end: 42}}, whole)
	require.Equal(t, cell{0, 4}, row[0])
	require.Equal(t, 4, row[1].shade)
	require.Equal(t, cell{blocked, 4}, row[2])
	require.Equal(t, nothing, row[3])
	require.Equal(t, cell{2, 1}, row[4], "short, but there")
	require.Equal(t, nothing, row[cells-1])
}

func TestSVG_HasABoundedSize(t *testing.T) {
	tl := newTimeline()
	p := tl.end()
	p.labels, p.took = []string{"a", "b"}, time.Second
	for range 100 {
		var lane []span
		for at := time.Duration(0); at < time.Second; at += 100 * time.Microsecond {
			lane = append(lane, span{int(at/100_000) % 2, at, at + 90*time.Microsecond})
		}
		p.lanes = append(p.lanes, lane)
	}
	drawing := p.svg("a <title>", time.Second)
	require.Less(t, len(drawing), 200_000)
	require.Equal(t, maxLanes, strings.Count(drawing, `class="lane"`))
	require.Contains(t, drawing, "a &lt;title&gt;")
}

func TestRoundStep_LeadsToFewTicks(t *testing.T) {
	for _, whole := range []time.Duration{time.Nanosecond, 999 * time.Microsecond, time.Second, 1234567890, time.Minute} {
		step := roundStep(whole)
		require.LessOrEqual(t, whole/step, time.Duration(8))
		require.Positive(t, step)
	}
}

// Both sides give one label one colour.
func TestRelabel(t *testing.T) {
	labels := []string{"x", "y"}
	p := picture{labels: []string{"y", "z"}, lanes: [][]span{{{0, 0, 1}, {1, 1, 2}, {blocked, 2, 3}}}}
	p = p.relabel(&labels)
	require.Equal(t, []string{"x", "y", "z"}, labels)
	require.Equal(t, [][]span{{{1, 0, 1}, {2, 1, 2}, {blocked, 2, 3}}}, p.lanes)
}
