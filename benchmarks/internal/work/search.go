package work

// Fib is the n-th Fibonacci number the slow way.
func Fib(n int) int {
	if n < 2 {
		return n
	}
	return Fib(n-1) + Fib(n-2)
}

// FibForks is how often Fib(n) splits in two.
func FibForks(n int) int {
	a, b := 0, 1 // forks of n-1 and n have the shape of the numbers themselves
	for range n {
		a, b = b, a+b
	}
	return b - 1
}

// A Board is a position of the n queens puzzle: which columns and diagonals
// the queens so far attack in the next row.
type Board struct {
	Cols, Left, Right uint32
}

// Free returns the columns of the next row that nobody attacks, as bits.
func (b Board) Free(n int) uint32 { return (1<<n - 1) &^ (b.Cols | b.Left | b.Right) }

// Place returns the board after a queen was put on the column with this bit.
func (b Board) Place(bit uint32) Board {
	return Board{Cols: b.Cols | bit, Left: (b.Left | bit) << 1, Right: (b.Right | bit) >> 1}
}

// Queens counts the ways to complete the board with n queens in all, and the
// queens placed on the way.
func Queens(b Board, n, row int) (ways, placed int) {
	if row == n {
		return 1, 0
	}
	for free := b.Free(n); free != 0; free &= free - 1 {
		w, p := Queens(b.Place(free&-free), n, row+1)
		ways += w
		placed += p + 1
	}
	return ways, placed
}

// QueensWays are the known numbers of solutions, by n.
var QueensWays = map[int]int{4: 2, 5: 10, 6: 4, 7: 40, 8: 92, 9: 352, 10: 724, 11: 2680, 12: 14200}
