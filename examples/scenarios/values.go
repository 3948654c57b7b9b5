package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// value is one thing that was measured. A value with text has no amount.
type value struct {
	name   string // what was measured; at most maxMeasured letters
	amount float64
	format func(float64) string
	text   string
}

// values are what one side measured, each name once.
type values []value

func duration(name string, d time.Duration) value {
	return value{name: name, amount: d.Seconds(), format: formatSeconds}
}

func count[T int | int32 | int64 | uint64](name string, n T) value {
	return value{name: name, amount: float64(n), format: formatCount}
}

// share is part of a whole, 0 to 1, as a percentage.
func share(name string, part float64) value {
	return value{name: name, amount: part, format: func(x float64) string { return threeDigits(100*x) + " %" }}
}

func bytesOf(name string, n uint64) value {
	return value{name: name, amount: float64(n), format: formatBytes}
}

// rate is how many tasks, calls, events were done per second.
func rate[T int | int32 | int64 | uint64](name string, n T, in time.Duration) value {
	perSecond := func(x float64) string { return formatSI(x) + "/s" }
	return value{name: name, amount: float64(n) / in.Seconds(), format: perSecond}
}

// note is something found out that is no number.
func note(name, text string) value { return value{name: name, text: text} }

func (v value) String() string {
	if v.format == nil {
		return v.text
	}
	return v.format(v.amount)
}

// get returns the value with that name.
func (vs values) get(name string) (value, bool) {
	i := slices.IndexFunc(vs, func(v value) bool { return v.name == name })
	if i < 0 {
		return value{}, false
	}
	return vs[i], true
}

// row is a line of the table.
type row struct{ measured, before, after, ratio string }

// rows pairs what both sides measured.
func (o outcome) rows() []row {
	leading := o.after.values
	if len(o.before.values) > len(leading) {
		leading = o.before.values
	}
	var rows []row
	for _, v := range leading {
		r := row{measured: v.name, before: "-", after: "-"}
		before, ok1 := o.before.values.get(v.name)
		after, ok2 := o.after.values.get(v.name)
		if ok1 {
			r.before = before.String()
		}
		if ok2 {
			r.after = after.String()
		}
		if ok1 && ok2 && before.format != nil && after.format != nil {
			r.ratio = ratio(before.amount, after.amount)
		}
		rows = append(rows, r)
	}
	return rows
}

// ratio says how much less or more there is after than before.
func ratio(before, after float64) string {
	switch {
	case before == after:
		return "same"
	case after == 0:
		return "to none"
	case before == 0:
		return "from none"
	case before > after:
		return times(before/after) + " less"
	default:
		return times(after/before) + " more"
	}
}

func times(x float64) string {
	if x >= 1000 {
		return formatCount(x) + "x"
	}
	return threeDigits(x) + "x"
}

// threeDigits writes a number with as many digits after the point as make three in all, and not more than two.
func threeDigits(x float64) string {
	switch {
	case x == 0:
		return "0"
	case x < 9.995:
		return strconv.FormatFloat(x, 'f', 2, 64)
	case x < 99.95:
		return strconv.FormatFloat(x, 'f', 1, 64)
	default:
		return strconv.FormatFloat(x, 'f', 0, 64)
	}
}

func formatSeconds(s float64) string {
	switch {
	case s == 0:
		return "0"
	case s < 1e-6:
		return threeDigits(s*1e9) + " ns"
	case s < 1e-3:
		return threeDigits(s*1e6) + " µs"
	case s < 1:
		return threeDigits(s*1e3) + " ms"
	default:
		return threeDigits(s) + " s"
	}
}

// formatCount puts commas between the thousands.
func formatCount(x float64) string {
	digits := strconv.FormatFloat(x, 'f', 0, 64)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}

func formatSI(x float64) string {
	switch {
	case x >= 1e6:
		return threeDigits(x/1e6) + " M"
	case x >= 1e4:
		return threeDigits(x/1e3) + " k"
	default:
		return threeDigits(x)
	}
}

func formatBytes(x float64) string {
	switch {
	case x >= 1<<30:
		return threeDigits(x/(1<<30)) + " GiB"
	case x >= 1<<20:
		return threeDigits(x/(1<<20)) + " MiB"
	default:
		return fmt.Sprintf("%s KiB", threeDigits(x/(1<<10)))
	}
}
