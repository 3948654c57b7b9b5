package meter

import (
	"math"
	"slices"
)

// Median returns the middle value, or the mean of the two middle ones. It is
// NaN for no values.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	mid := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[mid]
	}
	return (sorted[mid-1] + sorted[mid]) / 2
}

// Spread returns half the distance between the quartiles as a share of the
// median: how far a typical round is off.
func Spread(values []float64) float64 {
	mid := Median(values)
	if len(values) < 2 || mid == 0 || math.IsNaN(mid) {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return (Quantile(sorted, 0.75) - Quantile(sorted, 0.25)) / 2 / math.Abs(mid)
}

// Quantile returns the value below which a share q of the sorted values lies,
// interpolated between neighbours. It is NaN for no values.
func Quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	at := q * float64(len(sorted)-1)
	low := int(math.Floor(at))
	high := int(math.Ceil(at))
	return sorted[low] + (at-float64(low))*(sorted[high]-sorted[low])
}

// PairedRatios divides a by b round by round: two contenders that ran in the
// same round met the same noise, so their ratio is steadier than either time.
// A round that one of them lacks, or where b is 0, is left out.
func PairedRatios(a, b []float64) []float64 {
	var out []float64
	for i := range min(len(a), len(b)) {
		if b[i] != 0 && !math.IsNaN(a[i]) && !math.IsNaN(b[i]) {
			out = append(out, a[i]/b[i])
		}
	}
	return out
}
