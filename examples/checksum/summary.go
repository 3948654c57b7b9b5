package main

import (
	"time"

	"github.com/seed-97bda89a/executor"
)

// summary is what is said at the end.
type summary struct {
	start, end time.Time
	files      int
	failed     int // files and directories without a sum
	bytes      int64
	crc        uint32 // CRC-32C of the contents of all files printed, one after the other
	stats      executor.Stats
}

// add counts the next file of the list.
func (t *summary) add(s sum) {
	t.files++
	t.bytes += s.size
	t.crc = crc32cJoin(t.crc, s.crc, s.size)
}

func (t *summary) print(s *screen) {
	elapsed := t.end.Sub(t.start).Seconds()
	rate := 0.0
	if elapsed > 0 {
		rate = float64(t.bytes) / 1e6 / elapsed
	}
	s.printf("%d files, %d bytes in %.2f s, %.1f MB/s, %d not read", t.files, t.bytes, elapsed, rate, t.failed)
	s.printf("crc32c %08x of their contents in this order (%s)", t.crc, crc32cBy)
	s.printf("slots %d, steals %d, hand-offs %d, spares %d",
		t.stats.Slots, t.stats.Stolen, t.stats.Handoffs, t.stats.Spares)
}
