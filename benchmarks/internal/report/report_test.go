package report

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/seed-97bda89a/executor/benchmarks/internal/contend"
	"github.com/seed-97bda89a/executor/benchmarks/internal/meter"
	"github.com/seed-97bda89a/executor/benchmarks/internal/suite"
)

// sampleResults has a row with a winner, a loser, somebody absent and somebody
// who failed.
func sampleResults() *suite.Results {
	runs := func(*meter.Meter) error { return nil }
	r := suite.NewResults(suite.Row{
		Group: "Submit", Scenario: "outside=1", Title: "empty tasks", Op: "task", Note: "A note.", Plot: true,
		Entries: []suite.Entry{
			{Name: contend.Executor, Run: runs}, {Name: "channel", Run: runs}, {Name: "broken", Run: runs},
			{Name: "ants", Skip: "it would hang"},
		},
		Goals: []suite.Goal{{Against: []string{"channel"}, AtMost: 0.8}, {AtMost: 10}},
	})
	for _, v := range []float64{40, 41, 39} {
		r.Samples[contend.Executor] = append(r.Samples[contend.Executor], sampleOf(v))
		r.Samples["channel"] = append(r.Samples["channel"], sampleOf(2*v))
	}
	r.Failed["broken"] = errors.New("wrong result\nwith a second line")
	return r
}

func sampleOf(ns float64) meter.Sample {
	return meter.Sample{Ops: 1000, Values: []meter.Value{
		{Unit: meter.NsPerOp, V: ns}, {Unit: meter.BytesPerOp, V: 0}, {Unit: meter.AllocsPerOp, V: 1}, {Unit: meter.SwitchesPerOp, V: 0.25},
	}}
}

func TestRow_ShowsResultsAbsenteesAndVerdicts(t *testing.T) {
	var b strings.Builder
	Row(&b, sampleResults(), nil, "")
	got := b.String()
	for _, want := range []string{
		"### Submit/outside=1: empty tasks\n",
		"| per task | time | ± | x executor | allocated | allocs | switches |\n",
		"| **executor** | 40.0 ns | 1 % | 1.00 | 0 B | 1 | 0.25 |\n",
		"| channel | 80.0 ns | 1 % | 2.00 | 0 B | 1 | 0.25 |\n",
		"n/a: ants: it would hang.\n",
		"n/a: broken: FAILED: wrong result.\n",
		"A note.\n",
		"- goal: at most 0.8x channel; measured: 0.50x channel: **met**\n",
		"- goal: at most 10.0 ns; measured: 40.0 ns: **not met**\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("missing %q in\n%s", want, got)
		}
	}
	if strings.Index(got, "executor**") > strings.Index(got, "| channel") {
		t.Error("the best is not on top")
	}
}

func TestPage_TellsWinsLossesAndGoals(t *testing.T) {
	lost := sampleResults()
	lost.Row.Scenario = "lost"
	lost.Samples[contend.Executor], lost.Samples["channel"] = lost.Samples["channel"], lost.Samples[contend.Executor]
	got := Page([]*suite.Results{sampleResults(), lost}, Options{
		Machine: Machine{CPU: "Some CPU", Cores: 2, Procs: 2}, Command: "go run compare", Rounds: 3,
		Plots: map[string]string{"": "overview.svg"},
	})
	for _, want := range []string{
		"1 of 4 goals are met.", "- **ahead** in 1: Submit/outside=1 (channel, 2.00x)",
		"- **behind** in 1: Submit/lost (channel, 0.50x)", "- **even** in 0: nowhere",
		"Some CPU, 2 cores", "go run compare", "](overview.svg)",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("missing %q", want)
		}
	}
}

func TestMerge_KeepsWhatIsWrittenByHand(t *testing.T) {
	page := "# Title\n\nby hand\n" + beginMark + "\nold\n" + endMark + "\nmore by hand\n"
	got, err := Merge(page, beginMark+"\nnew\n"+endMark+"\n")
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Replace(page, "old", "new", 1)
	if got != want {
		t.Errorf("merged:\n%s\nwant:\n%s", got, want)
	}
}

func TestMerge_MakesAPageOfNothingAndRefusesAStrangeOne(t *testing.T) {
	got, err := Merge("", "generated\n")
	if err != nil || got != "# Benchmarks\n\ngenerated\n" {
		t.Errorf("%q, %v", got, err)
	}
	for _, strange := range []string{"no marks", beginMark + "\nno end"} {
		if _, err := Merge(strange, "x"); err == nil {
			t.Errorf("%q was overwritten", strange)
		}
	}
}

func TestLine_IsGoBenchmarkFormat(t *testing.T) {
	var b bytes.Buffer
	r := sampleResults()
	if err := Line(&b, Machine{Procs: 2}, r.Row, "channel", sampleOf(81.5)); err != nil {
		t.Fatal(err)
	}
	want := "BenchmarkSubmit/outside=1/pool=channel-2\t1000\t81.5 ns/op\t0 B/op\t1 allocs/op\t0.25 vcsw/op\n"
	if b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}

