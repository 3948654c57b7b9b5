package debugpage

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
)

func TestPage_NumbersReadWell(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1: "0"} {
		require.Equal(t, want, numberText(n))
	}
	for n, want := range map[float64]string{0.4: "0", 1234: "1,234", 12345: "12.3 k", 123456: "123 k", 1234567: "1.23 M", 2.5e9: "2.50 G"} {
		require.Equal(t, want, countText(n))
	}
	for d, want := range map[time.Duration]string{
		0: "0 ns", 850: "850 ns", 1500: "1.5 µs", 12 * time.Millisecond: "12 ms", 2 * time.Second: "2 s", 90 * time.Second: "90 s",
		3*time.Minute + 4*time.Second: "3 min 4 s", 26 * time.Hour: "26 h 0 min", 72 * time.Hour: "3 d",
	} {
		require.Equal(t, want, durationText(d))
	}
}

// Mutant: the line starts at the left edge. Mutant: a division by the zero that is the highest value.
func TestPage_SparklinesEndNow(t *testing.T) {
	require.Empty(t, sparklines([]float64{1}, 1))
	require.Equal(t, []string{"228,43.0 232,22.5 236,2.0"}, sparklines([]float64{0, 1, 2}, 2))
	require.Equal(t, []string{"232,43.0 236,43.0"}, sparklines([]float64{0, 0}, 0))
	gap := []float64{1, 1, math.NaN(), 1, math.NaN(), 1, 1}
	require.Equal(t, []string{"212,2.0 216,2.0", "232,2.0 236,2.0"}, sparklines(gap, 1), "a value alone is no line")
	full := sparklines(make([]float64, historyLength), 1)[0]
	require.True(t, strings.HasPrefix(full, "0,"))
	require.Equal(t, historyLength, len(strings.Fields(full)))
}

// Mutant: the history is not bounded.
func TestPage_HistoryIsBounded(t *testing.T) {
	e, err := executor.New(executor.WithSlots(2))
	require.NoError(t, err)
	defer func() { require.NoError(t, e.Close()) }()
	var o observer
	p := e.Report()
	o.start(&p)
	var d State
	for range 3 * historyLength {
		p := e.Report()
		d = o.look(&p)
	}
	require.Len(t, d.History, historyLength)
	require.Len(t, o.counts, historyLength)
	require.Len(t, o.names, historyLength)
}
