package exechttp

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

type plain struct{ http.ResponseWriter }

type (
	canFlush  struct{}
	canHijack struct{}
	canRead   struct{}
	canPush   struct{}
)

func (canFlush) Flush()                                          {}
func (canHijack) Hijack() (net.Conn, *bufio.ReadWriter, error)   { return nil, nil, io.EOF }
func (canRead) ReadFrom(io.Reader) (int64, error)                { return 7, nil }
func (canPush) Push(target string, opts *http.PushOptions) error { return nil }

// What a ResponseWriter can do, its wrapper can, and nothing else. Mutant: any case of waitingWriter.
func TestWriter_KeepsWhatTheOtherCanDo(t *testing.T) {
	p := plain{httptest.NewRecorder()}
	all := []http.ResponseWriter{
		p,
		struct {
			plain
			canFlush
		}{p, canFlush{}},
		struct {
			plain
			canHijack
		}{p, canHijack{}},
		struct {
			plain
			canFlush
			canHijack
		}{p, canFlush{}, canHijack{}},
		struct {
			plain
			canRead
		}{p, canRead{}},
		struct {
			plain
			canFlush
			canRead
		}{p, canFlush{}, canRead{}},
		struct {
			plain
			canHijack
			canRead
		}{p, canHijack{}, canRead{}},
		struct {
			plain
			canFlush
			canHijack
			canRead
		}{p, canFlush{}, canHijack{}, canRead{}},
		struct {
			plain
			canPush
		}{p, canPush{}},
		struct {
			plain
			canFlush
			canPush
		}{p, canFlush{}, canPush{}},
		struct {
			plain
			canHijack
			canPush
		}{p, canHijack{}, canPush{}},
		struct {
			plain
			canFlush
			canHijack
			canPush
		}{p, canFlush{}, canHijack{}, canPush{}},
		struct {
			plain
			canRead
			canPush
		}{p, canRead{}, canPush{}},
		struct {
			plain
			canFlush
			canRead
			canPush
		}{p, canFlush{}, canRead{}, canPush{}},
		struct {
			plain
			canHijack
			canRead
			canPush
		}{p, canHijack{}, canRead{}, canPush{}},
		struct {
			plain
			canFlush
			canHijack
			canRead
			canPush
		}{p, canFlush{}, canHijack{}, canRead{}, canPush{}},
	}
	can := func(w http.ResponseWriter) string {
		_, flush := w.(http.Flusher)
		_, hijack := w.(http.Hijacker)
		_, read := w.(io.ReaderFrom)
		_, push := w.(http.Pusher)
		return fmt.Sprint(flush, hijack, read, push)
	}
	seen := make(map[string]bool)
	for _, w := range all {
		wrapped := waitingWriter(w)
		require.Equal(t, can(w), can(wrapped))
		require.Equal(t, w, wrapped.(interface{ Unwrap() http.ResponseWriter }).Unwrap())
		_, err := io.WriteString(wrapped, "text")
		require.NoError(t, err)
		if f, ok := wrapped.(http.Flusher); ok {
			f.Flush()
			require.NoError(t, http.NewResponseController(wrapped).Flush())
		}
		if h, ok := wrapped.(http.Hijacker); ok {
			_, _, err := h.Hijack()
			require.ErrorIs(t, err, io.EOF)
		}
		if r, ok := wrapped.(io.ReaderFrom); ok {
			n, _ := r.ReadFrom(nil)
			require.EqualValues(t, 7, n)
		}
		seen[can(w)] = true
	}
	require.Len(t, seen, 16)
}
