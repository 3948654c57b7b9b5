package stresstest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/debugpage"
	"github.com/stretchr/testify/require"
)

// A thousand executors and ten viewers: the page is below 300 KB, nobody looks at each of them on a goroutine of its
// own, and what is kept does not grow with the frames (P5).
//
// Mutants: a lookout for each executor of the list; each look appends to what is kept of an executor.
func TestPage_ThousandExecutorsAndTenViewers(t *testing.T) {
	const executors, viewers, frames = 1000, 10, 5
	for i := range executors {
		e, err := executor.New(executor.WithName(fmt.Sprintf("resize-images-%03d", i)), executor.WithSlots(2))
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, e.Close()) })
	}
	server := httptest.NewServer(debugpage.Handler())
	t.Cleanup(server.Close)
	t.Cleanup(server.CloseClientConnections)

	get := func(query string) []byte {
		res, err := http.Get(server.URL + query)
		require.NoError(t, err)
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		return body
	}
	page := get("?format=html")
	t.Logf("the page has %d bytes", len(page))
	require.Less(t, len(page), 300_000)
	var list debugpage.Overview
	require.NoError(t, json.Unmarshal(get("?format=list"), &list))
	require.GreaterOrEqual(t, len(list.Executors), executors)

	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := runtime.NumGoroutine()
	readers := make([]*bufio.Reader, viewers)
	for i := range readers {
		res, err := http.Get(server.URL + "?format=events")
		require.NoError(t, err)
		defer res.Body.Close()
		readers[i] = bufio.NewReader(res.Body)
	}
	all := func() { // everybody reads a frame
		for _, r := range readers {
			for {
				line, err := r.ReadString('\n')
				require.NoError(t, err)
				if strings.HasPrefix(line, "event: frame") {
					break
				}
			}
		}
	}
	all()
	all()
	first := heap()
	require.Less(t, runtime.NumGoroutine()-before, 20*viewers, "goroutines of connections and viewers alone")
	for range frames {
		all()
	}
	require.Less(t, heap()-first, int64(4<<20), "kept after more frames")
}
