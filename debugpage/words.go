package debugpage

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Numbers for people.

// numberText is a whole number with groups of three.
func numberText[N int | uint64](n N) string {
	text := strconv.FormatUint(uint64(max(0, n)), 10)
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}

// countText is a number to three digits.
func countText(n float64) string {
	switch {
	case n >= 1e9:
		return strconv.FormatFloat(n/1e9, 'f', 2, 64) + " G"
	case n >= 1e6:
		return strconv.FormatFloat(n/1e6, 'f', 2, 64) + " M"
	case n >= 1e5:
		return strconv.FormatFloat(n/1e3, 'f', 0, 64) + " k"
	case n >= 1e4:
		return strconv.FormatFloat(n/1e3, 'f', 1, 64) + " k"
	}
	return numberText(uint64(n + 0.5))
}

func rateText(perSecond float64) string { return countText(perSecond) + "/s" }

func agoText(d time.Duration) string {
	if d < time.Second {
		return "just now"
	}
	return durationText(d.Truncate(time.Second)) + " ago"
}

func timeText(ns float64) string { return durationText(time.Duration(ns)) }

func percentText(share float64) string { return strconv.FormatFloat(100*share, 'f', 0, 64) }

// durationText is a duration to about three digits, with a space before the unit.
func durationText(d time.Duration) string {
	unit := func(value float64, name string) string {
		digits := 0
		if value < 10 {
			digits = 1
		}
		return strings.TrimSuffix(strconv.FormatFloat(value, 'f', digits, 64), ".0") + " " + name
	}
	switch {
	case d >= 48*time.Hour:
		return unit(d.Hours()/24, "d")
	case d >= time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	case d >= 2*time.Minute:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	case d >= time.Second:
		return unit(d.Seconds(), "s")
	case d >= time.Millisecond:
		return unit(float64(d)/1e6, "ms")
	case d >= time.Microsecond:
		return unit(float64(d)/1e3, "µs")
	}
	return unit(float64(d), "ns")
}

func plural[N int | uint64](n N, noun string) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}

// measuredText is a duration that is 0 if there was none.
func measuredText(d time.Duration) string {
	if d == 0 {
		return "–"
	}
	return durationText(d)
}

// cutOff cuts text at most bytes, at the end of a rune.
func cutOff(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
