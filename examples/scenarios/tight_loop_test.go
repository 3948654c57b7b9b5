package main

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// How long the short tasks wait depends on the machine; before or after the loop's end does not.
func TestTightLoop_OthersGetTheirTurn(t *testing.T) {
	o := try(t, tightLoop, 0.5)
	require.Zero(t, o.before.get(t, tightLoopDuring))
	require.Positive(t, o.after.get(t, tightLoopDuring))
}

func TestTightLoop_TheReportNamesTheLoop(t *testing.T) {
	name, err := tightLoopReported(t.Context())
	require.NoError(t, err)
	file, number, _ := strings.Cut(name, ":")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	n, err := strconv.Atoi(number)
	require.NoError(t, err)
	line := strings.Split(string(text), "\n")[n-1]
	require.Contains(t, []string{"spin(100 * time.Microsecond)", "for {", "select {", "case <-stop:"}, strings.TrimSpace(line))
}
