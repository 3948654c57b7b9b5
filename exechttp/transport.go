package exechttp

import (
	"errors"
	"net/http"

	"github.com/seed-97bda89a/executor"
)

// TransportOption changes what Transport returns.
type TransportOption func(*transport)

// WithBulkhead makes each call of the network go through b, which bounds how many are in progress at once: a round trip
// is one, until the answer's header is there, and each read of its body another.
func WithBulkhead(b *executor.Bulkhead) TransportOption { return func(t *transport) { t.bulkhead = b } }

// Transport returns a RoundTripper that works like base, and lends the slot of a task that calls it while it waits: for
// the round trip, and for reads of the answer's body. Outside of tasks it changes nothing. A nil base is
// http.DefaultTransport. Cost: some 20 ns a call.
func Transport(base http.RoundTripper, opts ...TransportOption) http.RoundTripper {
	if base == nil {
		base = http.DefaultTransport
	}
	t := &transport{base: base}
	for _, opt := range opts {
		opt(t)
	}
	return t
}

type transport struct {
	base     http.RoundTripper
	bulkhead *executor.Bulkhead
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (answer *http.Response, err error) {
	if r == nil {
		return nil, errors.New("exechttp: nil request")
	}
	wait := always
	if t.bulkhead != nil {
		wait = func(fn func()) error { return t.bulkhead.Blocking(r.Context(), fn) }
	}
	if refused := wait(func() { answer, err = t.base.RoundTrip(r) }); refused != nil {
		if r.Body != nil {
			_ = r.Body.Close() // whoever implements RoundTripper has to, also when it fails
		}
		return nil, refused
	}
	if answer != nil && answer.Body != nil && answer.Body != http.NoBody {
		answer.Body = waiting(answer.Body, wait)
	}
	return answer, err
}

// CloseIdleConnections is for http.Client.
func (t *transport) CloseIdleConnections() {
	if base, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		base.CloseIdleConnections()
	}
}