// Mutants: failures are not written; a row's origin is the first one's; the number of processors is not looked at.
func TestWrite_ReadFindsItAgain(t *testing.T) {
	m := Machine{OS: "linux", Arch: "amd64", CPU: "Some CPU", Go: "go1.26", Procs: 2}
	one, other := sampleResults(), sampleResults()
	other.Row.Scenario = "outside=1-more" // its name begins with the other's
	from := map[string]Origin{one.Row.Name(): {"abc", "2026-01-02", false}, other.Row.Name(): {"def with changes", "2026-01-03", true}}
	var text bytes.Buffer
	if err := Write(&text, m, []*suite.Results{one, other}, from); err != nil {
		t.Fatal(err)
	}
	all, got, err := Read(bytes.NewReader(text.Bytes()), m, []suite.Row{one.Row, other.Row})
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, from) {
		t.Errorf("origins %v, want %v", got, from)
	}
	for _, r := range []*suite.Results{one, other} {
		back := all[r.Row.Name()]
		if back == nil || !reflect.DeepEqual(back.Samples, r.Samples) || back.Rounds() != 3 {
			t.Errorf("%s: got back %+v", r.Row.Name(), back)
		} else if err := back.Failed["broken"]; err == nil || err.Error() != "wrong result" {
			t.Errorf("%s: the failure is %v", r.Row.Name(), err)
		}
	}
	for _, c := range []struct {
		m    Machine
		says string
	}{
		{Machine{OS: "linux", Arch: "amd64", CPU: "Other CPU", Go: "go1.26", Procs: 2}, "measured with cpu Some CPU, and here it is Other CPU"},
		{Machine{OS: "linux", Arch: "amd64", CPU: "Some CPU", Go: "go1.26", Procs: 4}, "GOMAXPROCS was not 4"},
	} {
		if _, _, err := Read(bytes.NewReader(text.Bytes()), c.m, []suite.Row{one.Row}); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v does not say %q", err, c.says)
		}
	}
}

// Mutants: every row says it; a row with fewer rounds does not.
func TestPage_SaysWhichRowsAreOlder(t *testing.T) {
	now, older, fewer := sampleResults(), sampleResults(), sampleResults()
	older.Row.Scenario, fewer.Row.Scenario = "older", "fewer"
	fewer.Samples[contend.Executor], fewer.Samples["channel"] = fewer.Samples[contend.Executor][:1], fewer.Samples["channel"][:1]
	m := Machine{Commit: "abc", Date: "2026-01-02"}
	got := Page([]*suite.Results{now, older, fewer}, Options{Machine: m, Rounds: 3, From: map[string]Origin{
		now.Row.Name(): m.Now(false), older.Row.Name(): {"def", "2026-01-01", false}, fewer.Row.Name(): m.Now(false),
	}})
	if n := strings.Count(got, "Measured earlier: "); n != 2 {
		t.Errorf("%d rows say so", n)
	}
	for _, want := range []string{"2026-01-01, commit def, 3 rounds.", "2026-01-02, commit abc, 1 rounds."} {
		if !strings.Contains(got, want) {
			t.Errorf("missing %q", want)
		}
	}
}

func TestThisMachine_NamesNoHostAndNoPath(t *testing.T) {
	m := ThisMachine()
	host, _ := os.Hostname()
	dir, _ := os.Getwd()
	for _, secret := range []string{host, dir, filepath.Dir(dir)} {
		if secret != "" && strings.Contains(m.String(), secret) {
			t.Errorf("%q is in %q", secret, m)
		}
	}
	if m.CPU == "" || m.Cores < 1 || !strings.HasPrefix(m.Go, "go") {
		t.Errorf("%+v", m)
	}
}

func TestPlots_WritesARowAndTheOverview(t *testing.T) {
	dir := t.TempDir()
	files, err := Plots(dir, []*suite.Results{sampleResults()})
	if err != nil {
		t.Fatal(err)
	}
	for row, want := range map[string]string{"Submit/outside=1": "submit-outside-1.svg", "": "overview.svg"} {
		if files[row] != want {
			t.Errorf("the picture of %q is %q, want %q", row, files[row], want)
			continue
		}
		svg, err := os.ReadFile(filepath.Join(dir, want))
		if err != nil || !bytes.Contains(svg, []byte("<svg")) {
			t.Errorf("%s: %v, %d bytes", want, err, len(svg))
		}
	}
}

func TestPowersOfTwo_AreSharesAndMultiples(t *testing.T) {
	var got []string
	for _, tick := range powersOfTwo(-2, 2) {
		got = append(got, tick.Label)
	}
	if s := strings.Join(got, " "); s != "1/4x 1/2x 1x 2x 4x" {
		t.Errorf("ticks %q", s)
	}
}

func TestTimes_NeverPrintsNoise(t *testing.T) {
	for v, want := range map[float64]string{0.5: "0.50", 12.34: "12"} {
		if got := times(v); got != want {
			t.Errorf("times(%v) = %q, want %q", v, got, want)
		}
	}
	if got := times(math.NaN()); got != "-" {
		t.Errorf("times(NaN) = %q", got)
	}
}
