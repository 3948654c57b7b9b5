package exechttp_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/exechttp"
)

// Ten seconds of requests at fixed times, in fake time, so that the figures are exact: two slots and 10 ms a request can
// answer 200 a second. At half of that load and at all of it everybody is answered, and nobody waits longer than for one
// other request. At twice the load the slots answer as many as ever, who is answered has waited for no more than those that
// may wait, and everybody else is told at once. Mutants: at the bound Do instead of TryDo; the count of those that wait goes
// down at a request's end.
func TestHandler_Load(t *testing.T) {
	const (
		slots, waiting = 2, 20
		work, long     = 10 * time.Millisecond, 10 * time.Second
		capacity       = slots * int(long/work)
	)
	for _, percent := range []int{50, 100, 200} {
		t.Run(fmt.Sprintf("%d percent", percent), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, err := executor.New(executor.WithSlots(slots), executor.WithStallDetection(false))
				require.NoError(t, err)
				h := exechttp.Handler(e, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(work) }), exechttp.WithWaiting(waiting))
				var mu sync.Mutex
				answered, slowest := map[int]int{}, map[int]time.Duration{}
				var all sync.WaitGroup
				requests := capacity * percent / 100
				for range requests {
					all.Go(func() {
						began, w := time.Now(), httptest.NewRecorder()
						h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
						mu.Lock()
						defer mu.Unlock()
						answered[w.Code]++
						slowest[w.Code] = max(slowest[w.Code], time.Since(began))
					})
					time.Sleep(long / time.Duration(requests))
				}
				all.Wait()
				require.NoError(t, e.Close())
				if percent <= 100 {
					require.Equal(t, map[int]int{200: requests}, answered)
					require.LessOrEqual(t, slowest[200], 2*work)
					return
				}
				require.Equal(t, requests, answered[200]+answered[503], "%v", answered)
				require.Equal(t, capacity+waiting, answered[200])
				require.LessOrEqual(t, slowest[200], (waiting/slots+2)*work)
				require.Zero(t, slowest[503])
				require.EqualValues(t, answered[503], e.Stats().RejectedFull)
			})
		})
	}
}
