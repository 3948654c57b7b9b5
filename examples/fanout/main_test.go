package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWays_FetchEachURLOnce(t *testing.T) {
	const n = 300
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			s, err := serve(2 * time.Millisecond)
			require.NoError(t, err)
			defer s.close()
			var mu sync.Mutex
			got := map[string]int{}
			err = w.fetch(t.Context(), s.urls(n), func(ctx context.Context, url string) error {
				mu.Lock()
				got[url]++
				mu.Unlock()
				return get(ctx, http.DefaultClient, url)
			})
			require.NoError(t, err)
			want := map[string]int{}
			for url := range s.urls(n) {
				want[url] = 1
			}
			require.Equal(t, want, got)
			require.Positive(t, s.most.Load())
		})
	}
}

func TestWays_ReportAnError(t *testing.T) {
	bad := errors.New("bad")
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			var calls atomic.Int64
			urls := slices.Values([]string{"a", "b", "c", "d"})
			err := w.fetch(t.Context(), urls, func(_ context.Context, url string) error {
				calls.Add(1)
				if url == "c" {
					return bad
				}
				return nil
			})
			require.ErrorIs(t, err, bad)
			require.LessOrEqual(t, calls.Load(), int64(4))
		})
	}
}

// All wait for all, so the number at once is the number of URLs: by lending alone, and by Blocking.
func TestExecutor_NeedsNoPoolSize(t *testing.T) {
	const n = 60
	for _, w := range ways[:3] {
		t.Run(w.name, func(t *testing.T) {
			s := &server{address: "unused"}
			var all sync.WaitGroup
			all.Add(n)
			require.NoError(t, w.fetch(t.Context(), s.urls(n), func(context.Context, string) error {
				all.Done()
				all.Wait()
				return nil
			}))
		})
	}
}

func TestGet_TellsWhatTheServerSaid(t *testing.T) {
	s, err := serve(time.Millisecond)
	require.NoError(t, err)
	defer s.close()
	s.http.Handler = http.NotFoundHandler()
	err = get(t.Context(), http.DefaultClient, "http://"+s.address+"/7")
	require.ErrorContains(t, err, "/7: 404")
}

func TestServer_LatenciesAreSpread(t *testing.T) {
	s := &server{slowest: 200 * time.Millisecond}
	var sum time.Duration
	const n = 2000
	for i := range n {
		l := s.latency(fmt.Sprintf("/%d", i))
		require.GreaterOrEqual(t, l, time.Millisecond)
		require.LessOrEqual(t, l, s.slowest)
		sum += l
	}
	require.InDelta(t, 100, float64(sum/n/time.Millisecond), 10)
}

func TestRun_PrintsATable(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-urls", "40", "-slowest", "2ms"}, &out, os.Stderr))
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 1+len(ways), out.String())
	for i, w := range ways {
		require.Contains(t, lines[i+1], w.name)
	}
}

// An interrupt ends the way that runs and shows the table so far.
func TestRun_EndsWhenInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	require.NoError(t, run(ctx, nil, &out, os.Stderr))
	require.Len(t, strings.Split(strings.TrimSpace(out.String()), "\n"), 1, out.String())
}

func TestRun_RefusesNonsense(t *testing.T) {
	for _, args := range [][]string{{"-urls", "0"}, {"-slowest", "1us"}, {"extra"}, {"-nonsense"}} {
		null, err := os.Open(os.DevNull)
		require.NoError(t, err)
		require.Error(t, run(t.Context(), args, &bytes.Buffer{}, null), "%v", args)
		null.Close()
	}
}
