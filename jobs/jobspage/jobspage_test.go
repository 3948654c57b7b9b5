package jobspage_test

import (
	"context"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor/debugpage"
	"github.com/seed-97bda89a/executor/executortest"
	"github.com/seed-97bda89a/executor/jobs"
	"github.com/seed-97bda89a/executor/jobs/jobspage"
	"github.com/stretchr/testify/require"
)

// Names are a stranger's: they are text, never markup.
func TestHandler(t *testing.T) {
	q := jobs.Memory(time.Minute)
	kind := jobs.Define("mail", func(context.Context, int) error { return nil })
	w, err := jobs.NewWorker(executortest.New(t), q, jobs.Kinds(kind))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Serve(ctx) }()
	require.NoError(t, kind.Go(ctx, q, 1))
	require.NoError(t, q.Send(ctx, &jobs.Message{ID: "1", Kind: "<script>x", Body: []byte("1")}))
	for s := w.Stats(); s.Done+s.Dead < 2 || s.DepthAt.IsZero(); s = w.Stats() {
		time.Sleep(time.Millisecond)
	}
	page := jobspage.Handler(jobspage.Entry{Name: "a<b", Worker: w}, jobspage.Entry{Name: "none"})
	get := func(url string) string {
		rec := httptest.NewRecorder()
		page.ServeHTTP(rec, httptest.NewRequest("GET", url, nil))
		require.Equal(t, 200, rec.Code)
		return rec.Body.String()
	}
	text := get("/")
	require.Contains(t, text, "a&lt;b")
	require.Contains(t, text, "&lt;script&gt;x")
	require.NotContains(t, text, "<script")
	require.Contains(t, text, "dead letters")
	require.Contains(t, get("/?format=json"), `"Done":1`)

	hide := jobspage.Show(jobspage.Entry{Name: "a<b", Worker: w}, jobspage.Entry{Name: "none"})
	all := func() string {
		rec := httptest.NewRecorder()
		debugpage.Handler().ServeHTTP(rec, httptest.NewRequest("GET", "/?format=text", nil))
		require.Equal(t, 200, rec.Code)
		return rec.Body.String()
	}
	text = all()
	for _, want := range []string{"Workers of jobs", "a<b", "oldest", "! a<b: 1 of 1 jobs of kind <script>x are dead letters"} {
		require.Contains(t, text, want)
	}
	hide()
	require.NotContains(t, all(), "Workers of jobs")
	rec := httptest.NewRecorder()
	page.ServeHTTP(rec, httptest.NewRequest("POST", "/", nil))
	require.Equal(t, 405, rec.Code)
	cancel()
	require.NoError(t, <-done)
}
