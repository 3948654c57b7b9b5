package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFlags_AreChecked(t *testing.T) {
	for want, args := range map[string][]string{
		"-queue=0":          {"-queue", "0"},
		"-bodies=0":         {"-bodies", "0"},
		"-slots=-1":         {"-slots", "-1"},
		"-native=0":         {"-native", "0"},
		"-timeout=0s":       {"-timeout", "0s"},
		"-drain=-1s":        {"-drain", "-1s"},
		"-lame-duck=-1s":    {"-lame-duck", "-1s"},
		`not ["extra"]`:     {"extra"},
		"not defined":       {"-nonsense"},
		"-clients=0":        {"load", "-clients", "0"},
		"-duration=11m0s":   {"load", "-duration", "11m"},
		"-rate=-1":          {"load", "-rate", "-1"},
		"-pause=-1s":        {"load", "-pause", "-1s"},
		"loopback":          {"load", "-url", "http://192.0.2.1:80"},
		`not ["elsewhere"]`: {"load", "elsewhere"},
	} {
		status, _, stderr := runHere(t, t.Context(), args...)
		require.Equal(t, exitUsage, status, "%v", args)
		require.Contains(t, stderr, want)
	}
	_, _, stderr := runHere(t, t.Context(), "-queue", "0", "-native", "0")
	require.Regexp(t, `(?s)-queue=0.*-native=0`, stderr, "all of it at once")
	status, _, stderr := runHere(t, t.Context(), "-h")
	require.Zero(t, status)
	require.Contains(t, stderr, "-lame-duck")
}

// runHere runs the program in this process.
func runHere(t *testing.T, ctx context.Context, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var files [2]*os.File
	for i := range files {
		f, err := os.CreateTemp(t.TempDir(), "out")
		require.NoError(t, err)
		defer f.Close()
		files[i] = f
	}
	status = run(ctx, args, files[0], files[1])
	var texts [2]string
	for i, f := range files {
		text, err := os.ReadFile(f.Name())
		require.NoError(t, err)
		texts[i] = string(text)
	}
	return status, texts[0], texts[1]
}

func TestLoopback(t *testing.T) {
	for url, want := range map[string]bool{
		"http://127.0.0.1:8080": true, "http://[::1]:8080": true, "http://localhost": true, "http://127.9.9.9": true,
		"https://127.0.0.1": false, "http://example.com": false, "http://10.0.0.1": false, "127.0.0.1:8080": false, "": false,
		"http://localhost.example.com": false, "http://127.0.0.1@example.com": false,
	} {
		require.Equal(t, want, loopback(url), "%q", url)
	}
}

// stub answers as it is told, by the number of the request.
func stub(t *testing.T, answer func(n int64) int) (url string, asked *atomic.Int64) {
	t.Helper()
	asked = new(atomic.Int64)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(answer(asked.Add(1)))
	}))
	t.Cleanup(srv.Close)
	return srv.URL, asked
}

var row = regexp.MustCompile(`(?m)^ +(200|503|other) +(\d+) +([\d.]+) +(\S+) +(\S+) +(\S+) *$`)

// rows returns the columns of a table, by the first.
func rows(t *testing.T, table string) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	for _, m := range row.FindAllStringSubmatch(table, -1) {
		found[m[1]] = m[2:]
	}
	require.Len(t, found, 3, table)
	return found
}

func TestLoad_SortsAnswers(t *testing.T) {
	for _, rate := range []string{"0", "2000"} {
		url, asked := stub(t, func(n int64) int {
			return []int{http.StatusOK, http.StatusServiceUnavailable, http.StatusTeapot}[n%3]
		})
		status, stdout, stderr := runHere(t, t.Context(),
			"load", "-url", url, "-duration", "200ms", "-clients", "4", "-pause", "1ms", "-rate", rate)
		require.Zero(t, status, stderr)
		require.Empty(t, stderr, "no progress without a terminal")
		sum := int64(0)
		for name, columns := range rows(t, stdout) {
			var n int64
			for _, digit := range columns[0] {
				n = 10*n + int64(digit-'0')
			}
			require.InDelta(t, float64(asked.Load())/3, n, 1, name)
			sum += n
		}
		require.Equal(t, asked.Load(), sum)
		require.Contains(t, stdout, "the last of the others: 418")
	}
}

func TestLoad_FailsWithoutAnswers(t *testing.T) {
	srv := httptest.NewServer(nil)
	srv.Close()
	status, stdout, stderr := runHere(t, t.Context(), "load", "-url", srv.URL, "-duration", "50ms")
	require.Equal(t, exitFailed, status)
	require.Contains(t, stderr, "no answer: ")
	require.Equal(t, "0", rows(t, stdout)["200"][0])
}

// An interrupt ends the load and shows the table so far.
func TestLoad_EndsWhenInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	url, _ := stub(t, func(n int64) int {
		if n == 20 {
			cancel()
		}
		return http.StatusOK
	})
	status, stdout, stderr := runHere(t, ctx, "load", "-url", url, "-duration", "10m")
	require.Zero(t, status, stderr)
	require.NotEqual(t, "0", rows(t, stdout)["200"][0])
}

func TestLatencies_QuantilesAreNear(t *testing.T) {
	var l latencies
	require.Zero(t, l.quantile(0.5))
	for _, n := range rand.Perm(100_000) {
		l.add(time.Duration(n+1) * 10 * time.Microsecond) // up to a second
	}
	require.InEpsilon(t, 500*time.Millisecond, l.quantile(0.5), 0.021)
	require.InEpsilon(t, 990*time.Millisecond, l.quantile(0.99), 0.021)
	require.Equal(t, time.Second, l.quantile(1))
	l.add(24 * time.Hour)
	l.add(0)
	require.Equal(t, 24*time.Hour, l.longest)
}

func TestTally_TellsThatTheTableWasNotWritten(t *testing.T) {
	var tl tally
	tl.add(http.StatusOK, time.Second, nil)
	require.NoError(t, tl.print(&bytes.Buffer{}, time.Second))
	r, w := io.Pipe()
	require.NoError(t, r.CloseWithError(errors.New("gone")))
	require.ErrorContains(t, tl.print(w, time.Second), "gone")
	require.True(t, strings.HasPrefix(short(1234567*time.Nanosecond).String(), "1.23"))
}
