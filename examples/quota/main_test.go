package main

import (
	"bufio"
	"context"
	"io"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestQuota_PrintsTheSizeAndALineASecond(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	in, out := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, out)
		_ = out.Close()
	}()
	lines := bufio.NewScanner(in)
	require.True(t, lines.Scan())
	require.Regexp(t, `^slots=\d+: .*GOMAXPROCS`, lines.Text())
	line := regexp.MustCompile(`^quota (none|[\d.]+) +slots \d+ +\d+ tasks/s(   throttled in \d+ of \d+ periods)?$`)
	for range 2 {
		require.True(t, lines.Scan())
		require.Regexp(t, line, lines.Text())
	}
	cancel()
	for lines.Scan() { // whatever it still has to say, or it could not end
	}
	require.NoError(t, <-ended)
}
