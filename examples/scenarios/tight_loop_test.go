package main

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The short tasks come before the loop is over. How long they wait depends on the machine, so only the ratio counts.
func TestTightLoop_OthersGetTheirTurn(t *testing.T) {
	o := try(t, tightLoop, 0.5)
	require.Less(t, 3*o.after.get(t, tightLoopWait), o.before.get(t, tightLoopWait))
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
