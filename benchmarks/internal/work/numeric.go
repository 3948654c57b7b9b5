package work

// A Matrix is square, by rows.
type Matrix struct {
	N     int
	Cells []float64
}

// NewMatrix returns a matrix with small whole numbers in it, so that products
// are exact in any order.
func NewMatrix(n, seed int) Matrix {
	m := Matrix{n, make([]float64, n*n)}
	for i := range m.Cells {
		m.Cells[i] = float64((i*7 + seed) % 11)
	}
	return m
}

// MultiplyRow computes row i of a*b into out.
func MultiplyRow(out, a, b Matrix, i int) {
	n := a.N
	row := out.Cells[i*n : (i+1)*n]
	clear(row)
	for k := range n {
		x := a.Cells[i*n+k]
		for j, y := range b.Cells[k*n : (k+1)*n] {
			row[j] += x * y
		}
	}
}

// Sum adds up all cells.
func (m Matrix) Sum() float64 {
	s := 0.0
	for _, x := range m.Cells {
		s += x
	}
	return s
}

// MandelbrotSteps is after how many steps a point counts as inside.
const MandelbrotSteps = 256

// MandelbrotRow returns the steps that the points of one row of a picture take
// to escape, all together. Rows differ in cost by two orders of magnitude.
func MandelbrotRow(width, height, y int) int {
	im := 2.4*float64(y)/float64(height) - 1.2
	total := 0
	for x := range width {
		re := 3.2*float64(x)/float64(width) - 2.2
		total += escape(re, im)
	}
	return total
}

func escape(re, im float64) int {
	x, y := 0.0, 0.0
	for step := range MandelbrotSteps {
		xx, yy := x*x, y*y
		if xx+yy > 4 {
			return step
		}
		x, y = xx-yy+re, 2*x*y+im
	}
	return MandelbrotSteps
}
