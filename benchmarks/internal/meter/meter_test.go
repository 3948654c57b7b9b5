package meter

import (
	"math"
	"testing"
)

func TestMedian_IsTheMiddle(t *testing.T) {
	for _, c := range []struct {
		in   []float64
		want float64
	}{
		{[]float64{3}, 3},
		{[]float64{5, 1, 3}, 3},
		{[]float64{4, 1, 3, 2}, 2.5},
	} {
		if got := Median(c.in); got != c.want {
			t.Errorf("Median(%v) = %v, want %v", c.in, got, c.want)
		}
	}
	if !math.IsNaN(Median(nil)) {
		t.Error("the median of nothing is a number")
	}
}

func TestMedian_LeavesItsArgumentAlone(t *testing.T) {
	in := []float64{3, 1, 2}
	Median(in)
	if in[0] != 3 || in[1] != 1 {
		t.Errorf("the argument was sorted in place: %v", in)
	}
}

func TestQuantile_Interpolates(t *testing.T) {
	sorted := []float64{0, 10, 20, 30, 40}
	for q, want := range map[float64]float64{0: 0, 0.25: 10, 0.5: 20, 0.9: 36, 1: 40} {
		if got := Quantile(sorted, q); math.Abs(got-want) > 1e-9 {
			t.Errorf("Quantile(%v) = %v, want %v", q, got, want)
		}
	}
}

func TestSpread_IsHalfTheQuartileDistance(t *testing.T) {
	if got := Spread([]float64{90, 95, 100, 105, 110}); math.Abs(got-0.05) > 1e-9 {
		t.Errorf("Spread = %v, want 0.05", got)
	}
	if got := Spread([]float64{7}); got != 0 {
		t.Errorf("the spread of one value is %v", got)
	}
}

func TestPairedRatios_SkipsRoundsWithoutAPartner(t *testing.T) {
	got := PairedRatios([]float64{2, 9, math.NaN(), 8}, []float64{1, 0, 3})
	if len(got) != 1 || got[0] != 2 {
		t.Errorf("PairedRatios = %v, want [2]", got)
	}
}

func TestMeter_AddsBracketsAndDividesByOperations(t *testing.T) {
	m := &Meter{N: 7}
	var sink []byte
	for range 2 {
		m.Start()
		for range 10 {
			sink = make([]byte, 1<<10)
		}
		m.Stop()
		m.Ops(10)
	}
	_ = sink
	s := m.Sample()
	if s.Ops != 20 {
		t.Errorf("Ops = %d, want 20", s.Ops)
	}
	// The process may allocate a little beside the loop.
	if got, _ := s.Get(BytesPerOp); got < 1<<10 || got > 2<<10 {
		t.Errorf("B/op = %v, want about 1024", got)
	}
}

func TestMeter_SetReplacesTheClock(t *testing.T) {
	m := &Meter{N: 1}
	m.Start()
	m.Stop()
	m.Set(NsPerOp, 1)
	m.Set(NsPerOp, 42)
	m.Set("p99-ns", 7)
	s := m.Sample()
	if got, _ := s.Get(NsPerOp); got != 42 {
		t.Errorf("ns/op = %v, want 42", got)
	}
	if got, ok := s.Get("p99-ns"); !ok || got != 7 {
		t.Errorf("p99-ns = %v, %v", got, ok)
	}
	if _, ok := s.Get("nothing"); ok {
		t.Error("a value that was never set was found")
	}
}
