package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// made is a scenario that costs nothing.
func made(name string) scenario {
	do := func(n int) func(t *trial) (values, error) {
		return func(t *trial) (values, error) {
			t.run("a task", func() {
				t.block(func() { time.Sleep(time.Millisecond) })
				t.rest(func() { time.Sleep(time.Millisecond) })
			})
			t.remark("%d of them, said <somebody>", n)
			return values{count("things", n), duration("time", time.Duration(n)*time.Millisecond), note("remark", "<why>")}, nil
		}
	}
	return scenario{
		name: name, explain: "Things are <fewer> & quicker.",
		before: do(3000), beforeWith: "hands", after: do(6), afterWith: "a machine",
	}
}

// use replaces the list of scenarios for a test.
func use(t *testing.T, list ...scenario) {
	saved := scenarios
	scenarios = list
	t.Cleanup(func() { scenarios = saved })
}

func TestScenarios_FitTheTable(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range scenarios {
		require.LessOrEqual(t, len(s.name), maxName, s.name)
		require.False(t, seen[s.name], "two are called %s", s.name)
		seen[s.name] = true
		require.Regexp(t, `^[A-Z].*[a-z.]\.$`, s.explain, s.name)
		require.NotEmpty(t, s.beforeWith, s.name)
		require.NotEmpty(t, s.afterWith, s.name)
		require.FileExists(t, strings.ReplaceAll(s.name, "-", "_")+".go")
		require.FileExists(t, strings.ReplaceAll(s.name, "-", "_")+"_test.go")
	}
}

func TestRun_PrintsATableWithAlignedColumns(t *testing.T) {
	skipped := made("not-here")
	skipped.unavailable = func() string { return "there is no such thing." }
	use(t, made("one"), skipped, made("two"))
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), nil, &out, nil))
	require.Equal(t, []string{
		"name              measured                        before          with the executor   ratio          what happens",
		"one               things                          3,000           6                   500x less      Things are <fewer> & quicker.",
		"                  time                            3.00 s          6.00 ms             500x less",
		"                  remark                          <why>           <why>",
		"                  3000 of them, said <somebody>",
		"                  6 of them, said <somebody>",
		"not-here          -                               -               -                                  Skipped: there is no such thing.",
	}, strings.Split(out.String(), "\n")[:7])
	require.Contains(t, out.String(), "\ntwo  ")
}

func TestRun_PicksByName(t *testing.T) {
	use(t, made("one"), made("two"), made("three"))
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-list", "-run", "three, one"}, &out, nil))
	require.Equal(t, "one               Things are <fewer> & quicker.\nthree             Things are <fewer> & quicker.\n", out.String())
}

func TestRun_RefusesNonsense(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	require.NoError(t, err)
	defer null.Close()
	for _, args := range [][]string{{"-run", "nonsense"}, {"-run", ","}, {"-nonsense"}, {"tight-loop"}} {
		require.ErrorIs(t, run(t.Context(), args, &bytes.Buffer{}, null), errUsage, "%v", args)
	}
	require.ErrorContains(t, run(t.Context(), []string{"-run", "tight"}, &bytes.Buffer{}, null), `no scenario is called "tight"`)
	require.Error(t, run(t.Context(), []string{"-html", filepath.Join(t.TempDir(), "no", "page.html")}, &bytes.Buffer{}, null))
}

// An interrupt ends the run; what there is so far is in the table.
func TestRun_EndsWhenInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	last := made("two")
	last.before = func(*trial) (values, error) {
		cancel()
		return nil, nil
	}
	use(t, made("one"), last)
	var out bytes.Buffer
	require.NoError(t, run(ctx, nil, &out, nil))
	require.Contains(t, out.String(), "one  ")
	require.NotContains(t, out.String(), "two  ")
}

func TestRun_WritesAPageOfItsOwn(t *testing.T) {
	use(t, made("one"), made("two"))
	name := filepath.Join(t.TempDir(), "page.html")
	require.NoError(t, run(t.Context(), []string{"-html", name}, &bytes.Buffer{}, nil))
	page, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Contains(t, string(page), "Things are &lt;fewer&gt; &amp; quicker.")
	require.Contains(t, string(page), "<td>3.00 s</td>")
	require.Contains(t, string(page), "6 of them, said &lt;somebody&gt;")
	require.Equal(t, 4, strings.Count(string(page), `role="img"`), "two timelines for each")
	require.NotRegexp(t, `(src|href)="[^#]`, string(page), "the page needs another file")
}

func TestRatio(t *testing.T) {
	for _, c := range []struct {
		before, after float64
		want          string
	}{
		{3, 3, "same"}, {0, 0, "same"}, {3, 0, "to none"}, {0, 3, "from none"},
		{3, 2, "1.50x less"}, {2, 3, "1.50x more"}, {123456, 1, "123,456x less"}, {1, 12.34, "12.3x more"},
	} {
		require.Equal(t, c.want, ratio(c.before, c.after))
	}
}

func TestValues_AreReadable(t *testing.T) {
	for want, v := range map[string]value{
		"0":         duration("", 0),
		"12 ns":     duration("", 12),
		"1.23 µs":   duration("", 1234),
		"56.8 ms":   duration("", 56789*time.Microsecond),
		"2.00 s":    duration("", 2*time.Second),
		"1,234,567": count("", 1234567),
		"999":       count("", 999),
		"33.3 %":    share("", 1.0/3),
		"100 %":     share("", 1),
		"1.50 KiB":  bytesOf("", 1536),
		"12.0 MiB":  bytesOf("", 12<<20),
		"3.00 GiB":  bytesOf("", 3<<30),
		"500/s":     rate("", 1000, 2*time.Second),
		"2.50 M/s":  rate("", 5_000_000, 2*time.Second),
		"words":     note("", "words"),
	} {
		require.Equal(t, want, strings.Replace(v.String(), "12.0 ns", "12 ns", 1))
	}
}

func TestWrap(t *testing.T) {
	require.Equal(t, []string{"ab cd", "ef"}, wrap("ab cd ef", 5))
	require.Equal(t, []string{"abcdef", "g"}, wrap("abcdef g", 3))
	require.Equal(t, []string{""}, wrap("", 3))
	for _, line := range wrap(scenarios[0].explain, 40) {
		require.LessOrEqual(t, utf8.RuneCountInString(line), 40)
	}
}
