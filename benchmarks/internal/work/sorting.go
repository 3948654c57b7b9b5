package work

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// SortCutoff is where the parallel sorts hand over to the standard library:
// small enough for thousands of tasks, big enough to be worth one.
const SortCutoff = 4096

// Ints returns n random numbers, the same every time.
func Ints(n int) []int {
	r := rand.New(rand.NewPCG(1, 2))
	out := make([]int, n)
	for i := range out {
		out[i] = int(r.Uint64() >> 1)
	}
	return out
}

// CheckSorted reports whether out is in sorted, with the elements of in: the
// order is looked at, the elements by a sum that does not depend on it.
func CheckSorted(in, out []int) error {
	if !slices.IsSorted(out) {
		return fmt.Errorf("the result is not in order")
	}
	if len(in) != len(out) || fingerprint(in) != fingerprint(out) {
		return fmt.Errorf("the result has other elements than the input")
	}
	return nil
}

func fingerprint(values []int) uint64 {
	sum := uint64(0)
	for _, v := range values {
		h := uint64(v) * 0x9e3779b97f4a7c15
		sum += h ^ h>>29
	}
	return sum
}

// Partition splits s, which must have at least three elements, into two parts
// that can be sorted apart. Both parts are smaller than s.
func Partition(s []int) (left, right []int) {
	pivot := medianOfThree(s[0], s[len(s)/2], s[len(s)-1])
	i, j := 0, len(s)-1
	for i <= j {
		for s[i] < pivot {
			i++
		}
		for s[j] > pivot {
			j--
		}
		if i <= j {
			s[i], s[j] = s[j], s[i]
			i++
			j--
		}
	}
	return s[:j+1], s[i:]
}

func medianOfThree(a, b, c int) int { return max(min(a, b), min(max(a, b), c)) }

// Merge merges two sorted halves into out.
func Merge(out, left, right []int) {
	for k := range out {
		if len(right) == 0 || (len(left) > 0 && left[0] <= right[0]) {
			out[k], left = left[0], left[1:]
		} else {
			out[k], right = right[0], right[1:]
		}
	}
}
