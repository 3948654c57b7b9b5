// Package iter has the API of github.com/sourcegraph/conc/iter, name for name. Its loops run on the executor that
// conc.Use has bound, or on goroutines. What is next: [executor.For] and [executor.Map], which take a context, choose
// their own grain and need no limit.
package iter

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/seed-97bda89a/executor/compat/conc"
)

// Iterator is a loop over a slice. It may be used from any goroutine, any number of times.
type Iterator[T any] struct {
	// MaxGoroutines bounds how many elements are worked on at once. 0 is runtime.GOMAXPROCS(0).
	MaxGoroutines int
}

// ForEach calls f with a pointer to each element, in parallel. f may change its element. A panic in f comes back as a
// panic with a *panics.Recovered, when the others have returned.
func ForEach[T any](input []T, f func(*T)) { Iterator[T]{}.ForEach(input, f) }

// ForEachIdx is ForEach with the element's index.
func ForEachIdx[T any](input []T, f func(int, *T)) { Iterator[T]{}.ForEachIdx(input, f) }

// ForEach is the function ForEach with its limit.
func (it Iterator[T]) ForEach(input []T, f func(*T)) {
	it.ForEachIdx(input, func(_ int, element *T) { f(element) })
}

// ForEachIdx is the function ForEachIdx with its limit.
func (it Iterator[T]) ForEachIdx(input []T, f func(int, *T)) {
	workers := it.MaxGoroutines
	if workers == 0 {
		workers = defaultMaxGoroutines()
	}
	var next atomic.Int64
	worker := func() {
		for {
			i := int(next.Add(1)) - 1
			if i >= len(input) {
				return
			}
			f(i, &input[i])
		}
	}
	var all conc.WaitGroup
	for range min(workers, len(input)) {
		all.Go(worker)
	}
	all.Wait()
}

func defaultMaxGoroutines() int { return runtime.GOMAXPROCS(0) }

// Mapper is an Iterator with results.
type Mapper[T, R any] Iterator[T]

// Map returns what f returns for each element, in order. f gets pointers to the elements.
func Map[T, R any](input []T, f func(*T) R) []R { return Mapper[T, R]{}.Map(input, f) }

// MapErr is Map for functions that can fail. All elements are tried; the errors come joined, in order of their end.
func MapErr[T, R any](input []T, f func(*T) (R, error)) ([]R, error) {
	return Mapper[T, R]{}.MapErr(input, f)
}

// Map is the function Map with m's limit.
func (m Mapper[T, R]) Map(input []T, f func(*T) R) []R {
	results := make([]R, len(input))
	Iterator[T](m).ForEachIdx(input, func(i int, element *T) { results[i] = f(element) })
	return results
}

// MapErr is the function MapErr with m's limit.
func (m Mapper[T, R]) MapErr(input []T, f func(*T) (R, error)) ([]R, error) {
	var (
		results = make([]R, len(input))
		mu      sync.Mutex
		joined  error
	)
	Iterator[T](m).ForEachIdx(input, func(i int, element *T) {
		r, err := f(element)
		results[i] = r
		if err != nil {
			mu.Lock()
			joined = errors.Join(joined, err)
			mu.Unlock()
		}
	})
	return results, joined
}
